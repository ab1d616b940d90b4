package session

import (
	"fmt"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
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
}

// parseFragment reads a fragment. Only the first media section counts: all are bundled on it. Lines that it does not know are
// ignored, as the RFC wants.
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
		if err := f.attribute(name, value, sections); err != nil {
			return f, err
		}
	}
	if (f.ufrag == "") != (f.pwd == "") {
		return f, fmt.Errorf("%w: fragment has a user fragment without a password, or the other way round", ErrBadOffer)
	}
	return f, nil
}

func (f *fragment) attribute(name, value string, section int) error {
	switch name {
	case "ice-ufrag":
		if !iceChars(value, 4) {
			return fmt.Errorf("%w: fragment's ice-ufrag is malformed", ErrBadOffer)
		}
		if f.ufrag == "" {
			f.ufrag = value
		}
	case "ice-pwd":
		if !iceChars(value, 22) {
			return fmt.Errorf("%w: fragment's ice-pwd is malformed", ErrBadOffer)
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
		if section > 1 {
			return nil
		}
		if len(f.candidates) == maxCandidates {
			return fmt.Errorf("%w: fragment has more than %d candidates", ErrBadOffer, maxCandidates)
		}
		if err := checkCandidate(value); err != nil {
			return err
		}
		f.candidates = append(f.candidates, value)
	}
	return nil
}

// checkCandidate refuses what pion cannot parse, candidates of kinds it does not know excepted: those are skipped.
func checkCandidate(value string) error {
	if len(strings.Fields(value)) < 8 {
		return fmt.Errorf("%w: candidate %.80q is malformed", ErrBadOffer, value)
	}
	if _, err := ice.UnmarshalCandidate(value); err != nil && !skipped(err) {
		return fmt.Errorf("%w: candidate %.80q: %w", ErrBadOffer, value, err)
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

// fragmentOf returns the ICE part of a whole description.
func fragmentOf(d *sdp.SessionDescription) fragment {
	var f fragment
	f.ufrag, _ = d.Attribute("ice-ufrag")
	f.pwd, _ = d.Attribute("ice-pwd")
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			continue
		}
		f.media = m.MediaName.String()
		for _, a := range m.Attributes {
			switch a.Key {
			case "ice-ufrag":
				f.ufrag = a.Value
			case "ice-pwd":
				f.pwd = a.Value
			case "mid":
				f.mid = a.Value
			case "candidate":
				f.candidates = append(f.candidates, a.Value)
			case "end-of-candidates":
				f.end = true
			}
		}
		break
	}
	return f
}

// restarted returns d, which is not changed, with f's credentials and candidates in place of its own.
func (f fragment) restarted(d *sdp.SessionDescription) (*sdp.SessionDescription, error) {
	text, err := d.Marshal()
	if err != nil {
		return nil, fmt.Errorf("marshal session description: %w", err)
	}
	var next sdp.SessionDescription
	if err := next.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("copy session description: %w", err)
	}
	next.Origin.SessionVersion++
	next.Attributes = f.replace(next.Attributes)
	added := false
	for _, m := range next.MediaDescriptions {
		m.Attributes = f.replace(m.Attributes)
		if added || m.MediaName.Port.Value == 0 {
			continue
		}
		added = true
		for _, c := range f.candidates {
			m.Attributes = append(m.Attributes, sdp.NewAttribute("candidate", c))
		}
	}
	return &next, nil
}

func (f fragment) replace(old []sdp.Attribute) []sdp.Attribute {
	var list []sdp.Attribute
	for _, a := range old {
		switch a.Key {
		case "candidate", "end-of-candidates":
			continue
		case "ice-ufrag":
			a.Value = f.ufrag
		case "ice-pwd":
			a.Value = f.pwd
		}
		list = append(list, a)
	}
	return list
}
