package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The limits of one ICE session, over all requests. Each mDNS name costs multicast queries for five seconds on this
// host's network. Each candidate costs checks of an address that the viewer chose.
const (
	maxAllCandidates = 128
	maxNames         = 16
)

// The limits of a session. Each ICE restart makes this host gather candidates and check the viewer's addresses.
const (
	restartEvery        = time.Second
	restartsAtOnce      = 5
	candidatesPerSecond = 2
	candidatesAtOnce    = 2 * maxAllCandidates
)

// The causes of an ICE failure.
const (
	CauseNoCandidates    = "no_candidates"     // the viewer sent no candidates
	CauseNoOwnCandidates = "no_own_candidates" // this host has no candidates
	CauseMDNSOnly        = "mdns_only"         // the viewer sent only mDNS names, and no relay
	CauseNoRelay         = "no_relay"          // this host has relays, and none gave it an address
	CauseNoPath          = "no_path"           // both sides have candidates, and no pair works
	CauseRefused         = "refused_addresses" // this host sends to none of the viewer's addresses
)

// Causes returns the causes of an ICE failure.
func Causes() []string {
	return []string{CauseNoCandidates, CauseNoOwnCandidates, CauseMDNSOnly, CauseNoRelay, CauseNoPath, CauseRefused}
}

// counts counts the candidates of one side by kind. Refused candidates are not in total.
type counts struct{ names, relays, others, refused int }

func (c counts) total() int { return c.names + c.relays + c.others }

// candidates bounds the viewer's candidates and counts the current ICE session's.
type candidates struct {
	reaches  func(netip.Addr) bool // reports whether this host sends to an address
	restarts *rate.Limiter
	rate     *rate.Limiter

	mu     sync.Mutex // guards the rest
	names  map[string]struct{}
	counts counts
}

func newCandidates(reaches func(netip.Addr) bool) *candidates {
	c := &candidates{
		reaches:  reaches,
		restarts: rate.NewLimiter(rate.Every(restartEvery), restartsAtOnce),
		rate:     rate.NewLimiter(candidatesPerSecond, candidatesAtOnce),
	}
	c.begin()
	return c
}

// restart begins a new ICE session, or returns ErrTooOften.
func (c *candidates) restart(now time.Time) error {
	if !c.restarts.AllowN(now, 1) {
		return fmt.Errorf("%w: more than %d at once and one every %v", ErrTooOften, restartsAtOnce, restartEvery)
	}
	c.begin()
	return nil
}

// begin forgets the candidates of the previous ICE session.
func (c *candidates) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names, c.counts = make(map[string]struct{}), counts{}
}

// admit returns the candidates of a list to use. It leaves out names that are not mDNS names of browsers, addresses
// that this host does not send to, and candidates beyond the limits.
func (c *candidates) admit(list []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var kept []string
	for _, one := range list {
		name := addressOf(one)
		named := strings.HasSuffix(name, ".local")
		if strings.HasSuffix(name, ".invalid") {
			continue // a placeholder for a concealed address (RFC 8839, section 5.1)
		}
		if named {
			if _, known := c.names[name]; !known && (len(c.names) == maxNames || !isMDNS(name)) {
				continue
			}
			c.names[name] = struct{}{}
		}
		if c.counts.total()+c.counts.refused == maxAllCandidates || !c.rate.Allow() {
			break
		}
		if a, err := netip.ParseAddr(name); err == nil && !c.reaches(a) {
			c.counts.refused++
			continue
		}
		switch {
		case named:
			c.counts.names++
		case isRelayed(one):
			c.counts.relays++
		default:
			c.counts.others++
		}
		kept = append(kept, one)
	}
	return kept
}

// count returns the number of candidates in the current ICE session.
func (c *candidates) count() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// addressOf returns the address of a candidate, or an empty string.
func addressOf(candidate string) string {
	if f := strings.Fields(candidate); len(f) > 4 {
		return f[4]
	}
	return ""
}

// isRelayed reports whether a candidate is an address at a relay.
func isRelayed(candidate string) bool {
	f := strings.Fields(candidate)
	return len(f) >= 8 && f[6] == "typ" && f[7] == "relay"
}

// isMDNS reports whether a browser conceals an address behind a name: a UUID in .local
// (draft-ietf-mmusic-mdns-ice-candidates, section 3.1.1). Other names belong to printers and the like; a viewer must
// not make this host look them up.
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

// whyNoPath returns the cause of an ICE failure, and an error that explains it.
func whyNoPath(viewer, host counts, relaysFailed bool) (cause string, err error) {
	switch {
	case host.total() == 0:
		return CauseNoOwnCandidates,
			errors.New("this host has no candidates: none of its addresses may be used, and no relay gave one")
	case viewer.total() == 0 && viewer.refused > 0:
		return CauseRefused,
			fmt.Errorf("this host sends to none of the viewer's %d addresses: see media.viewer_networks", viewer.refused)
	case viewer.total() == 0:
		return CauseNoCandidates, errors.New("the viewer sent no candidates, and no packet of it arrived")
	case viewer.names == viewer.total() && host.relays == host.total():
		return CauseMDNSOnly, errors.New("the viewer has only mDNS candidates and no relay, and this host has only " +
			"relays, which admit known addresses only: configure a TURN server for the viewer")
	case viewer.names == viewer.total():
		return CauseMDNSOnly, errors.New("the viewer has only mDNS candidates and no relay; this network does not " +
			"resolve their names, and no packet of the viewer arrived: configure a TURN server for the viewer")
	case relaysFailed:
		return CauseNoRelay, errors.New("no candidate pair works, and no relay gave this host an address")
	default:
		return CauseNoPath, fmt.Errorf("no candidate pair works: the viewer has %d addresses, %d mDNS names and "+
			"%d relays, this host %d addresses and %d relays",
			viewer.others, viewer.names, viewer.relays, host.others, host.relays)
	}
}
