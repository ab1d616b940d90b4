package api

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
	"wavryhost/session/relay"
)

// Only a client that may open a session on the display gets the credentials of relays.
func TestRelayCredentialsAreForViewers(t *testing.T) {
	file, of := tokens(t)
	i, v := newIssuer(t)
	m := healthy()
	m.list[0].Credential, m.list[0].Issuer, m.list[0].Subject = session.CredentialGrant, "i", "ann"
	m.servers = func(string, string, time.Time) []relay.Server {
		return []relay.Server{{URLs: []string{"turn:t.example"}, Username: "u", Credential: "c"}}
	}
	s, _ := newServer(t, Config{Token: token, TokensFile: file, Grants: v}, m)
	limited := i.sign("j1", "ann", `{"role":"viewer","displays":["x11:0"]}`)
	for _, c := range []struct {
		who, shown, path string
		want             bool
	}{
		{"nobody", "", "/whep/x11:0", false},
		{"operator", token, "/whep/x11:0", true},
		{"operator", token, "/whep/sessions/s1", true},
		{"viewer's token", of["viewer"], "/whep/default", true},
		{"viewer's token, another's session", of["viewer"], "/whep/sessions/s1", false},
		{"controller's token", of["controller"], "/whep/default", true},
		{"metrics", of["metrics"], "/whep/default", false},
		{"metrics", of["metrics"], "/whep/sessions/s1", false},
		{"grant for metrics", i.sign("j2", "bob", `{"role":"metrics"}`), "/whep/default", false},
		{"grant for this display", limited, "/whep/x11:0", true},
		{"grant for this display, as the default", limited, "/whep/default", true},
		{"grant for another display", limited, "/whep/x11:1", false},
		{"grant of the session's owner", limited, "/whep/sessions/s1", true},
		{"grant of another", i.sign("j3", "bob", `{"role":"viewer"}`), "/whep/sessions/s1", false},
		{"operator", token, "/v1/host", false},
	} {
		q := ask{method: "OPTIONS", path: c.path}
		if c.shown != "" {
			q.header = bearer(c.shown)
		}
		r := q.do(s.Handler())
		if r.StatusCode != http.StatusNoContent {
			t.Errorf("%s, %s: %d", c.who, c.path, r.StatusCode)
		}
		if got := len(r.Header["Link"]) > 0; got != c.want {
			t.Errorf("%s, %s: links %v; want %v", c.who, c.path, got, c.want)
		}
	}
	if got := refusal(t, ask{
		method: "OPTIONS", path: "/whep/default",
		header: bearer("wrong"),
	}.do(s.Handler())); got != problem.Unauthorized {
		t.Errorf("a wrong token: %s", got)
	}
}

// The credentials of a relay do not outlive the grant of the client.
func TestRelayCredentialsEndWithTheGrant(t *testing.T) {
	i, v := newIssuer(t)
	m := healthy()
	m.servers = func(_, user string, last time.Time) []relay.Server {
		shared := relay.Server{URLs: []string{"turn:t.example"}, Secret: "s", Lifetime: 12 * time.Hour}
		return []relay.Server{shared.For(user, time.Now(), last)}
	}
	s, _ := newServer(t, Config{Token: token, Grants: v}, m)
	expires := time.Now().Add(time.Hour)
	granted := i.signFor("j1", "ann", `{"role":"viewer"}`, time.Now(), expires)
	until := func(shown, method string) time.Time {
		header := bearer(shown)
		header["Content-Type"] = whep.TypeSDP
		r := ask{method: method, path: "/whep/default", header: header, body: "v=0"}.do(s.Handler())
		_, name, _ := strings.Cut(strings.Join(r.Header["Link"], ""), `username="`)
		seconds, _, _ := strings.Cut(name, ":")
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			t.Fatalf("%v: %v", err, r.Header)
		}
		return time.Unix(n, 0)
	}
	for _, method := range []string{"OPTIONS", "POST"} {
		if got := until(granted, method); got.After(expires) {
			t.Errorf("%s: good until %v; the grant ends at %v", method, got, expires)
		}
		if got := until(token, method); time.Until(got) < 11*time.Hour {
			t.Errorf("%s by the operator: good until %v", method, got)
		}
	}
}
