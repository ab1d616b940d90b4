package session

import (
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

// fragment is a trickle-ice-sdpfrag (RFC 8840, section 9): candidates, and the credentials of the ICE session they belong to.
type fragment struct {
	ufrag, pwd string
	// media is the m= line's value and mid the section's identification; both may be empty when it has no candidates.
	media, mid string
	candidates []string // the attributes' values, without "candidate:"
	end        bool     // there will be no more
	unusable   error    // why the first of the candidates that are left out is
}

// parseFragment reads a fragment. The candidates of all sections count, since all sections share a transport; media and mid are the first section's. Lines and
// candidates that it does not know are skipped, as RFC 8840 and RFC 8839 demand.
func parseFragment(text string) (fragment, error) {
	var f fragment
	if len(text) > maxFragment {
		return f, fmt.Errorf("%w: fragment of %d bytes is over %d", ErrBadOffer, len(text), maxFragment)
	}
	sections := 0
	for n, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' || line == "m=" || strings.ContainsAny(line, "\r\x00") {
			return f, fmt.Errorf("%w: line %d of the fragment is not one of SDP", ErrBadOffer, n+1)
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
		return f, fmt.Errorf("%w: fragment has a user fragment without a password, or the other way round", ErrBadOffer)
	}
	return f, nil
}

func (f *fragment) attribute(name, value string, section, line int) error {
	switch name {
	case "ice-ufrag":
		if !iceChars(value, 4) {
			return fmt.Errorf("%w: line %d: the fragment's ice-ufrag is malformed", ErrBadOffer, line)
		}
		if f.ufrag == "" {
			f.ufrag = value
		}
	case "ice-pwd":
		if !iceChars(value, 22) {
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

// checkCandidate returns why a candidate cannot be used. One of a kind that pion does not know is left to pion, which skips it.
func checkCandidate(value string) error {
	if len(strings.Fields(value)) < 8 {
		return fmt.Errorf("candidate %.80q is malformed", value)
	}
	if _, err := ice.UnmarshalCandidate(value); err != nil && !skipped(err) {
		return fmt.Errorf("candidate %.80q: %w", value, err)
	}
	return nil
}

// iceChars tells whether s consists of at least n ice-chars, and 256 at most (RFC 8839, section 5.4).
func iceChars(s string, n int) bool {
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

// String returns f as it goes over the wire.
func (f fragment) String() string {
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
