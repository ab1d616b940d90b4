package gateway

import (
	"fmt"
	"strings"
)

// Wavry is the dialect of Wavry's gateway: {"type":"Offer","payload":{…}}.
type Wavry struct{}

var _ Dialect = Wavry{}

// Traits describes the behavior of Wavry's gateway.
func (Wavry) Traits() Traits {
	return Traits{Name: "wavry", Acknowledges: true, Login: true, CheckToken: isWavryToken}
}

// isWavryToken reports whether s is 32 bytes in hexadecimal digits.
func isWavryToken(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// Encode returns m with its fields in a payload. User names are in lower case, as the gateway stores them: it does not
// convert the receiver's name.
func (Wavry) Encode(m Message) ([]byte, error) {
	if err := checkSize(m); err != nil {
		return nil, err
	}
	peer := strings.ToLower(m.Peer)
	var (
		name    string
		payload map[string]string
	)
	switch m.Kind {
	case KindBind:
		name, payload = "Bind", map[string]string{"token": m.Token}
	case KindOffer:
		name, payload = "Offer", map[string]string{"target_username": peer, "sdp": m.SDP}
	case KindAnswer:
		name, payload = "Answer", map[string]string{"target_username": peer, "sdp": m.SDP}
	case KindCandidate:
		name, payload = "Candidate", map[string]string{"target_username": peer, "candidate": m.Candidate}
	default:
		return nil, fmt.Errorf("gateway: a host sends no %s", m.Kind)
	}
	return marshal(struct {
		Type    string            `json:"type"`
		Payload map[string]string `json:"payload"`
	}{name, payload})
}

// Decode parses a frame.
func (Wavry) Decode(frame []byte) (Message, error) { return decode(frame) }

// Classify knows the gateway's texts. All except the last group end the connection.
func (Wavry) Classify(text string) Class {
	switch text {
	case "Invalid Token", "Invalid token format":
		return ClassToken
	case "Bind rate limit exceeded", "Rate limit exceeded":
		return ClassRate
	case "Session replaced by a newer connection":
		return ClassReplaced
	case "Invalid JSON", "Binary messages are not supported", "Message too large", "Already bound",
		"Bind required before signaling":
		return ClassProtocol
	case "Bind timeout":
		return ClassTimeout
	case "Token lookup failed":
		return ClassServer
	default: // "Invalid OFFER payload", "Invalid target username" and the like: one message had no effect
		return ClassNone
	}
}
