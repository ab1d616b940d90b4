package bus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Selector chooses hosts by labels, and by the pseudo-labels id, name, state and version.
type Selector map[string]string

// maxSelector bounds the text of a selector, in bytes.
const maxSelector = 1024

// ParseSelector reads a selector: name=value, several separated by commas. Empty text selects all hosts.
func ParseSelector(text string) (Selector, error) {
	if len(text) > maxSelector {
		return nil, fmt.Errorf("fleet: a selector of %d bytes is longer than %d", len(text), maxSelector)
	}
	s := Selector{}
	if text == "" {
		return s, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		if _, twice := s[name]; !ok || name == "" || twice {
			return nil, fmt.Errorf("fleet: %.80q is not of the form name=value, or the name is there twice", part)
		}
		s[name] = value
	}
	return s, nil
}

// String returns the text of s.
func (s Selector) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, name+"="+s[name])
	}
	return strings.Join(parts, ",")
}

// Matches reports whether s selects a host.
func (s Selector) Matches(r Record) bool {
	for name, want := range s {
		got := r.Labels[name]
		switch name {
		case "id":
			got = r.ID
		case "name":
			got = r.Name
		case "state":
			got = r.State
		case "version":
			got = r.Version
		}
		if got != want {
			return false
		}
	}
	return true
}
