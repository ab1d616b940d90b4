package session

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

// boundedNet is the system's network with an end to what pion waits for without one: the resolver, and connections to TURN servers over TCP. One that swallows
// all packets would hold a session, and the daemon's own end, for two minutes.
type boundedNet struct {
	transport.Net
	limit time.Duration
}

// newNetwork returns the network for one session, with the interfaces that there are now. What is not there within limit is of no use to the session.
func newNetwork(limit time.Duration) (transport.Net, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	return boundedNet{n, limit}, nil
}

// DialTCP is as net.DialTCP.
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

// ResolveUDPAddr is as net.ResolveUDPAddr.
func (b boundedNet) ResolveUDPAddr(network, address string) (*net.UDPAddr, error) {
	at, err := b.resolve(network, address)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(at), nil
}

// ResolveTCPAddr is as net.ResolveTCPAddr.
func (b boundedNet) ResolveTCPAddr(network, address string) (*net.TCPAddr, error) {
	at, err := b.resolve(network, address)
	if err != nil {
		return nil, err
	}
	return net.TCPAddrFromAddrPort(at), nil
}

// resolve returns the first address of a name, of IPv4 where the network has both.
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
