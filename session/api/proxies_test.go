package api

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"wavryhost/session/api/problem"

	"github.com/prometheus/client_golang/prometheus"
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
		{ProxyXForwardedFor, "127.0.0.1:5", []string{"192.0.2.66, 203.0.113.7"}, "203.0.113.7:0"}, // what the client said of itself
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
		{ProxyForwarded, "127.0.0.1:5", []string{`for=192.0.2.66, For="[2001:db8:2::7]:443"; by="a,b;c\""`}, "[2001:db8:2::7]:0"},
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
		known := proxies{trusted: trusted, header: c.header}.resolve(r)
		if known != (c.want != "") || known && r.RemoteAddr != c.want {
			t.Errorf("%+v: known %v, %s", c, known, r.RemoteAddr)
		}
	}
}

func TestForwardedHostIsTheOneAskedFor(t *testing.T) {
	s, _ := newServer(t, Config{Token: token, AllowedHosts: []string{"screens.example"}, TrustedProxies: prefixes("127.0.0.1/32")}, healthy())
	for host, want := range map[string]int{"screens.example": http.StatusOK, "evil.example": http.StatusForbidden} {
		for remote, status := range map[string]int{"127.0.0.1:9": want, "192.0.2.7:9": http.StatusOK} {
			resp := ask{method: "GET", path: "/v1/host", remote: remote, header: map[string]string{
				"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Host": host, "Authorization": "Bearer " + token,
			}}.do(s.Handler())
			if resp.StatusCode != status {
				t.Errorf("X-Forwarded-Host %s from %s: %d; want %d", host, remote, resp.StatusCode, status)
			}
		}
	}
}

// Wrong tokens of one client behind a proxy lock out that client, and nobody else; sessions and the log have its address.
func TestLimitsFollowTheClientBehindAProxy(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	m := obliging()
	s, err := New(Config{Token: token, TrustedProxies: prefixes("127.0.0.0/8")}, m, reg, NewMetrics(reg), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	from := func(client, token string) reply {
		h := sdp("Authorization", "Bearer "+token)
		h["X-Forwarded-For"] = "198.51.100.99, " + client // the first one is made up
		return ask{method: "POST", path: "/whep/default", body: offer, header: h, remote: "127.0.0.1:9"}.do(s.Handler())
	}
	for range 20 {
		from("203.0.113.66", "wrong")
	}
	if got := refusal(t, from("203.0.113.66", token)); got != problem.TooManyAttempts {
		t.Errorf("the attacker gets %s", got)
	}
	if resp := from("203.0.113.7", token); resp.StatusCode != http.StatusCreated {
		t.Errorf("another client gets %d", resp.StatusCode)
	}
	if got := m.offers[0].RemoteAddr; got != "203.0.113.7:0" || !strings.Contains(log.String(), "remote=203.0.113.7:0") {
		t.Errorf("the session is of %s\n%s", got, log.String())
	}
	if strings.Contains(log.String(), "remedy") {
		t.Errorf("a proxy that is trusted is complained of:\n%s", log.String())
	}
}

// A proxy on this machine that is not trusted makes nobody a user of this machine, and what its clients do wrong is not this machine's doing. The log says so, once.
func TestUntrustedProxyOnThisMachine(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s, err := New(Config{Token: token, Limits: Limits{InAll: 10}}, obliging(), reg, NewMetrics(reg), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	through := func(token string) reply {
		return ask{method: "GET", path: "/v1/host", remote: "127.0.0.1:9", header: map[string]string{
			"X-Forwarded-For": "203.0.113.7", "Authorization": "Bearer " + token,
		}}.do(s.Handler())
	}
	locked := false
	for range 15 {
		locked = refusal(t, through("wrong")) == problem.TooManyAttempts
	}
	if !locked {
		t.Error("guesses through the proxy are not limited")
	}
	resp := ask{method: "GET", path: "/v1/host", remote: "127.0.0.1:9", header: map[string]string{"Authorization": "Bearer " + token}}.do(s.Handler())
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a user of this machine gets %d", resp.StatusCode)
	}
	limited := false
	for range 40 {
		limited = (ask{method: "GET", path: "/healthz", remote: "127.0.0.1:9", header: map[string]string{"Via": "1.1 proxy"}}).do(s.Handler()).StatusCode == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("clients of the proxy are exempt from the limit on all requests")
	}
	if n := strings.Count(log.String(), "trusted_proxies"); n != 1 {
		t.Errorf("the setting is named %d times:\n%s", n, log.String())
	}
}

// TestProxyProtocol has a trusted proxy speak either version of the PROXY protocol, and others try to.
func TestProxyProtocol(t *testing.T) {
	v2 := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), 203, 0, 113, 8, 127, 0, 0, 1, 0x30, 0x39, 0x21, 0x16)
	const request = "POST /whep/default HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-For: 198.51.100.1\r\nAuthorization: Bearer " + token +
		"\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0"
	for _, c := range []struct {
		name    string
		trusted []netip.Prefix
		header  string
		want    string // of the session; empty for no session
	}{
		{"version 1", prefixes("127.0.0.0/8"), "PROXY TCP4 203.0.113.7 127.0.0.1 12345 8470\r\n", "203.0.113.7:12345"},
		{"version 2", prefixes("127.0.0.0/8"), string(v2), "203.0.113.8:12345"},
		{"a check of the proxy's own", prefixes("127.0.0.0/8"), "PROXY UNKNOWN\r\n", "127.0.0.1"},
		{"none", prefixes("127.0.0.0/8"), "", ""},
		{"broken", prefixes("127.0.0.0/8"), "PROXY TCP4 nonsense\r\n", ""},
		{"by a stranger", prefixes("10.0.0.0/8"), "PROXY TCP4 203.0.113.7 127.0.0.1 12345 8470\r\n", ""},
		{"a stranger without", prefixes("10.0.0.0/8"), "", "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := obliging()
			addr, _ := run(t, Config{Token: token, TrustedProxies: c.trusted, ProxyHeader: ProxyProtocol}, m)
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, c.header+request); err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(conn) // a connection that is refused may be reset
			got := ""
			for _, o := range m.offers {
				got = o.RemoteAddr
			}
			if c.want == "" != (got == "") || !strings.HasPrefix(got, c.want) {
				t.Errorf("the session is of %q; want %q\n%s", got, c.want, answer)
			}
		})
	}
}

// FuzzForwarded: what clients and proxies say is read without a panic, and never makes a stranger somebody that no proxy named.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"203.0.113.7", "a, b", `for="[::1]:80";by=x, for=_h`, `"\`, ",,,", "for=\"a,b", "%", "[::1%25eth0]"} {
		f.Add(s, "127.0.0.1:1")
	}
	f.Fuzz(func(t *testing.T, header, peer string) {
		for _, kind := range []string{ProxyXForwardedFor, ProxyForwarded} {
			r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {header}, "Forwarded": {header}}, URL: new(url.URL), Host: "x"}
			p := proxies{trusted: prefixes("127.0.0.0/8"), header: kind}
			if known := p.resolve(r); !known || r.RemoteAddr == peer {
				continue
			}
			at, err := netip.ParseAddrPort(r.RemoteAddr)
			if err != nil || !at.Addr().IsValid() {
				t.Errorf("%q from %s: %s", header, peer, r.RemoteAddr)
			}
		}
	})
}
