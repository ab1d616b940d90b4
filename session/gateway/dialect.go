package gateway

import (
	"errors"
	"fmt"
)

// The limits of Wavry's gateway, in bytes. They apply in both directions and to all dialects: the gateway drops the
// connection after a longer frame.
const (
	maxFrame     = 64 << 10
	maxSDP       = 32 << 10
	maxCandidate = 4 << 10
)

// ErrMalformed means that a frame is not a valid message of the gateway.
var ErrMalformed = errors.New("gateway: malformed message")

// Kind is the kind of a message. The set is closed.
type Kind uint8

// The kinds of messages.
const (
	// KindOther: a message between other kinds of clients.
	KindOther Kind = iota
	// KindBind directs an account's messages to this connection. It has a Token.
	KindBind
	// KindBound acknowledges a Bind.
	KindBound
	// KindOffer has a Peer and an SDP.
	KindOffer
	// KindAnswer has a Peer and an SDP.
	KindAnswer
	// KindCandidate has a Peer and a Candidate.
	KindCandidate
	// KindRelay offers a relay of Wavry's own protocol, which WebRTC cannot use.
	KindRelay
	// KindError has a Text.
	KindError
)

// Kinds lists all kinds of messages.
func Kinds() []Kind {
	return []Kind{KindOther, KindBind, KindBound, KindOffer, KindAnswer, KindCandidate, KindRelay, KindError}
}

func (k Kind) String() string {
	switch k {
	case KindOther:
		return "other"
	case KindBind:
		return "bind"
	case KindBound:
		return "bound"
	case KindOffer:
		return "offer"
	case KindAnswer:
		return "answer"
	case KindCandidate:
		return "candidate"
	case KindRelay:
		return "relay"
	case KindError:
		return "error"
	default:
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
}

// Message is a message of the link in any dialect. Fields that the kind does not name are empty.
type Message struct {
	Kind Kind
	// Peer is the user name of the other side: the receiver of a sent message, or the sender of a received one.
	Peer string
	SDP  string
	// Candidate is the candidate: an RTCIceCandidateInit in JSON, or the bare line.
	Candidate string
	Token     string
	Text      string
}

// Dialect is the protocol of a kind of gateway. Its methods have no state and may be called from several goroutines.
type Dialect interface {
	// Traits describes the behavior of such a gateway.
	Traits() Traits
	// Encode returns m as one text frame. The error says why m cannot be sent.
	Encode(m Message) ([]byte, error)
	// Decode parses a text frame, which may come from an attacker. Its errors wrap ErrMalformed. Frames of unknown
	// types have KindOther.
	Decode(frame []byte) (Message, error)
	// Classify returns the class of a KindError by its text: ClassNone if the connection continues.
	Classify(text string) Class
}

// Traits are the differences between gateways, other than in their messages.
type Traits struct {
	// Name is the dialect's name in the configuration.
	Name string
	// Acknowledges reports whether the gateway answers a Bind with a Bound.
	Acknowledges bool
	// Login reports whether the gateway has a POST auth/login.
	Login bool
	// NameOf returns the user name of a token. It is nil if the token does not contain it.
	NameOf func(token string) string
	// CheckToken checks the form of a token.
	CheckToken func(token string) bool
}

// Dialects lists all dialects, the default first.
func Dialects() []Dialect { return []Dialect{Wavry{}, Master{}} }
