package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/audit"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
	"wavryhost/session/relay"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// issuer signs grants.
type issuer struct{ key ed25519.PrivateKey }

// newIssuer returns an issuer and the verifier of its grants.
func newIssuer(tb testing.TB) (*issuer, *grant.Verifier) {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	i := &issuer{key}
	return i, i.verifier(tb, "")
}

// verifier returns a verifier of the issuer's grants. The file spent keeps the used ones.
func (i *issuer) verifier(tb testing.TB, spent string) *grant.Verifier {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "keys.json")
	if err := os.WriteFile(file, i.set(), 0o600); err != nil {
		tb.Fatal(err)
	}
	v, err := grant.New(slog.New(slog.DiscardHandler), grant.Config{
		KeysFile: file, Audience: "host7",
		SpentFile: spent, Issuer: "i", MaxRole: grant.Operator,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// set returns its JWK set.
func (i *issuer) set() []byte {
	return fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`,
		base64.RawURLEncoding.EncodeToString(i.key.Public().(ed25519.PublicKey)))
}

// sign makes a grant for an hour.
func (i *issuer) sign(id, subject, scope string) string {
	now := time.Now()
	return i.signFor(id, subject, scope, now, now.Add(time.Hour))
}

// signFor makes a grant that is valid from issued to expires.
func (i *issuer) signFor(id, subject, scope string, issued, expires time.Time) string {
	return i.signClaims(fmt.Sprintf(`{"iss":"i","aud":"host7","sub":%q,"jti":%q,"iat":%d,"exp":%d,"wavry":%s}`,
		subject, id, issued.Unix(), expires.Unix(), scope))
}

func (i *issuer) signClaims(claims string) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	text := part(`{"alg":"EdDSA","kid":"k"}`) + "." + part(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.key, []byte(text)))
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// tokens writes a file with one token for each role, and returns it with the tokens.
func tokens(t *testing.T) (path string, of map[string]string) {
	t.Helper()
	of = make(map[string]string)
	lines := "# tokens\n\n"
	for _, role := range grant.Roles() {
		token, line, err := auth.NewToken("my-"+string(role), string(role))
		if err != nil {
			t.Fatal(err)
		}
		of[string(role)] = token
		lines += line + "\n"
	}
	path = filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, of
}

func TestRoles(t *testing.T) {
	file, of := tokens(t)
	m := obliging()
	m.list[0].Credential, m.list[0].Subject = session.CredentialToken, "my-viewer"
	s, _ := newServer(t, reloadable(Config{TokensFile: file}), m)
	allowed := map[string][]string{
		"viewer": {
			"POST /whep/{display}", "PATCH /whep/sessions/{id}", "DELETE /whep/sessions/{id}",
			"GET /v1/sessions/{id}", "GET /v1/displays", "POST /v1/sessions/{id}/postpone",
			"PUT /v1/sessions/{id}/viewer",
		},
		"metrics": {"GET /metrics", "GET /v1/host", "GET /v1/displays", "GET /v1/capacity"},
	}
	allowed["controller"] = append(slices.Clone(allowed["viewer"]), "PUT /v1/sessions/{id}/size")
	for _, rt := range s.routes(nil) {
		if rt.Open || rt.lasting {
			continue
		}
		path := strings.NewReplacer("{id}", "s1", "{display}", "default").Replace(rt.Path)
		name := rt.Method + " " + rt.Path
		for role, token := range of {
			resp := ask{method: rt.Method, path: path, header: bearer(token)}.do(s.Handler())
			may := role == "operator" || slices.Contains(allowed[role], name)
			if got := resp.StatusCode != http.StatusForbidden; got != may {
				t.Errorf("%s as %s: %d; allowed: %v", name, role, resp.StatusCode, may)
			}
		}
		if got := refusal(t, ask{method: rt.Method, path: path}.do(s.Handler())); got != problem.Unauthorized {
			t.Errorf("%s without a token: %s", name, got)
		}
	}
}

func TestTokensFollowTheirFile(t *testing.T) {
	file, of := tokens(t)
	s, reg := newServer(t, Config{TokensFile: file}, healthy())
	get := func(token string) int {
		s.auth.Reread()
		return ask{method: "GET", path: "/v1/host", header: bearer(token)}.do(s.Handler()).StatusCode
	}
	if get(of["operator"]) != http.StatusOK || get("wrong-wrong-wrong-wrong") != http.StatusUnauthorized {
		t.Error("tokens of the file are not what counts")
	}
	for _, broken := range []string{
		"a operator", "a root sha256:00", "a operator sha256:zz",
		"a operator md5:" + strings.Repeat("0", 64), strings.Repeat("x", 256<<10+1),
	} {
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if get(of["operator"]) != http.StatusOK {
			t.Errorf("a broken file took the tokens away: %.40q", broken)
		}
	}
	token, line, err := auth.NewToken("new", "operator")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if get(token) != http.StatusOK || get(of["operator"]) != http.StatusUnauthorized {
		t.Error("the new file does not count")
	}
	n, err := testutil.GatherAndCount(reg, "wavry_host_api_authentications_total")
	if err != nil || n != 2 { // of tokens, right and wrong
		t.Errorf("%d counts of authentications, %v", n, err)
	}
	for _, bad := range []string{"", "a b", "#a", "a\n"} {
		if _, _, err := auth.NewToken(bad, "viewer"); err == nil {
			t.Errorf("name %q was taken", bad)
		}
	}
	if _, _, err := auth.NewToken("a", "root"); err == nil {
		t.Error("an unknown role was taken")
	}
	if _, err := New(Config{TokensFile: file + "none"}, healthy(), nil, nil,
		slog.New(slog.DiscardHandler)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestGrantsLimitWhatTheyAllow(t *testing.T) {
	i, v := newIssuer(t)
	m := healthy()
	s, _ := newServer(t, Config{Grants: v}, m)
	h := s.Handler()
	open := func(token, path string) reply {
		header := bearer(token)
		header["Content-Type"] = whep.TypeSDP
		return ask{method: "POST", path: path, header: header, body: "v=0", remote: "192.0.2.9:1"}.do(h)
	}
	ann := i.sign("j1", "ann",
		`{"role":"viewer","displays":["x11:0"],"networks":["192.0.2.0/24"],"max_bitrate":3000000,"max_sessions":2}`)
	if r := open(ann, "/whep/x11:0"); r.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if o := m.offers[0]; o.Owner.Name != "ann" || !o.Guest || o.MaxSessions != 2 || o.Grant != "j1" ||
		o.MaxBitrate != 3_000_000 || time.Until(o.Expires) < 50*time.Minute {
		t.Errorf("offer %+v", o)
	}
	if r := open(ann, "/whep/default"); r.StatusCode != http.StatusCreated || m.offers[1].Display != "x11:0" {
		t.Errorf("the display by the name default: %d %s", r.StatusCode, r.body)
	}
	elsewhere := i.sign("j1b", "ann", `{"role":"viewer","displays":["x11:1"]}`)
	for _, path := range []string{"/whep/default", "/whep/x11:0"} {
		if got := refusal(t, open(elsewhere, path)); got != problem.Forbidden {
			t.Errorf("another display, %s: %s", path, got)
		}
	}
	far := ask{method: "POST", path: "/whep/x11:0", header: bearer(ann), body: "v=0", remote: "203.0.113.1:1"}.do(h)
	if got := refusal(t, far); got != problem.Unauthorized {
		t.Errorf("another network: %s", got)
	}
	once := i.sign("j2", "bob", `{"role":"viewer","once":true}`)
	m.create = func(context.Context, session.Offer) (session.Answer, error) { return session.Answer{}, session.ErrFull }
	if got := refusal(t, open(once, "/whep/x11:0")); got != problem.Full {
		t.Errorf("full: %s", got)
	}
	m.create = nil
	if r := open(once, "/whep/x11:0"); r.StatusCode != http.StatusCreated {
		t.Errorf("a grant for one session was lost to a refusal: %s", r.body)
	}
	if got := refusal(t, open(once, "/whep/x11:0")); got != problem.Forbidden {
		t.Errorf("replayed: %s", got)
	}
	bound := i.sign("j3", "cy", `{"role":"viewer","session":"l1"}`)
	if got := refusal(t, open(bound, "/whep/x11:0")); got != problem.Forbidden {
		t.Errorf("without its reservation: %s", got)
	}
	if r := open(bound, "/whep/x11:0?reservation=l1"); r.StatusCode != http.StatusCreated {
		t.Errorf("with its reservation: %s", r.body)
	}

	// A viewer cannot see that sessions of others exist.
	m.list[0].Credential, m.list[0].Issuer, m.list[0].Subject = session.CredentialGrant, "i", "ann"
	bob := i.sign("j4", "bob", `{"role":"viewer"}`)
	for _, q := range []ask{
		{method: "DELETE", path: "/whep/sessions/s1"},
		{method: "GET", path: "/v1/sessions/s1"},
		{method: "PATCH", path: "/whep/sessions/s1", body: "a=x", header: map[string]string{
			"If-Match":     "*",
			"Content-Type": whep.TypeFragment,
		}},
	} {
		if q.header == nil {
			q.header = map[string]string{}
		}
		q.header["Authorization"] = "Bearer " + bob
		q.remote = "192.0.2.9:1"
		if got := refusal(t, q.do(h)); got != problem.UnknownSession {
			t.Errorf("%s of another's session: %s", q.method, got)
		}
		q.header["Authorization"] = "Bearer " + ann
		if r := q.do(h); r.StatusCode >= 300 {
			t.Errorf("%s of the own session: %d %s", q.method, r.StatusCode, r.body)
		}
	}

	op := i.sign("j5", "op", `{"role":"operator"}`)
	post := func(body string) reply {
		header := bearer(op)
		header["Content-Type"] = content.JSON
		return ask{method: "POST", path: "/v1/revocations", header: header, body: body}.do(h)
	}
	decode(t, post(`{"grant":"j1"}`), http.StatusOK)
	if got := refusal(t, open(ann, "/whep/x11:0")); got != problem.Unauthorized {
		t.Errorf("a revoked grant: %s", got)
	}
	decode(t, post(`{"subject":"bob"}`), http.StatusOK)
	if got := refusal(t, open(bob, "/whep/x11:0")); got != problem.Unauthorized {
		t.Errorf("a revoked subject: %s", got)
	}
	if !slices.Equal(m.revoked, []string{"j1/", "/bob"}) {
		t.Errorf("revoked %v", m.revoked)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAudit(t *testing.T) {
	var log bytes.Buffer
	i, v := newIssuer(t)
	s, _ := newServer(t, Config{Token: "0123456789abcdef", Grants: v, Audit: &log}, healthy())
	op, ann := bearer("0123456789abcdef"), bearer(i.sign("j1", "ann", `{"role":"viewer"}`))
	h := s.Handler()
	ask{method: "GET", path: "/v1/host", header: op}.do(h)
	ask{method: "DELETE", path: "/v1/sessions/s1", header: op, remote: "192.0.2.1:7"}.do(h)
	ask{method: "DELETE", path: "/v1/sessions/s1", header: ann}.do(h)
	ask{method: "PUT", path: "/v1/drain", header: bearer("wrong-wrong-wrong-wrong")}.do(h)
	ask{method: "DELETE", path: "/v1/sessions/s2", header: op}.do(h)
	ask{method: "BREW", path: "/nowhere", header: op}.do(h)
	send := func(method, path, kind, body string) {
		header := bearer("0123456789abcdef")
		header["Content-Type"] = kind
		ask{method: method, path: path, header: header, body: body}.do(h)
	}
	send("POST", "/whep/x11:0", whep.TypeSDP, "v=0")
	send("POST", "/v1/reservations", content.JSON, "{}")
	send("POST", "/v1/revocations", content.JSON, `{"grant": "j1", "subject": "ann"}`)
	send("PUT", "/v1/probation", "", "")
	send("PUT", "/v1/drain", content.JSON, `{"deadline_seconds": 30, "policy": "end"}`)
	var got []string
	for line := range strings.Lines(log.String()) {
		var l audit.Line
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s %s %d %s", l.Who, l.Role, l.Grant, l.Method, l.Route,
			l.Object, l.Status, l.Code+l.Made))
	}
	want := []string{
		"token operator  DELETE /v1/sessions/{id} s1 204 ",
		"ann viewer j1 DELETE /v1/sessions/{id} s1 403 forbidden",
		"   PUT /v1/drain  401 unauthorized",
		"token operator  DELETE /v1/sessions/{id} s2 404 unknown_session",
		"   BREW other  404 not_found",
		"token operator  POST /whep/{display} x11:0 201 /whep/sessions/s1",
		"token operator  POST /v1/reservations  201 /v1/reservations/l1",
		"token operator  POST /v1/revocations grant j1, subject ann 200 ",
		"token operator  PUT /v1/probation  200 ",
		"token operator  PUT /v1/drain end, 30s 200 ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s, _ = newServer(t, Config{Audit: brokenWriter{}}, healthy())
	if r := (ask{method: "DELETE", path: "/v1/sessions/s1"}).do(s.Handler()); r.StatusCode != http.StatusNoContent {
		t.Errorf("a request fails with the audit log: %d", r.StatusCode)
	}
	if n := testutil.ToFloat64(s.metrics.auditErrors); n != 1 {
		t.Errorf("counted %v lines that could not be written", n)
	}
}

// TestSecretsStaySecret plants secrets in every input of clients and operators, and looks for them in every output.
func TestSecretsStaySecret(t *testing.T) {
	const token, credential, password = "planted-token-0123456789", "planted-turn-credential",
		"planted+ice+password+0123456789"
	const shared = "planted-turn-secret"
	i, v := newIssuer(t)
	signed := i.sign("j1", "ann", `{"role":"viewer"}`)
	var log, trail bytes.Buffer
	reg := prometheus.NewRegistry()
	m := obliging()
	m.servers = func(string, string, time.Time) []relay.Server {
		return []relay.Server{
			{URLs: []string{"turn:t.example"}, Username: "u", Credential: credential},
			{URLs: []string{"turn:s.example"}, Secret: shared, Lifetime: time.Hour},
		}
	}
	revocations := filepath.Join(t.TempDir(), "revocations.json")
	s, err := New(reloadable(Config{
		Token: token, Grants: v, Audit: &trail, RevocationsFile: revocations,
		Limits: edge.Limits{PerAddress: 10_000, Attempts: 1000},
	}), m, reg, NewMetrics(reg), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	fail := errors.New("session: cannot be done")
	for _, m.create = range []func(context.Context, session.Offer) (session.Answer, error){
		nil, func(context.Context, session.Offer) (session.Answer, error) { return session.Answer{}, fail },
	} {
		for _, rt := range s.routes(nil) {
			if rt.lasting {
				continue
			}
			path := strings.NewReplacer("{id}", "s1", "{display}", "default", "{file}", "app.js", "{$}",
				"").Replace(rt.Path)
			for _, secret := range []string{token, signed, token + "x", signed + "x"} {
				for _, kind := range []string{whep.TypeSDP, content.JSON, whep.TypeFragment, ""} {
					header := bearer(secret)
					header["Content-Type"], header["If-Match"] = kind, "*"
					body := "v=0\r\na=ice-pwd:" + password + "\r\n"
					if kind == content.JSON {
						body = fmt.Sprintf(`{"sdp": "a=ice-pwd:%s", "reason": "r", "deadline_seconds": "%[1]s"}`, password)
					}
					answer := ask{
						method: rt.Method, path: path + "?token=" + secret, header: header,
						body: body,
					}.do(s.Handler())
					for _, planted := range []string{token, signed, shared, password} {
						if strings.Contains(answer.body, planted) {
							t.Errorf("%s %s answers with a secret: %s", rt.Method, rt.Path, answer.body)
						}
					}
				}
			}
		}
	}
	// Requests of unknown clients, more than get lines of their own, and a revocation.
	for range 200 {
		ask{
			method: "PUT", path: "/v1/drain?token=" + token, header: bearer(signed + "x"),
			remote: "192.0.2.1:1",
		}.do(s.Handler())
	}
	header := bearer(token)
	header["Content-Type"] = content.JSON
	decode(t, ask{
		method: "POST", path: "/v1/revocations", header: header,
		body: `{"grant": "j1", "subject": "ann"}`,
	}.do(s.Handler()), http.StatusOK)
	s.access.Sweep(t.Context(), time.Now())
	s.flushAudit(time.Now(), true)
	if !strings.Contains(trail.String(), `"count":`) {
		t.Error("nothing was summed up")
	}
	kept, err := os.ReadFile(revocations)
	if err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	events, err := json.Marshal(m.past)
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{
		"the log": log.String(), "the audit log": trail.String(), "the metrics": fmt.Sprint(families),
		"the events":              string(events),
		"the file of revocations": string(kept),
	} {
		if text == "" {
			t.Errorf("%s is empty", where)
		}
		for _, planted := range []string{
			token, signed, credential, shared, password,
			base64.StdEncoding.EncodeToString([]byte(token)),
		} {
			if strings.Contains(text, planted) {
				t.Errorf("%s holds a secret", where)
			}
		}
	}
}

func BenchmarkRefusedRequest(b *testing.B) {
	reg := prometheus.NewRegistry()
	s, err := New(Config{Token: "0123456789abcdef"}, healthy(), reg, NewMetrics(reg), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	h := s.Handler()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/whep/default", http.NoBody)
	r.Host = "localhost"
	r.Header.Set("Authorization", "Bearer wrong-wrong-wrong-wrong")
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
