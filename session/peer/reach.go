package peer

import (
	"net"
	"net/netip"
)

// noViewers are networks without viewers: "this network", and the reserved block with the broadcast address.
var noViewers = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4")}

// translated are networks whose addresses contain an IPv4 address, with the position of its first byte: NAT64 and
// 6to4.
var translated = []struct {
	network netip.Prefix
	at      int
}{{netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("2002::/16"), 2}}

// reaches reports whether this host sends to an address. ICE checks the addresses that a viewer chooses. Without a
// rule, a viewer could make this host send to services that trust their own machine or network.
func (c *Config) reaches(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast():
		return false
	case a.IsLoopback():
		return c.Loopback
	case !usable(a), contains(noViewers, a):
		return false
	}
	b := a.As16()
	for _, t := range translated {
		if a.Is6() && t.network.Contains(a) && !c.reaches(netip.AddrFrom4([4]byte(b[t.at:t.at+4]))) {
			return false
		}
	}
	return len(c.ViewerNetworks) == 0 || contains(c.ViewerNetworks, a)
}

// reachesIP is reaches in the form of pion.
func (c *Config) reachesIP(ip net.IP) bool {
	a, ok := netip.AddrFromSlice(ip)
	return ok && c.reaches(a)
}
