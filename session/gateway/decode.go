package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is how much of a gateway's error text is kept, in bytes.
const maxText = 200

// body has the fields of all messages.
type body struct {
	Target    string          `json:"target_username"`
	SDP       string          `json:"sdp"`
	Candidate json.RawMessage `json:"candidate"`
	Message   string          `json:"message"`
	Token     string          `json:"token"`
}

// decode parses a frame in either form that Wavry's programs send: with the fields inside "payload", or beside "type".
// Wavry's own web client mixes both.
func decode(frame []byte) (Message, error) {
	if len(frame) > maxFrame {
		return Message{}, fmt.Errorf("%w: %d bytes are over %d", ErrMalformed, len(frame), maxFrame)
	}
	if !utf8.Valid(frame) { // RFC 6455, section 5.6; encoding/json would replace invalid bytes
		return Message{}, fmt.Errorf("%w: not text in UTF-8", ErrMalformed)
	}
	var e struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(frame, &e); err != nil {
		return Message{}, fmt.Errorf("%w: not a JSON object with a type", ErrMalformed)
	}
	m := Message{Kind: kindOf(e.Type)}
	switch m.Kind {
	case KindOther, KindBound, KindRelay:
		return m, nil // its fields are not used, and may contain a secret
	default:
	}
	data := []byte(e.Payload)
	if len(data) == 0 || data[0] != '{' {
		data = frame
	}
	var b body
	if err := json.Unmarshal(data, &b); err != nil {
		return Message{}, fmt.Errorf("%w: fields of %s", ErrMalformed, m.Kind)
	}
	return m, m.fill(b)
}

func kindOf(name string) Kind {
	switch strings.ToUpper(name) {
	case "BIND":
		return KindBind
	case "BOUND":
		return KindBound
	case "OFFER":
		return KindOffer
	case "ANSWER":
		return KindAnswer
	case "CANDIDATE":
		return KindCandidate
	case "RELAY_CREDENTIALS":
		return KindRelay
	case "ERROR":
		return KindError
	default:
		return KindOther
	}
}

// fill sets the fields of m's kind from b.
func (m *Message) fill(b body) error {
	switch m.Kind {
	case KindBind:
		m.Token = b.Token
		return nil
	case KindError:
		m.Text = tidy(b.Message)
		return nil
	case KindOffer, KindAnswer:
		m.SDP = b.SDP
		if m.SDP == "" || len(m.SDP) > maxSDP {
			return fmt.Errorf("%w: description of %d bytes in %s", ErrMalformed, len(m.SDP), m.Kind)
		}
	case KindCandidate:
		text, err := candidateText(b.Candidate)
		if err != nil {
			return err
		}
		m.Candidate = text
	default:
	}
	m.Peer = b.Target
	if !isName(m.Peer) {
		return fmt.Errorf("%w: user name in %s", ErrMalformed, m.Kind)
	}
	return nil
}

// candidateText returns the candidate of a message, which is a text or, from some clients, an object.
func candidateText(raw json.RawMessage) (string, error) {
	raw = bytes.TrimSpace(raw)
	text := string(raw)
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", fmt.Errorf("%w: candidate", ErrMalformed)
		}
	} else if len(raw) == 0 || raw[0] != '{' {
		return "", fmt.Errorf("%w: candidate is neither text nor an object", ErrMalformed)
	}
	if len(text) > maxCandidate {
		return "", fmt.Errorf("%w: candidate of %d bytes", ErrMalformed, len(text))
	}
	return text, nil
}

// isName reports whether s can be a user name. Wavry's names have 3 to 32 of these characters; the master makes its
// own.
func isName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

// tidy prepares a gateway's text for a log and a status: short, on one line.
func tidy(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxText {
		s = s[:maxText]
		for len(s) > 0 && !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return strings.TrimSpace(s)
}

// checkSize returns an error if m is larger than a gateway accepts.
func checkSize(m Message) error {
	switch {
	case len(m.SDP) > maxSDP:
		return fmt.Errorf("gateway: description of %d bytes is over %d", len(m.SDP), maxSDP)
	case len(m.Candidate) > maxCandidate:
		return fmt.Errorf("gateway: candidate of %d bytes is over %d", len(m.Candidate), maxCandidate)
	}
	return nil
}

// marshal encodes v as a frame.
func marshal(v any) ([]byte, error) {
	frame, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("gateway: encode message: %w", err)
	}
	if len(frame) > maxFrame {
		return nil, fmt.Errorf("gateway: frame of %d bytes is over %d", len(frame), maxFrame)
	}
	return frame, nil
}
