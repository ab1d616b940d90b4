package session

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// The limits of what a viewer may tell of itself in one ICE session, whatever number of requests it comes in. Each name costs multicast queries for
// five seconds, on a network that is not the viewer's, and each candidate checks to an address that the viewer chose.
const (
	maxAllCandidates = 128
	maxNames         = 16
)

// Why no path to a viewer was found.
const (
	// causeNoCandidates: the viewer told none.
	causeNoCandidates = "no_candidates"
	// causeNoneHere: this host has none.
	causeNoneHere = "no_own_candidates"
	// causeNames: the viewer told only names of mDNS, and no relay.
	causeNames = "mdns_only"
	// causeNoRelay: this host has relays, none of which gave it an address.
	causeNoRelay = "no_relay"
	// causeNoPath: both sides have candidates, and no pair works.
	causeNoPath = "no_path"
	// causeRefused: this host sends to none of the viewer's addresses.
	causeRefused = "refused_addresses"
)

var iceCauses = []string{causeNoCandidates, causeNoneHere, causeNames, causeNoRelay, causeNoPath, causeRefused}

// kinds counts candidates; those that are refused are not among the others.
type kinds struct{ names, relays, others, refused int }

func (k kinds) total() int { return k.names + k.relays + k.others }

// candidates is what a viewer has told of itself in the ICE session that is on.
type candidates struct {
	reaches func(netip.Addr) bool // reports whether this host sends to an address
	limits  remoteLimits

	mu    sync.Mutex // guards the rest
	names map[string]struct{}
	kinds kinds
}

// begin forgets the ICE session before.
func (c *candidates) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names, c.kinds = make(map[string]struct{}), kinds{}
}

// take returns those of list that are to be used. A name that is not one that browsers make up for mDNS, one name too many, an address
// that this host does not send to, and every candidate beyond the limits are left out.
func (c *candidates) take(list []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var kept []string
	for _, one := range list {
		name := addressOf(one)
		named := strings.HasSuffix(name, ".local")
		if strings.HasSuffix(name, ".invalid") {
			continue // it stands for an address that is not to be known (RFC 8839, section 5.1)
		}
		if named {
			if _, known := c.names[name]; !known && (len(c.names) == maxNames || !isMDNS(name)) {
				continue
			}
			c.names[name] = struct{}{}
		}
		if c.kinds.total()+c.kinds.refused == maxAllCandidates || !c.limits.candidates.Allow() {
			break
		}
		if a, err := netip.ParseAddr(name); err == nil && !c.reaches(a) {
			c.kinds.refused++
			continue
		}
		switch {
		case named:
			c.kinds.names++
		case isRelayed(one):
			c.kinds.relays++
		default:
			c.kinds.others++
		}
		kept = append(kept, one)
	}
	return kept
}

func (c *candidates) told() kinds {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kinds
}

// addressOf returns a candidate's address, empty where it has none.
func addressOf(candidate string) string {
	if f := strings.Fields(candidate); len(f) > 4 {
		return f[4]
	}
	return ""
}

// isMDNS tells whether a name is one that a browser hides an address behind: a UUID in .local (draft-ietf-mmusic-mdns-ice-candidates, section 3.1.1). Other
// names are those of printers and the like, which a viewer has no business to have looked up.
func isMDNS(name string) bool {
	id, ok := strings.CutSuffix(name, ".local")
	if !ok || len(id) != 36 {
		return false
	}
	for i, r := range id {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F'
		if dash != (r == '-') || !dash && !hex {
			return false
		}
	}
	return true
}

// whyNoPath returns why ICE found no path between the viewer's candidates and this host's, and the same in words.
func whyNoPath(viewer, host kinds, barren bool) (cause string, err error) {
	switch {
	case host.total() == 0:
		return causeNoneHere, errors.New("this host has no candidates: none of its addresses may be used, and no relay gave one")
	case viewer.total() == 0 && viewer.refused > 0:
		return causeRefused, fmt.Errorf("this host sends to none of the viewer's %d addresses: see viewer_networks", viewer.refused)
	case viewer.total() == 0:
		return causeNoCandidates, errors.New("the viewer told no candidates, and no packet of it came")
	case viewer.names == viewer.total() && host.relays == host.total():
		return causeNames, errors.New("the viewer shows only mDNS candidates and no relay, and this host has only relays, which let nobody in whose address is not known: give the viewer a TURN server, too")
	case viewer.names == viewer.total():
		return causeNames, errors.New("the viewer shows only mDNS candidates and no relay: their names were not found on this network, and no packet of the viewer came; it takes a TURN server")
	case barren:
		return causeNoRelay, errors.New("no candidate pair works, and no relay gave this host an address")
	default:
		return causeNoPath, fmt.Errorf("no candidate pair works: the viewer has %d addresses, %d mDNS names and %d relays, this host %d addresses and %d relays",
			viewer.others, viewer.names, viewer.relays, host.others, host.relays)
	}
}
