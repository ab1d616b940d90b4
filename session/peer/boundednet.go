package peer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// boundedNet is the system's network with time limits for name resolution and for TCP connections to TURN servers.
// pion has none: a server that drops all packets would delay the end of a session, and of the daemon, by two minutes.
type boundedNet struct {
	transport.Net
	limit time.Duration
}

// openNet returns the network for one peer, with the current interfaces.
func openNet(limit time.Duration) (transport.Net, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	return boundedNet{n, limit}, nil
}

// DialTCP implements transport.Net.
func (b boundedNet) DialTCP(network string, from, to *net.TCPAddr) (transport.TCPConn, error) {
	d := net.Dialer{Timeout: b.limit}
	if from != nil {
		d.LocalAddr = from
	}
	c, err := d.DialContext(context.Background(), network, to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil //nolint:forcetypeassert // the network is TCP
}

// ResolveUDPAddr implements transport.Net.
func (b boundedNet) ResolveUDPAddr(network, address string) (*net.UDPAddr, error) {
	at, err := b.resolve(network, address)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(at), nil
}

// ResolveTCPAddr implements transport.Net.
func (b boundedNet) ResolveTCPAddr(network, address string) (*net.TCPAddr, error) {
	at, err := b.resolve(network, address)
	if err != nil {
		return nil, err
	}
	return net.TCPAddrFromAddrPort(at), nil
}

// resolve returns the first address of a name. IPv4 goes first.
func (b boundedNet) resolve(network, address string) (netip.AddrPort, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("resolve %s: port: %w", address, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.limit)
	defer cancel()
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip"+strings.TrimLeft(network, "tcpud"), host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	best := list[0].Unmap()
	for _, a := range list {
		if a = a.Unmap(); a.Is4() && !best.Is4() {
			best = a
		}
	}
	return netip.AddrPortFrom(best, uint16(port)), nil
}
