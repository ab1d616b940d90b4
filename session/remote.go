package session

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// ErrTooOften means that a viewer restarts ICE more often than any has to.
var ErrTooOften = errors.New("session: too many ICE restarts")

const (
	// restartEvery and restartsAtOnce bound the ICE restarts of a session: each makes this host gather candidates, and check
	// addresses that the viewer chose.
	restartEvery   = time.Second
	restartsAtOnce = 5
	// candidatesPerSecond and candidatesAtOnce bound the candidates that a viewer tells of over the life of a session.
	candidatesPerSecond = 2
	candidatesAtOnce    = 2 * maxAllCandidates
)

// remoteLimits bound what one viewer makes this host do.
type remoteLimits struct{ restarts, candidates *rate.Limiter }

func newRemoteLimits() remoteLimits {
	return remoteLimits{
		restarts:   rate.NewLimiter(rate.Every(restartEvery), restartsAtOnce),
		candidates: rate.NewLimiter(candidatesPerSecond, candidatesAtOnce),
	}
}

// restart takes an ICE restart, or returns an ErrTooOften.
func (l remoteLimits) restart(now time.Time) error {
	if l.restarts.AllowN(now, 1) {
		return nil
	}
	return fmt.Errorf("%w: more than %d restarts at once and one each %v", ErrTooOften, restartsAtOnce, restartEvery)
}

// forbidden are networks that no viewer is in: "this network", and the reserved block with the broadcast address.
var forbidden = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4")}

// translated are networks whose addresses stand for one of IPv4, with the byte at which that begins: NAT64 and 6to4.
var translated = []struct {
	of netip.Prefix
	at int
}{{netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("2002::/16"), 2}}

// reaches reports whether this host sends to a viewer's address. A viewer chooses the addresses that are checked: without a
// rule it could make this host knock at services that trust their own machine or network.
func (c Config) reaches(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast():
		return false
	case a.IsLoopback():
		return c.Loopback
	case !usable(a), slices.ContainsFunc(forbidden, func(p netip.Prefix) bool { return p.Contains(a) }):
		return false
	}
	b := a.As16()
	for _, t := range translated {
		if a.Is6() && t.of.Contains(a) && !c.reaches(netip.AddrFrom4([4]byte(b[t.at:t.at+4]))) {
			return false
		}
	}
	return len(c.ViewerNetworks) == 0 || slices.ContainsFunc(c.ViewerNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// reachesIP is reaches for pion.
func (c Config) reachesIP(ip net.IP) bool {
	a, ok := netip.AddrFromSlice(ip)
	return ok && c.reaches(a)
}
