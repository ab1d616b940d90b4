package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/pires/go-proxyproto"
)

// How trusted proxies tell who their clients are: the values of Config.ProxyHeader.
const (
	ProxyXForwardedFor = "x-forwarded-for"
	ProxyForwarded     = "forwarded"
	ProxyProtocol      = "proxy-protocol"
)

// ProxyHeaders returns all values of Config.ProxyHeader, the default first.
func ProxyHeaders() []string { return []string{ProxyXForwardedFor, ProxyForwarded, ProxyProtocol} }

// unnamedClient stands for the address of clients that a proxy does not name, or whose proxy is not trusted. They share the limits of one network, which is not this machine:
// its own users are neither locked out with them nor exempt like them.
const unnamedClient = "0.0.0.0:0"

// proxies are the reverse proxies whose word on their clients is taken.
type proxies struct {
	trusted []netip.Prefix
	header  string
}

// trusts reports whether an address is a trusted proxy's.
func (p proxies) trusts(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(p.trusted, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// trustsPeer reports whether a connection comes from a trusted proxy.
func (p proxies) trustsPeer(remote net.Addr) bool {
	at, err := netip.ParseAddrPort(remote.String())
	return err == nil && p.trusts(at.Addr())
}

// forwardingHeaders are those by which proxies tell of their clients.
var forwardingHeaders = []string{"X-Forwarded-For", "Forwarded", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// resolve sets where a request comes from, and the host that it names, to what a trusted proxy says. It reports whether the client is known: a proxy on this machine that is not trusted, or
// one that names nobody, hides it.
func (p proxies) resolve(r *http.Request) (known bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return true
	}
	told := slices.ContainsFunc(forwardingHeaders, func(name string) bool { return r.Header.Get(name) != "" })
	switch {
	case p.header == ProxyProtocol || !p.trusts(peer.Addr()):
		return !told || !peer.Addr().Unmap().IsLoopback()
	case !told:
		return probes(r) // its own
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

// client returns whom the last proxy that is not trusted, or the client itself, is at. Each proxy adds to the end of the list whom it was called by, so that what is before the first address that
// is not a trusted proxy's is hearsay.
func (p proxies) client(peer netip.Addr, hops []string) (_ netip.Addr, ok bool) {
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

// hops returns what a header lists, as it is.
func (p proxies) hops(h http.Header) []string {
	if p.header == ProxyForwarded {
		return forwardedFor(strings.Join(h.Values("Forwarded"), ","))
	}
	return strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
}

// parseHop reads an address with or without a port, as either header has them.
func parseHop(s string) (netip.Addr, error) {
	s = strings.TrimSpace(s)
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Addr().Unmap().WithZone(""), nil
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return addr.Unmap().WithZone(""), err
}

// forwardedFor returns the for= parameters of a Forwarded header (RFC 7239 section 4), empty for an element without one.
func forwardedFor(header string) []string {
	var list []string
	for _, element := range cutQuoted(header, ',') {
		client := ""
		for _, pair := range cutQuoted(element, ';') {
			if name, value, ok := strings.Cut(pair, "="); ok && strings.EqualFold(strings.TrimSpace(name), "for") {
				client = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
		list = append(list, client)
	}
	return list
}

// cutQuoted splits at a separator outside quotes.
func cutQuoted(s string, sep byte) []string {
	var parts []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// clientOf returns the address that a request counts for.
func clientOf(r *http.Request) string {
	if hidden, _ := r.Context().Value(hiddenKey{}).(bool); hidden {
		return unnamedClient
	}
	return r.RemoteAddr
}

// hiddenKey is where a request's context says that its client is not known.
type hiddenKey struct{}

func withHidden(ctx context.Context) context.Context {
	return context.WithValue(ctx, hiddenKey{}, true)
}

// proxied resolves where requests come from before anything looks at them.
func (s *Server) proxied(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := s.live.Load().proxies
		if !p.resolve(r) {
			s.hidden.Do(func() {
				s.log.Warn("requests come through a proxy that does not tell who its clients are, or is not trusted: all of them share the limits of one client",
					"proxy", r.RemoteAddr, "remedy", "set trusted_proxies and proxy_header, and have the proxy set that header")
			})
			*r = *r.WithContext(withHidden(r.Context())) // what is outside reads the pattern that the mux notes in it
		}
		next.ServeHTTP(w, r)
	})
}

// unwrapped is a listener whose trusted proxies begin each connection by a header of the PROXY protocol, which others must not send.
func (s *Server) unwrapped(ln net.Listener) net.Listener {
	if s.cfg.ProxyHeader != ProxyProtocol {
		return ln
	}
	return &proxyproto.Listener{
		Listener: ln, ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if s.live.Load().proxies.trustsPeer(o.Upstream) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}
}
