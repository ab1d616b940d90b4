package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
)

// openings are the two requests that open a session.
func openings(header map[string]string) map[string]ask {
	whep, control := map[string]string{"Content-Type": typeSDP}, map[string]string{"Content-Type": content.JSON}
	for name, value := range header {
		whep[name], control[name] = value, value
	}
	return map[string]ask{
		"POST /whep":        {method: "POST", path: "/whep/x11:0", header: whep, body: "v=0"},
		"POST /v1/sessions": {method: "POST", path: "/v1/sessions", header: control, body: `{"display": "x11:0", "sdp": "v=0"}`},
	}
}

// While a session is being created it is in no list, so that who revokes its grant meanwhile finds nothing to end.
func TestGrantRevokedDuringCreation(t *testing.T) {
	i, v := newIssuer(t)
	for _, what := range []string{`{"grant": "j1"}`, `{"subject": "ann"}`} {
		for name, q := range openings(bearer(i.sign("j1", "ann", `{"role":"operator"}`))) {
			m := healthy()
			entered, leave := make(chan struct{}), make(chan struct{})
			m.create = func(context.Context, session.Offer) (session.Answer, error) {
				close(entered)
				<-leave
				return session.Answer{ID: "s1", SDP: "v=0", ETag: `"e"`}, nil
			}
			s, _ := newServer(t, Config{Token: token, Grants: v}, m)
			answer := make(chan reply, 1)
			go func() { answer <- q.do(s.Handler()) }()
			<-entered
			header := bearer(token)
			header["Content-Type"] = content.JSON
			decode(t, ask{method: "POST", path: "/v1/revocations", header: header, body: what}.do(s.Handler()), http.StatusOK)
			close(leave)
			if got := refusal(t, <-answer); got != problem.Unauthorized {
				t.Errorf("%s, %s: %s", name, what, got)
			}
			if !slices.Equal(m.ended, []session.EndReason{session.EndRevoked}) {
				t.Errorf("%s, %s: ended %v; want revoked", name, what, m.ended)
			}
		}
	}
}

func TestGrantThatExpiresDuringCreation(t *testing.T) {
	for name := range openings(nil) {
		synctest.Test(t, func(t *testing.T) {
			i, v := newIssuer(t)
			now := time.Now()
			q := openings(bearer(i.signFor("j1", "ann", `{"role":"operator"}`, now, now.Add(time.Minute))))[name]
			m := healthy()
			m.create = func(context.Context, session.Offer) (session.Answer, error) {
				time.Sleep(10 * time.Second)
				return session.Answer{ID: "s1", SDP: "v=0", ETag: `"e"`}, nil
			}
			s, _ := newServer(t, Config{Grants: v}, m)
			time.Sleep(55 * time.Second)
			if got := refusal(t, q.do(s.Handler())); got != problem.Unauthorized {
				t.Errorf("%s: %s", name, got)
			}
			if !slices.Equal(m.ended, []session.EndReason{session.EndExpired}) {
				t.Errorf("%s: ended %v; want expired", name, m.ended)
			}
			// What clocks may differ by opens no session: it would end at once.
			if got := refusal(t, q.do(s.Handler())); got != problem.Unauthorized || len(m.offers) != 1 {
				t.Errorf("%s after it expired: %s, %d offers", name, got, len(m.offers))
			}
		})
	}
}

// A grant for one session is good again when the client was gone before it got its answer.
func TestGrantForOneSessionOutlivesItsClient(t *testing.T) {
	i, v := newIssuer(t)
	m := healthy()
	s, _ := newServer(t, Config{Grants: v}, m)
	q := openings(bearer(i.sign("j1", "ann", `{"role":"viewer","once":true}`)))["POST /whep"]
	gone, cancel := context.WithCancel(t.Context())
	m.create = func(context.Context, session.Offer) (session.Answer, error) {
		cancel()
		return session.Answer{ID: "s1", SDP: "v=0", ETag: `"e"`}, nil
	}
	r := httptest.NewRequestWithContext(gone, q.method, q.path, strings.NewReader(q.body))
	r.Host = "127.0.0.1:8470"
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != problem.ClientGone.Status() {
		t.Errorf("gone: %d", w.Code)
	}
	m.create = nil
	if r := q.do(s.Handler()); r.StatusCode != http.StatusCreated {
		t.Errorf("again: %d %s", r.StatusCode, r.body)
	}
	if got := refusal(t, q.do(s.Handler())); got != problem.Forbidden {
		t.Errorf("replayed: %s", got)
	}
}

// A restart makes no grant good again that had its session, and costs nobody his whose session did not come about.
func TestGrantForOneSessionStaysUsed(t *testing.T) {
	i, _ := newIssuer(t)
	path := filepath.Join(t.TempDir(), "used")
	start := func(m *fakeManager) http.Handler {
		s, _ := newServer(t, Config{Grants: i.verifier(t, path)}, m)
		return s.Handler()
	}
	opens := func(id string) ask {
		return openings(bearer(i.sign(id, "ann", `{"role":"viewer","once":true}`)))["POST /whep"]
	}
	m := healthy()
	h := start(m)
	if r := opens("j1").do(h); r.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	m.create = func(context.Context, session.Offer) (session.Answer, error) { return session.Answer{}, session.ErrFull }
	if got := refusal(t, opens("j2").do(h)); got != problem.Full {
		t.Errorf("%s", got)
	}
	h = start(healthy())
	if got := refusal(t, opens("j1").do(h)); got != problem.Forbidden {
		t.Errorf("after a restart: %s; want forbidden", got)
	}
	if r := opens("j2").do(h); r.StatusCode != http.StatusCreated {
		t.Errorf("the one that was refused before: %d %s", r.StatusCode, r.body)
	}
}

// What a subject had is revoked by whatever clock it was issued, and what it gets later is good.
func TestRevokedSubjectWhoseIssuerIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := newIssuer(t)
		s, _ := newServer(t, Config{Token: token, Grants: v}, healthy())
		get := func(id string, issued time.Time, lives time.Duration) int {
			signed := i.signFor(id, "ann", `{"role":"operator"}`, issued, issued.Add(lives))
			return ask{method: "GET", path: "/v1/host", header: bearer(signed)}.do(s.Handler()).StatusCode
		}
		at := time.Now()
		const day = 24 * time.Hour
		if got := get("before", at.Add(grant.Leeway), day); got != http.StatusOK {
			t.Fatalf("before: %d", got)
		}
		header := bearer(token)
		header["Content-Type"] = content.JSON
		decode(t, ask{method: "POST", path: "/v1/revocations", header: header, body: `{"subject": "ann"}`}.do(s.Handler()), http.StatusOK)
		for name, issued := range map[string]time.Time{"ahead": at.Add(grant.Leeway), "ours": at, "behind": at.Add(-grant.Leeway)} {
			if got := get(name, issued, day); got != http.StatusUnauthorized {
				t.Errorf("issued by the clock %s: %d; want 401", name, got)
			}
		}
		time.Sleep(time.Second)
		if got := get("after", at.Add(grant.Leeway+time.Second), day); got != http.StatusOK {
			t.Errorf("issued after it: %d; want 200", got)
		}
		// The last moment of the last grant that is revoked: it is remembered until then, however many follow.
		time.Sleep(time.Until(at.Add(v.Outlived() - time.Second)))
		for n := range maxRevoked - 2 {
			s.key.list.Grants.add("i", strconv.Itoa(n), time.Now())
		}
		for n := range 3 {
			_ = s.key.add(time.Now(), "i", strconv.Itoa(-n), "")
		}
		if got := get("ahead", at.Add(grant.Leeway), day); got != http.StatusUnauthorized {
			t.Errorf("issued by a clock ahead, in its last second: %d; want 401", got)
		}
	})
}

// A name in one place is not the same name elsewhere: who may choose his own, in a grant or a certificate, gets no session by it.
func TestNamesOfOthersOwnNothing(t *testing.T) {
	file, of := tokens(t)
	i, v := newIssuer(t)
	m := healthy()
	s, _ := newServer(t, Config{Token: token, TokensFile: file, Grants: v}, m)
	header := map[string]string{
		session.CredentialToken: of["viewer"], session.CredentialGrant: i.sign("j1", "my-viewer", `{"role":"viewer"}`),
	}
	for _, owner := range []session.Owner{
		{Credential: session.CredentialToken, Name: "my-viewer"},
		{Credential: session.CredentialGrant, Issuer: "i", Name: "my-viewer"},
		{Credential: session.CredentialGrant, Issuer: "another", Name: "my-viewer"},
		{Credential: session.CredentialCertificate, Issuer: "i", Name: "my-viewer"},
		{Credential: session.CredentialOperatorToken, Name: "my-viewer"},
		{Name: "my-viewer"},
	} {
		m.list[0].Credential, m.list[0].Issuer, m.list[0].Subject = owner.Credential, owner.Issuer, owner.Name
		for credential, shown := range header {
			want := http.StatusNotFound
			if credential == owner.Credential && owner.Issuer != "another" {
				want = http.StatusOK
			}
			for _, q := range []ask{{method: "GET", path: "/v1/sessions/s1"}, {method: "DELETE", path: "/whep/sessions/s1"}} {
				q.header = bearer(shown)
				if got := q.do(s.Handler()).StatusCode; got != want {
					t.Errorf("%s of a session of %+v by a %s: %d; want %d", q.method, owner, credential, got, want)
				}
			}
		}
	}
}

// Who shows a grant that the issuer signed has guessed nothing, whatever else is wrong with it. Forged ones are guesses, and lock nobody out who has a
// good one: an attacker and a viewer may share an address.
func TestSignedGrantsAreNoGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := newIssuer(t)
		s, _ := newServer(t, Config{Token: token, Grants: v}, healthy())
		try := func(shown string) reply {
			return ask{method: "GET", path: "/v1/host", remote: "192.0.2.1:1", header: bearer(shown)}.do(s.Handler())
		}
		now := time.Now()
		const scope = `{"role":"operator"}`
		good, revoked := i.sign("j1", "ann", scope), i.sign("j2", "bob", scope)
		header := bearer(token)
		header["Content-Type"] = content.JSON
		decode(t, ask{method: "POST", path: "/v1/revocations", header: header, body: `{"grant": "j2"}`}.do(s.Handler()), http.StatusOK)
		for name, signed := range map[string]string{
			"expired":         i.signFor("j3", "ann", scope, now.Add(-2*time.Hour), now.Add(-time.Hour)),
			"not yet valid":   i.signFor("j4", "ann", scope, now.Add(time.Hour), now.Add(2*time.Hour)),
			"revoked":         revoked,
			"other network":   i.sign("j5", "ann", `{"role":"viewer","networks":["203.0.113.0/24"]}`),
			"unknown role":    i.sign("j6", "ann", `{"role":"root"}`),
			"another host's":  i.signClaims(`{"aud":"host8","sub":"ann","jti":"j7","iat":1,"exp":2,"wavry":{"role":"viewer"}}`),
			"without a scope": i.signClaims(`{"aud":"host7"}`),
		} {
			for range 20 {
				if got := refusal(t, try(signed)); got != problem.Unauthorized {
					t.Fatalf("%s: %s", name, got)
				}
			}
			if r := try(token); r.StatusCode != http.StatusOK {
				t.Fatalf("after grants that are %s another client of that network: %d", name, r.StatusCode)
			}
		}
		forged := func(n int) string { return good[:len(good)-20] + strings.Repeat(string(rune('A'+n)), 20) }
		for n := range 10 {
			if got := refusal(t, try(forged(n))); got != problem.Unauthorized {
				t.Fatalf("forged: %s", got)
			}
		}
		for _, shown := range []string{forged(0), token, "x"} {
			if got := refusal(t, try(shown)); got != problem.TooManyAttempts {
				t.Errorf("after ten forged ones: %s", got)
			}
		}
		if r := try(good); r.StatusCode != http.StatusOK {
			t.Errorf("a good one beside forged ones: %d %s", r.StatusCode, r.body)
		}
		// A grant that is not good is told so, and a forged one nothing.
		if got := refusal(t, try(revoked)); got != problem.Unauthorized {
			t.Errorf("a revoked one beside forged ones: %s", got)
		}
		// Checking signatures for a network that forges them is bounded.
		checked := 0
		for range 10 * checkBurst {
			if try(good).StatusCode == http.StatusOK {
				checked++
			}
		}
		if checked > checkBurst {
			t.Errorf("%d signatures checked at once for a network that forges; want %d at most", checked, checkBurst)
		}
	})
}
