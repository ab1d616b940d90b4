package edge

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"
)

// How trusted proxies name their clients: the values of Proxies.Header.
const (
	ProxyXForwardedFor = "x-forwarded-for"
	ProxyForwarded     = "forwarded"
	ProxyProtocol      = "proxy-protocol"
)

// ProxyHeaders returns all values of Proxies.Header, the default first.
func ProxyHeaders() []string { return []string{ProxyXForwardedFor, ProxyForwarded, ProxyProtocol} }

// unnamedClient stands for the address of clients that a proxy does not name, or whose proxy is not trusted. They
// share the limits of one network. That network is not this machine, so the machine's own users are neither locked out
// with those clients nor do those clients get the users' exemptions.
const unnamedClient = "0.0.0.0:0"

// Proxies are the reverse proxies that are trusted to name their clients.
type Proxies struct {
	Trusted []netip.Prefix
	Header  string
}

// trusts reports whether an address is a trusted proxy's.
func (p Proxies) trusts(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(p.Trusted, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// TrustsPeer reports whether a connection comes from a trusted proxy.
func (p Proxies) TrustsPeer(remote net.Addr) bool {
	at, err := netip.ParseAddrPort(remote.String())
	return err == nil && p.trusts(at.Addr())
}

// forwardingHeaders are the headers in which proxies describe their clients.
var forwardingHeaders = []string{"X-Forwarded-For", "Forwarded", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// Resolve sets the remote address and the host of r to what a trusted proxy says, and removes the proxy's headers. If
// the client is not known, Resolve marks r and returns false: the proxy is on this machine and not trusted, or names
// nobody.
func (p Proxies) Resolve(r *http.Request) (known bool) {
	if p.resolve(r) {
		return true
	}
	// r is changed in place: the outer handlers read the pattern that the mux notes in it.
	*r = *r.WithContext(context.WithValue(r.Context(), hiddenKey{}, true))
	return false
}

func (p Proxies) resolve(r *http.Request) (known bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return true
	}
	forwarded := slices.ContainsFunc(forwardingHeaders, func(name string) bool { return r.Header.Get(name) != "" })
	switch {
	case p.Header == ProxyProtocol || !p.trusts(peer.Addr()):
		return !forwarded || !peer.Addr().Unmap().IsLoopback()
	case !forwarded:
		return isProbe(r) // a health check of the proxy itself
	}
	client, ok := p.client(peer.Addr(), p.hops(r.Header))
	if host := r.Header.Get("X-Forwarded-Host"); host != "" {
		r.Host = strings.TrimSpace(host[strings.LastIndex(host, ",")+1:])
	}
	for _, name := range forwardingHeaders {
		r.Header.Del(name)
	}
	if ok {
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	return ok
}

// client returns the last address in the list that is not a trusted proxy's. Each proxy appends the address of its
// caller, so what is before that address cannot be verified. If all hops are trusted, the first one is the client.
func (p Proxies) client(peer netip.Addr, hops []string) (_ netip.Addr, ok bool) {
	at := peer
	for _, hop := range slices.Backward(hops) {
		next, err := parseHop(hop)
		if err != nil {
			return netip.Addr{}, false
		}
		if at = next; !p.trusts(at) {
			return at, true
		}
	}
	return at, at != peer
}

// hops returns the entries of the header, unparsed.
func (p Proxies) hops(h http.Header) []string {
	if p.Header == ProxyForwarded {
		return forwardedFor(strings.Join(h.Values("Forwarded"), ","))
	}
	return strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
}

// hiddenKey marks the context of a request whose client is not known.
type hiddenKey struct{}

// ClientOf returns the address that a request counts for.
func ClientOf(r *http.Request) string {
	if hidden, _ := r.Context().Value(hiddenKey{}).(bool); hidden {
		return unnamedClient
	}
	return r.RemoteAddr
}

// ProxyListener returns a listener that reads a header of the PROXY protocol from each connection of a trusted proxy.
// Other clients must not send such a header.
func ProxyListener(ln net.Listener, timeout time.Duration, trusted func(net.Addr) bool) net.Listener {
	return &proxyproto.Listener{
		Listener: ln, ReadHeaderTimeout: timeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if trusted(o.Upstream) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}
}
