package edge

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestClientBehindProxies(t *testing.T) {
	trusted := prefixes("127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48")
	for _, c := range []struct {
		header, peer string
		lines        []string
		want         string
	}{
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"203.0.113.7"}, "203.0.113.7:0"},
		// What the client claimed.
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"192.0.2.66, 203.0.113.7"}, "203.0.113.7:0"},
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"192.0.2.66", "203.0.113.7, 10.1.1.1"}, "203.0.113.7:0"},
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"nonsense, 203.0.113.7"}, "203.0.113.7:0"},
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"203.0.113.7:4711"}, "203.0.113.7:0"},
		{ProxyXForwardedFor, "[::ffff:127.0.0.1]:5", []string{"::ffff:203.0.113.7"}, "203.0.113.7:0"},
		{ProxyXForwardedFor, "[2001:db8:1::9]:5", []string{"[2001:db8:2::7]:443"}, "[2001:db8:2::7]:0"},
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"fe80::1%eth0"}, "[fe80::1]:0"},
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"10.1.1.1"}, "10.1.1.1:0"}, // a proxy that asks on its own account
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"unknown"}, ""},
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"203.0.113.7, "}, ""},
		{ProxyXForwardedFor, "192.0.2.9:5", []string{"203.0.113.7"}, "192.0.2.9:5"}, // not trusted: hearsay
		{ProxyXForwardedFor, "127.0.0.1:5", nil, ""},
		{ProxyForwarded, "127.0.0.1:5", []string{"for=203.0.113.7;proto=https"}, "203.0.113.7:0"},
		{
			ProxyForwarded, "127.0.0.1:5",
			[]string{`for=192.0.2.66, For="[2001:db8:2::7]:443"; by="a,b;c\""`},
			"[2001:db8:2::7]:0",
		},
		{ProxyForwarded, "127.0.0.1:5", []string{"for=_hidden"}, ""},
		{ProxyForwarded, "127.0.0.1:5", []string{"proto=https"}, ""},
		{ProxyForwarded, "127.0.0.1:5", []string{`for="203.0.113.7`}, "203.0.113.7:0"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/host", nil)
		r.RemoteAddr = c.peer
		name := "X-Forwarded-For"
		if c.header == ProxyForwarded {
			name = "Forwarded"
			r.Header.Set("X-Forwarded-For", "198.51.100.1") // by the client: the proxy sets the other one
		}
		for _, l := range c.lines {
			r.Header.Add(name, l)
		}
		known := Proxies{Trusted: trusted, Header: c.header}.Resolve(r)
		if known != (c.want != "") || known && r.RemoteAddr != c.want {
			t.Errorf("%+v: known %v, %s", c, known, r.RemoteAddr)
		}
	}
}

// FuzzForwarded reads headers of clients and proxies: no panic, and no client gets an address that no trusted proxy
// named.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"203.0.113.7", "a, b", `for="[::1]:80";by=x, for=_h`, `"\`, ",,,", "for=\"a,b",
		"%", "[::1%25eth0]",
	} {
		f.Add(s, "127.0.0.1:1")
	}
	f.Fuzz(func(t *testing.T, header, peer string) {
		for _, kind := range []string{ProxyXForwardedFor, ProxyForwarded} {
			r := &http.Request{RemoteAddr: peer, Header: http.Header{
				"X-Forwarded-For": {header},
				"Forwarded":       {header},
			}, URL: new(url.URL), Host: "x"}
			p := Proxies{Trusted: prefixes("127.0.0.0/8"), Header: kind}
			if known := p.Resolve(r); !known || r.RemoteAddr == peer {
				continue
			}
			at, err := netip.ParseAddrPort(r.RemoteAddr)
			if err != nil || !at.Addr().IsValid() {
				t.Errorf("%q from %s: %s", header, peer, r.RemoteAddr)
			}
		}
	})
}
