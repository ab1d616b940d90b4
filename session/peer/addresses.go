package peer

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// maxAddresses bounds the local addresses for media. Each is a socket, and a candidate that both ends check with each
// of the viewer's. A machine with more is a router or runs containers; media.interfaces and media.local_networks
// choose there.
const maxAddresses = 24

// nic is a network interface.
type nic struct {
	name     string
	up       bool
	loopback bool
	ips      []netip.Addr
}

// systemNICs returns the network interfaces that are up.
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

// loopback returns the loopback address for media: that of IPv4, if there is one.
func (c *Config) loopback() netip.Addr {
	if nics, err := systemNICs(); err == nil {
		if use, _ := c.mediaAddresses(nics); len(use) > 0 {
			return use[0]
		}
	}
	return loopback4
}

// mediaAddresses returns the local addresses for media, and the number of those beyond maxAddresses.
func (c *Config) mediaAddresses(nics []nic) (use []netip.Addr, left int) {
	if c.Loopback {
		for _, a := range []netip.Addr{loopback4, loopback6} { // one is enough
			if slices.ContainsFunc(nics, func(n nic) bool { return n.up && slices.Contains(n.ips, a) }) {
				return []netip.Addr{a}, 0
			}
		}
		return nil, 0
	}
	var linkLocal []netip.Addr
	for _, n := range nics {
		if !n.up || n.loopback || len(c.Interfaces) > 0 && !slices.Contains(c.Interfaces, n.name) {
			continue
		}
		for _, a := range n.ips {
			switch {
			case !usable(a) || slices.Contains(use, a) || slices.Contains(linkLocal, a):
			case len(c.Addresses) > 0 && !contains(c.Addresses, a):
			case a.IsLinkLocalUnicast() && len(c.Addresses) == 0:
				linkLocal = append(linkLocal, a)
			default:
				use = append(use, a)
			}
		}
	}
	if len(use) == 0 { // two machines on a cable
		use = slices.DeleteFunc(linkLocal, netip.Addr.Is6) // whose zone would mean nothing to the viewer
	}
	if len(use) > maxAddresses {
		use, left = use[:maxAddresses], len(use)-maxAddresses
	}
	return use, left
}

// contains reports whether one of the networks contains an address.
func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
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

// addressFilter returns a function that reports whether a local address is used for media, or nil if all are.
func (c *Config) addressFilter() func(net.IP) bool {
	switch {
	case c.Loopback:
		return func(ip net.IP) bool {
			a, ok := netip.AddrFromSlice(ip)
			return ok && (a.Unmap() == loopback4 || a == loopback6 && c.loopback() == loopback6)
		}
	case len(c.Addresses) == 0:
		return nil
	}
	return func(ip net.IP) bool {
		a, ok := netip.AddrFromSlice(ip)
		return ok && contains(c.Addresses, a.Unmap())
	}
}

// Sources returns a function that lists the local addresses for media, or nil if all addresses are used. Probes of
// STUN and TURN servers use them, so that they take the way of media.
func (c *Config) Sources() func() []netip.Addr {
	if !c.Loopback && len(c.Addresses) == 0 && len(c.Interfaces) == 0 {
		return nil
	}
	return func() []netip.Addr {
		nics, err := systemNICs()
		if err != nil {
			return nil
		}
		use, _ := c.mediaAddresses(nics)
		return use
	}
}

// whyNoAddress names the settings that leave this host without an address for media.
func (c *Config) whyNoAddress() string {
	switch {
	case c.Loopback:
		return "media stays on the loopback address (media.network), and this machine has none"
	case len(c.Interfaces) > 0:
		return fmt.Sprintf("none of the interfaces %v (media.interfaces) has an address that may be used", c.Interfaces)
	case len(c.Addresses) > 0:
		return fmt.Sprintf("this machine has no address in %v (media.local_networks)", c.Addresses)
	default:
		return "no network interface is up and has an address"
	}
}
