package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// candidateInit is an RTCIceCandidateInit, as JSON.stringify writes it in browsers.
type candidateInit struct {
	Candidate string  `json:"candidate"`
	Mid       *string `json:"sdpMid,omitempty"`
}

// parseCandidate reads a candidate in either form that Wavry's clients send: RTCIceCandidateInit in JSON, or the bare
// line. It returns the attribute's value, which is empty for the end of candidates.
func parseCandidate(text string) (string, error) {
	line := strings.TrimSpace(text)
	if line == "null" { // JSON.stringify of the last event's candidate
		return "", nil
	}
	if strings.HasPrefix(line, "{") {
		var c candidateInit
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			return "", fmt.Errorf("%w: candidate is not an RTCIceCandidateInit", ErrMalformed)
		}
		line = strings.TrimSpace(c.Candidate)
	}
	line = strings.TrimPrefix(line, "a=")
	if line == "" || line == "end-of-candidates" {
		return "", nil
	}
	value, ok := strings.CutPrefix(line, "candidate:")
	if !ok {
		return "", fmt.Errorf("%w: %.40q is no candidate", ErrMalformed, line)
	}
	if strings.ContainsFunc(value, unicode.IsControl) || !utf8.ValidString(value) { // it becomes a line of a fragment
		return "", fmt.Errorf("%w: candidate is not one line of text", ErrMalformed)
	}
	return strings.TrimSpace(value), nil
}

// fragmentOf returns a trickle-ice-sdpfrag (RFC 8840, section 9) with one candidate, or with the end of them.
func fragmentOf(value string) string {
	if value == "" {
		return "a=end-of-candidates\r\n"
	}
	return "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:" + value + "\r\n"
}

// probeOf returns a candidate that a host sends to itself. Any other receiver reads it as an end of candidates.
func probeOf(nonce string) (string, error) {
	b, err := json.Marshal(candidateInit{Mid: &nonce})
	return string(b), err
}
