package peer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/ice/v4"
)

// The limits of a fragment. A browser with many interfaces sends a few dozen candidates.
const (
	maxFragment   = 16 << 10
	maxCandidates = 64
)

// Fragment is a parsed trickle-ice-sdpfrag (RFC 8840, section 9): candidates, and the credentials of their ICE
// session.
type Fragment struct {
	ufrag, pwd string
	// media is the value of the first m= line, and mid its identification. Both may be empty without candidates.
	media, mid string
	candidates []string // the values, without "candidate:"
	end        bool     // no more candidates follow
	unusable   error    // why the first candidate that was left out cannot be used
}

// ParseFragment parses a fragment. It takes the candidates of all sections, since all sections share a transport. It
// skips unknown lines and candidates (RFC 8840, RFC 8839).
func ParseFragment(text string) (Fragment, error) {
	var f Fragment
	if len(text) > maxFragment {
		return f, fmt.Errorf("%w: fragment of %d bytes is over %d", ErrBadOffer, len(text), maxFragment)
	}
	sections := 0
	for n, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' || line == "m=" || strings.ContainsAny(line, "\r\x00") {
			return f, fmt.Errorf("%w: line %d of the fragment is not a line of SDP", ErrBadOffer, n+1)
		}
		value := line[2:]
		switch line[0] {
		case 'm':
			sections++
			if sections == 1 {
				f.media = value
			}
			continue
		case 'a':
		default:
			continue
		}
		name, value, _ := strings.Cut(value, ":")
		if err := f.attribute(name, value, sections, n+1); err != nil {
			return f, err
		}
	}
	if (f.ufrag == "") != (f.pwd == "") {
		return f, fmt.Errorf("%w: fragment has only one of ice-ufrag and ice-pwd", ErrBadOffer)
	}
	return f, nil
}

func (f *Fragment) attribute(name, value string, section, line int) error {
	switch name {
	case "ice-ufrag":
		if !isICEString(value, 4) {
			return fmt.Errorf("%w: line %d: the fragment's ice-ufrag is malformed", ErrBadOffer, line)
		}
		if f.ufrag == "" {
			f.ufrag = value
		}
	case "ice-pwd":
		if !isICEString(value, 22) {
			return fmt.Errorf("%w: line %d: the fragment's ice-pwd is malformed", ErrBadOffer, line)
		}
		if f.pwd == "" {
			f.pwd = value
		}
	case "mid":
		if section == 1 {
			f.mid = value
		}
	case "end-of-candidates":
		f.end = true
	case "candidate":
		if err := checkCandidate(value); err != nil {
			if f.unusable == nil {
				f.unusable = fmt.Errorf("%w: line %d: %w", ErrBadOffer, line, err)
			}
			return nil
		}
		if len(f.candidates) < maxCandidates && !slices.Contains(f.candidates, value) {
			f.candidates = append(f.candidates, value)
		}
	}
	return nil
}

// checkCandidate returns why a candidate cannot be used. pion skips candidates of an unknown type, so they pass.
func checkCandidate(value string) error {
	if len(strings.Fields(value)) < 8 {
		return fmt.Errorf("candidate %.80q is malformed", value)
	}
	_, err := ice.UnmarshalCandidate(value)
	if err == nil || errors.Is(err, ice.ErrUnknownCandidateTyp) || errors.Is(err, ice.ErrDetermineNetworkType) {
		return nil
	}
	return fmt.Errorf("candidate %.80q: %w", value, err)
}

// isICEString reports whether s consists of n to 256 ice-chars (RFC 8839, section 5.4).
func isICEString(s string, n int) bool {
	if len(s) < n || len(s) > 256 {
		return false
	}
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '+', c == '/':
		default:
			return false
		}
	}
	return true
}

// String returns f as text.
func (f Fragment) String() string {
	var b strings.Builder
	line := func(name, value string) {
		b.WriteString("a=" + name)
		if value != "" {
			b.WriteString(":" + value)
		}
		b.WriteString("\r\n")
	}
	if f.ufrag != "" {
		line("ice-ufrag", f.ufrag)
		line("ice-pwd", f.pwd)
	}
	if f.media != "" {
		b.WriteString("m=" + f.media + "\r\n")
	}
	if f.mid != "" {
		line("mid", f.mid)
	}
	for _, c := range f.candidates {
		line("candidate", c)
	}
	if f.end {
		line("end-of-candidates", "")
	}
	return b.String()
}
