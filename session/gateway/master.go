package gateway

import (
	"fmt"
	"strings"
)

// Master is the dialect of Wavry's master and of its native clients: {"type":"OFFER",…}, with type and fields in one
// object. The master does not acknowledge a Bind, and does not check tokens.
type Master struct{}

var _ Dialect = Master{}

// Traits describes the behavior of Wavry's master.
func (Master) Traits() Traits {
	return Traits{Name: "master", NameOf: masterName, CheckToken: func(s string) bool { return s != "" }}
}

// masterName is the name that the master gives to the owner of a token.
func masterName(token string) string {
	name := "user_" + token[:min(8, len(token))]
	if !isName(name) {
		return ""
	}
	return name
}

// Encode returns m with type and fields in one object.
func (Master) Encode(m Message) ([]byte, error) {
	if err := checkSize(m); err != nil {
		return nil, err
	}
	fields := map[string]string{"type": strings.ToUpper(m.Kind.String())}
	switch m.Kind {
	case KindBind:
		fields["token"] = m.Token
	case KindOffer, KindAnswer:
		fields["target_username"], fields["sdp"] = m.Peer, m.SDP
	case KindCandidate:
		fields["target_username"], fields["candidate"] = m.Peer, m.Candidate
	default:
		return nil, fmt.Errorf("gateway: a host sends no %s", m.Kind)
	}
	return marshal(fields)
}

// Decode parses a frame.
func (Master) Decode(frame []byte) (Message, error) { return decode(frame) }

// Classify looks for words, because the master's texts are not a closed set.
func (Master) Classify(text string) Class {
	text = strings.ToLower(text)
	switch {
	case strings.Contains(text, "replaced"):
		return ClassReplaced
	case strings.Contains(text, "banned"), strings.Contains(text, "suspended"):
		return ClassSuspended
	case strings.Contains(text, "rate limit"), strings.Contains(text, "too many"):
		return ClassRate
	case strings.Contains(text, "invalid json"), strings.Contains(text, "version"):
		return ClassProtocol
	default:
		return ClassNone
	}
}
