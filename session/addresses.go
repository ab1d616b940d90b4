package session

import (
	"net"
	"net/netip"
	"slices"
)

// maxAddresses is how many local addresses media uses at most. Each is a candidate that both ends check against each of the
// viewer's, and a socket. A machine with more is a router or runs containers; interfaces and media_addresses choose there.
const maxAddresses = 24

// nic is a network interface.
type nic struct {
	name     string
	up       bool
	loopback bool
	ips      []netip.Addr
}

// systemNICs returns the interfaces that there are.
func systemNICs() ([]nic, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []nic
	for i := range list {
		n := nic{name: list[i].Name, up: list[i].Flags&net.FlagUp != 0, loopback: list[i].Flags&net.FlagLoopback != 0}
		if !n.up {
			continue
		}
		addresses, err := list[i].Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				n.ips = append(n.ips, p.Addr().Unmap())
			}
		}
		all = append(all, n)
	}
	return all, nil
}

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// loopback returns the loopback address that media uses: that of IPv4 where there is one.
func (c Config) loopback() netip.Addr {
	if nics, err := systemNICs(); err == nil {
		if use, _ := c.mediaAddresses(nics); len(use) > 0 {
			return use[0]
		}
	}
	return loopback4
}

// mediaAddresses returns the local addresses that media uses, of those that there are. left is how many had no room.
func (c Config) mediaAddresses(nics []nic) (use []netip.Addr, left int) {
	if c.Loopback {
		for _, a := range []netip.Addr{loopback4, loopback6} { // of two for the same, one is enough
			if slices.ContainsFunc(nics, func(n nic) bool { return n.up && slices.Contains(n.ips, a) }) {
				return []netip.Addr{a}, 0
			}
		}
		return nil, 0
	}
	var local []netip.Addr
	for _, n := range nics {
		if !n.up || n.loopback || len(c.Interfaces) > 0 && !slices.Contains(c.Interfaces, n.name) {
			continue
		}
		for _, a := range n.ips {
			switch {
			case !usable(a) || slices.Contains(use, a) || slices.Contains(local, a):
			case len(c.Addresses) > 0 && !slices.ContainsFunc(c.Addresses, func(p netip.Prefix) bool { return p.Contains(a) }):
			case a.IsLinkLocalUnicast() && len(c.Addresses) == 0:
				local = append(local, a)
			default:
				use = append(use, a)
			}
		}
	}
	if len(use) == 0 { // two machines on a cable
		use = slices.DeleteFunc(local, netip.Addr.Is6) // which would need a zone that means something here alone
	}
	if len(use) > maxAddresses {
		use, left = use[:maxAddresses], len(use)-maxAddresses
	}
	return use, left
}

// usable reports whether an address may be a candidate (RFC 8445, section 5.1.1.1).
func usable(a netip.Addr) bool {
	if !a.IsValid() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return false
	}
	b := a.As16()
	siteLocal := b[0] == 0xfe && b[1]&0xc0 == 0xc0
	compatible := a.Is6() && [12]byte(b[:12]) == [12]byte{}
	return !siteLocal && !compatible
}
