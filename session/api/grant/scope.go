package grant

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
)

// maxList bounds the lists of displays and networks.
const maxList = 32

// Scope limits where a credential is valid. The zero value has no limit.
type Scope struct {
	// Displays are IDs of the displays that may be watched, or patterns of IDs such as x11:*. Nil means all.
	Displays []string
	// Networks are the networks that it may be used from. Nil means all.
	Networks []netip.Prefix
}

// ParseScope makes a Scope from texts. A nil list is no limit. An empty list allows nothing.
func ParseScope(displays, networks []string) (Scope, error) {
	if len(displays) > maxList || len(networks) > maxList {
		return Scope{}, fmt.Errorf("there are more than %d displays or networks", maxList)
	}
	s := Scope{Displays: displays}
	for _, d := range displays {
		if _, err := path.Match(d, ""); err != nil {
			return Scope{}, fmt.Errorf("displays: %.60q is not a pattern of IDs", d)
		}
		if d == "*" {
			s.Displays = nil
		}
	}
	if networks != nil {
		s.Networks = []netip.Prefix{} // an empty list allows no network
	}
	for _, text := range networks {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() {
			return Scope{}, fmt.Errorf("networks: %.60q is not a network such as 192.0.2.0/24", text)
		}
		s.Networks = append(s.Networks, p.Masked())
	}
	return s, nil
}

// From reports whether the credential may be used from addr.
func (s Scope) From(addr netip.Addr) bool {
	from := addr.Unmap().WithZone("")
	return s.Networks == nil || slices.ContainsFunc(s.Networks, func(p netip.Prefix) bool { return p.Contains(from) })
}

// Watches reports whether the credential allows that display.
func (s Scope) Watches(display string) bool {
	return s.Displays == nil || anyMatch(s.Displays, display)
}

// anyMatch reports whether one of the patterns matches a display. All patterns are valid.
func anyMatch(patterns []string, display string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, display)
		return ok
	})
}
