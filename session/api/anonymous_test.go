package api

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
)

// A server without a configured credential admits its own token and nothing else, from this machine or any other.
func TestOwnToken(t *testing.T) {
	const own = "own-0123456789abcdef"
	s, _ := newServer(t, Config{OwnToken: own, Limits: edge.Limits{Attempts: 1000}}, healthy())
	routes := []ask{
		{method: "GET", path: "/v1/host"},
		{method: "GET", path: "/v1/sessions"},
		{method: "GET", path: "/metrics"},
		{method: "PUT", path: "/v1/sessions/s1/control"},
		{method: "POST", path: "/whep/default", body: "v=0"},
		{method: "POST", path: "/v1/reload"},
	}
	for _, a := range routes {
		for name, header := range map[string]map[string]string{
			"nothing":       {},
			"a wrong token": bearer("wrong-0123456789ab"), "an empty token": bearer(""),
		} {
			a.remote, a.header = "127.0.0.1:1", header
			header["Content-Type"] = whep.TypeSDP
			if got := refusal(t, a.do(s.Handler())); got != problem.Unauthorized {
				t.Errorf("%s %s with %s: %s", a.method, a.path, name, got)
			}
		}
	}
	if r := (ask{
		method: "GET", path: "/v1/sessions",
		header: bearer(own),
	}).do(s.Handler()); r.StatusCode != http.StatusOK {
		t.Errorf("with its own token: %d %s", r.StatusCode, r.body)
	}
	// A configured credential replaces the own token; without one the own token is valid again.
	for _, next := range []struct {
		cfg       Config
		good, bad string
	}{
		{Config{OwnToken: own, Token: token}, token, own},
		{Config{OwnToken: own}, own, token},
	} {
		apply, err := s.Prepare(next.cfg)
		if err != nil {
			t.Fatal(err)
		}
		apply()
		for shown, want := range map[string]int{next.good: http.StatusOK, next.bad: http.StatusUnauthorized} {
			if r := (ask{
				method: "GET", path: "/v1/host",
				header: bearer(shown),
			}).do(s.Handler()); r.StatusCode != want {
				t.Errorf("%s: %d; want %d", shown, r.StatusCode, want)
			}
		}
	}
}

// A server without any token admits nobody.
func TestWithoutAnyToken(t *testing.T) {
	s, _ := newServer(t, Config{OwnToken: "-"}, healthy())
	apply, err := s.Prepare(Config{})
	if err != nil {
		t.Fatal(err)
	}
	apply()
	for _, header := range []map[string]string{nil, bearer(""), bearer("-")} {
		if got := refusal(t, ask{
			method: "GET", path: "/v1/host",
			header: header,
		}.do(s.Handler())); got != problem.Unauthorized {
			t.Errorf("%v: %s", header, got)
		}
	}
}

// If configured, anonymous clients are viewers: they watch, but neither control nor operate. Their sessions end when
// the setting is removed.
func TestAnonymousViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := healthy()
		s, _ := newServer(t, Config{OwnToken: token, AnonymousRole: AnonymousViewer}, m)
		go s.watch(t.Context())
		defer close(s.stopping)
		open := ask{
			method: "POST", path: "/whep/default", body: "v=0", remote: "127.0.0.1:4000",
			header: map[string]string{"Content-Type": whep.TypeSDP},
		}
		if r := open.do(s.Handler()); r.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		want := session.Owner{Credential: session.CredentialAnonymous, Name: "127.0.0.1/32"}
		if o := m.offers[0]; o.Owner != want || o.Role != session.RoleViewer {
			t.Errorf("the session is of %+v as %v; want %+v as a viewer", o.Owner, o.Role, want)
		}
		for _, a := range []ask{{method: "GET", path: "/v1/host"}, {
			method: "PUT",
			path:   "/v1/sessions/s1/control",
		}, {method: "POST", path: "/v1/reload"}, {method: "GET", path: "/metrics"}} {
			if got := refusal(t, a.do(s.Handler())); got != problem.Forbidden {
				t.Errorf("%s %s: %s", a.method, a.path, got)
			}
		}
		if got := refusal(t, ask{
			method: "GET", path: "/v1/host",
			header: bearer("wrong-0123456789ab"),
		}.do(s.Handler())); got != problem.Unauthorized {
			t.Errorf("a wrong token is taken for none: %s", got)
		}
		// An anonymous client does not make its network known: it has shown nothing.
		far := ask{method: "GET", path: "/v1/host", remote: "192.0.2.9:1"}
		if got := refusal(t, far.do(s.Handler())); got != problem.Forbidden {
			t.Errorf("an anonymous client of another machine: %s", got)
		}
		if s.limiter.Known(edge.Network(far.remote)) {
			t.Error("an anonymous client makes its network known")
		}
		apply, err := s.Prepare(Config{OwnToken: token})
		if err != nil {
			t.Fatal(err)
		}
		apply()
		time.Sleep(2 * sweepInterval)
		synctest.Wait()
		if got := m.ends(); len(got) != 1 || got[0] != session.EndRevoked {
			t.Errorf("ended %v; want one session, as revoked", got)
		}
		if got := refusal(t, open.do(s.Handler())); got != problem.Unauthorized {
			t.Errorf("afterwards: %s", got)
		}
	})
}
