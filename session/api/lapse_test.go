package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
)

// openings are the two requests that open a session.
func openings(header map[string]string) map[string]ask {
	whep, control := map[string]string{"Content-Type": whep.TypeSDP}, map[string]string{"Content-Type": content.JSON}
	for name, value := range header {
		whep[name], control[name] = value, value
	}
	return map[string]ask{
		"POST /whep": {method: "POST", path: "/whep/x11:0", header: whep, body: "v=0"},
		"POST /v1/sessions": {
			method: "POST", path: "/v1/sessions", header: control,
			body: `{"display": "x11:0", "sdp": "v=0"}`,
		},
	}
}

// A session that is being created is in no list, so a revocation at that moment does not find it.
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
			decode(t, ask{method: "POST", path: "/v1/revocations", header: header, body: what}.do(s.Handler()),
				http.StatusOK)
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
			// A grant that has expired within the accepted clock difference opens no session: it would end at once.
			if got := refusal(t, q.do(s.Handler())); got != problem.Unauthorized || len(m.offers) != 1 {
				t.Errorf("%s after it expired: %s, %d offers", name, got, len(m.offers))
			}
		})
	}
}

// A single-session grant is usable again if the client went before it got its answer.
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

// A restart does not make a used grant usable again. A grant whose session was not opened stays usable.
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

// Revoking a subject affects all grants issued so far, by whatever clock. Later grants are valid.
func TestRevokedSubjectWhoseIssuerIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := newIssuer(t)
		// All but two places for revocations are taken by entries that outlive the test.
		taken := map[string]time.Time{}
		for n := range auth.MaxRevocations - 2 {
			taken[strconv.Itoa(n)] = time.Now().Add(1000 * time.Hour)
		}
		text, err := json.Marshal(map[string]any{
			"version": 2, "grants": map[string]any{"i": taken},
			"subjects": struct{}{},
		})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "revocations.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := newServer(t, Config{Token: token, Grants: v, RevocationsFile: file}, healthy())
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
		decode(t, ask{
			method: "POST", path: "/v1/revocations", header: header,
			body: `{"subject": "ann"}`,
		}.do(s.Handler()), http.StatusOK)
		for name, issued := range map[string]time.Time{
			"ahead": at.Add(grant.Leeway), "ours": at,
			"behind": at.Add(-grant.Leeway),
		} {
			if got := get(name, issued, day); got != http.StatusUnauthorized {
				t.Errorf("issued by the clock %s: %d; want 401", name, got)
			}
		}
		time.Sleep(time.Second)
		if got := get("after", at.Add(grant.Leeway+time.Second), day); got != http.StatusOK {
			t.Errorf("issued after it: %d; want 200", got)
		}
		// In the last second of the last revoked grant, its revocation is still kept, however many follow.
		time.Sleep(time.Until(at.Add(v.Outlived() - time.Second)))
		for n := range 3 {
			_ = s.auth.Revoke(time.Now(), "i", strconv.Itoa(-n), "")
		}
		if got := get("ahead", at.Add(grant.Leeway), day); got != http.StatusUnauthorized {
			t.Errorf("issued by a clock ahead, in its last second: %d; want 401", got)
		}
	})
}

// Equal names from different credentials are different owners: a client that may choose its own name, in a grant or a
// certificate, gets no access to others' sessions.
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
			for _, q := range []ask{{method: "GET", path: "/v1/sessions/s1"}, {
				method: "DELETE",
				path:   "/whep/sessions/s1",
			}} {
				q.header = bearer(shown)
				if got := q.do(s.Handler()).StatusCode; got != want {
					t.Errorf("%s of a session of %+v by a %s: %d; want %d", q.method, owner, credential, got, want)
				}
			}
		}
	}
}

// A grant with a valid signature is not a guess, even if it is refused for another reason. A forged grant is a guess,
// but does not lock out valid ones: an attacker and a viewer may share an address.
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
		decode(t, ask{
			method: "POST", path: "/v1/revocations", header: header,
			body: `{"grant": "j2"}`,
		}.do(s.Handler()), http.StatusOK)
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
		// A valid signature gets the reason of the refusal, a forged one does not.
		if got := refusal(t, try(revoked)); got != problem.Unauthorized {
			t.Errorf("a revoked one beside forged ones: %s", got)
		}
		// The number of signature checks for a network that forges grants is bounded.
		checked := 0
		for range 10 * 100 {
			if try(good).StatusCode == http.StatusOK {
				checked++
			}
		}
		if checked > 100 {
			t.Errorf("%d signatures checked at once for a network that forges; want %d at most", checked, 100)
		}
	})
}
