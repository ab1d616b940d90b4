package api

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"wavryhost/session/api/edge"
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

func TestForwardedHostIsTheOneAskedFor(t *testing.T) {
	s, _ := newServer(t, Config{
		Token: token, AllowedHosts: []string{"screens.example"},
		TrustedProxies: prefixes("127.0.0.1/32"),
	}, healthy())
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

// Wrong tokens of one client behind a proxy lock out that client only. Sessions and the log have the client's address.
func TestLimitsFollowTheClientBehindAProxy(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	m := obliging()
	s, err := New(Config{Token: token, TrustedProxies: prefixes("127.0.0.0/8")}, m, reg, NewMetrics(reg),
		slog.New(slog.NewTextHandler(&log, nil)))
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
	if got := m.offers[0].RemoteAddr; got != "203.0.113.7:0" || !strings.Contains(log.String(),
		"remote=203.0.113.7:0") {
		t.Errorf("the session is of %s\n%s", got, log.String())
	}
	if strings.Contains(log.String(), "remedy") {
		t.Errorf("a proxy that is trusted is complained of:\n%s", log.String())
	}
}

// Clients behind an untrusted proxy on this machine do not count as users of this machine, and do not lock them out.
// The log says so, once.
func TestUntrustedProxyOnThisMachine(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s, err := New(Config{Token: token, Limits: edge.Limits{InAll: 10}}, obliging(), reg, NewMetrics(reg),
		slog.New(slog.NewTextHandler(&log, nil)))
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
	resp := ask{
		method: "GET", path: "/v1/host", remote: "127.0.0.1:9",
		header: map[string]string{"Authorization": "Bearer " + token},
	}.do(s.Handler())
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a user of this machine gets %d", resp.StatusCode)
	}
	limited := false
	for range 40 {
		limited = (ask{
			method: "GET", path: "/healthz", remote: "127.0.0.1:9",
			header: map[string]string{"Via": "1.1 proxy"},
		}).do(s.Handler()).StatusCode == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("clients of the proxy are exempt from the limit on all requests")
	}
	if n := strings.Count(log.String(), "api.trusted_proxies"); n != 1 {
		t.Errorf("the setting is named %d times:\n%s", n, log.String())
	}
}

// A trusted proxy may use either version of the PROXY protocol; others must not.
func TestProxyProtocol(t *testing.T) {
	v2 := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), 203, 0, 113, 8, 127, 0, 0, 1, 0x30, 0x39, 0x21, 0x16)
	const request = "POST /whep/default HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" +
		"X-Forwarded-For: 198.51.100.1\r\nAuthorization: Bearer " + token +
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
			addr, _ := run(t, Config{Token: token, TrustedProxies: c.trusted, ProxyHeader: edge.ProxyProtocol}, m)
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
