package gateway

import (
	"errors"
	"fmt"
)

// The limits of Wavry's gateway, in bytes. They are kept in both directions and with all dialects: a longer frame makes the
// gateway drop the connection.
const (
	maxFrame     = 64 << 10
	maxSDP       = 32 << 10
	maxCandidate = 4 << 10
)

// ErrMalformed is what Decode returns for a frame that is not one of the gateway's.
var ErrMalformed = errors.New("gateway: malformed message")

// Kind is what a message is about. The set is closed.
type Kind uint8

// The kinds of messages.
const (
	// KindOther: a message between other kinds of clients.
	KindOther Kind = iota
	// KindBind takes an account's messages to this connection. It has a Token.
	KindBind
	// KindBound says that it is done.
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

// Message is what goes over the link, whatever the dialect. Fields that the kind does not name are empty.
type Message struct {
	Kind Kind
	// Peer is the user name of the other side: whom it is for when sent, whom it is from when received.
	Peer string
	SDP  string
	// Candidate is the text that the peers agreed on: an RTCIceCandidateInit in JSON, or the bare line.
	Candidate string
	Token     string
	Text      string
}

// Dialect is how a kind of gateway talks. Its methods hold no state and may be called from several goroutines.
type Dialect interface {
	// Traits tells how such a gateway behaves.
	Traits() Traits
	// Encode returns m as one text frame. The error says what about m cannot be sent.
	Encode(m Message) ([]byte, error)
	// Decode reads a text frame, which may come from an enemy. Its errors wrap ErrMalformed. Frames of unknown types are of
	// KindOther.
	Decode(frame []byte) (Message, error)
	// Classify tells what follows from the text of a KindError: ClassNone when the connection stays.
	Classify(text string) Class
}

// Traits are the ways in which gateways differ, other than in their messages.
type Traits struct {
	// Name is the dialect's name in the configuration.
	Name string
	// Acknowledges: a Bind is answered by a Bound.
	Acknowledges bool
	// Login: there is a POST auth/login beside the WebSocket.
	Login bool
	// NameOf returns the user name that a token binds to. It is nil where the token does not tell.
	NameOf func(token string) string
	// CheckToken tells whether a token has the form that the gateway wants.
	CheckToken func(token string) bool
}

// Dialects lists all dialects, the default first.
func Dialects() []Dialect { return []Dialect{Wavry{}, Master{}} }
