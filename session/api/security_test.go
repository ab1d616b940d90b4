package api

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/grant"
	"wavryhost/session/relay"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// issuer signs grants.
type issuer struct{ key ed25519.PrivateKey }

// newIssuer returns an issuer and who checks its grants.
func newIssuer(tb testing.TB) (*issuer, *grant.Verifier) {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "keys.json")
	set := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`,
		base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey)))
	if err := os.WriteFile(file, []byte(set), 0o600); err != nil {
		tb.Fatal(err)
	}
	v, err := grant.New(grant.Config{KeysFile: file, Audience: "host7"}, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	return &issuer{key}, v
}

// sign makes a grant of an hour.
func (i *issuer) sign(id, subject, scope string) string {
	now := time.Now().Unix()
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	text := part(`{"alg":"EdDSA","kid":"k"}`) + "." + part(fmt.Sprintf(`{"iss":"i","aud":"host7","sub":%q,"jti":%q,"iat":%d,"exp":%d,"wavry":%s}`,
		subject, id, now, now+3600, scope))
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
		token, line, err := NewToken("my-"+string(role), string(role))
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
	m.list[0].Subject = "my-viewer"
	s, _ := newServer(t, reloadable(Config{TokensFile: file}), m)
	allowed := map[string][]string{
		"viewer":  {"POST /whep/{display}", "PATCH /whep/sessions/{id}", "DELETE /whep/sessions/{id}", "GET /v1/sessions/{id}"},
		"metrics": {"GET /metrics", "GET /v1/host", "GET /v1/displays", "GET /v1/capacity"},
	}
	allowed["controller"] = allowed["viewer"]
	for _, rt := range s.routes() {
		if rt.open || rt.lasting {
			continue
		}
		path := strings.NewReplacer("{id}", "s1", "{display}", "default").Replace(rt.path)
		name := rt.method + " " + rt.path
		for role, token := range of {
			resp := ask{method: rt.method, path: path, header: bearer(token)}.do(s.Handler())
			may := role == "operator" || slices.Contains(allowed[role], name)
			if got := resp.StatusCode != http.StatusForbidden; got != may {
				t.Errorf("%s as %s: %d; allowed: %v", name, role, resp.StatusCode, may)
			}
		}
		if got := refusal(t, ask{method: rt.method, path: path}.do(s.Handler())); got != CodeUnauthorized {
			t.Errorf("%s without a token: %s", name, got)
		}
	}
}

func TestTokensFollowTheirFile(t *testing.T) {
	file, of := tokens(t)
	s, reg := newServer(t, Config{TokensFile: file}, healthy())
	get := func(token string) int {
		s.key.file.mu.Lock()
		s.key.file.next = time.Time{}
		s.key.file.mu.Unlock()
		return ask{method: "GET", path: "/v1/host", header: bearer(token)}.do(s.Handler()).StatusCode
	}
	if get(of["operator"]) != http.StatusOK || get("wrong-wrong-wrong-wrong") != http.StatusUnauthorized {
		t.Error("tokens of the file are not what counts")
	}
	for _, broken := range []string{"a operator", "a root sha256:00", "a operator sha256:zz", "a operator md5:" + strings.Repeat("0", 64), strings.Repeat("x", maxTokens+1)} {
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if get(of["operator"]) != http.StatusOK {
			t.Errorf("a broken file took the tokens away: %.40q", broken)
		}
	}
	token, line, err := NewToken("new", "operator")
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
	if err != nil || n < 6 {
		t.Errorf("%d counts of authentications, %v", n, err)
	}
	for _, bad := range []string{"", "a b", "#a", "a\n"} {
		if _, _, err := NewToken(bad, "viewer"); err == nil {
			t.Errorf("name %q was taken", bad)
		}
	}
	if _, _, err := NewToken("a", "root"); err == nil {
		t.Error("an unknown role was taken")
	}
	if _, err := New(Config{TokensFile: file + "none"}, healthy(), nil, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, os.ErrNotExist) {
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
		header["Content-Type"] = typeSDP
		return ask{method: "POST", path: path, header: header, body: "v=0", remote: "192.0.2.9:1"}.do(h)
	}
	ann := i.sign("j1", "ann", `{"role":"viewer","displays":["x11:0"],"networks":["192.0.2.0/24"],"max_bitrate":3000000}`)
	if r := open(ann, "/whep/x11:0"); r.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if o := m.offers[0]; o.Subject != "ann" || o.Grant != "j1" || o.MaxBitrate != 3_000_000 || time.Until(o.Expires) < 50*time.Minute {
		t.Errorf("offer %+v", o)
	}
	if got := refusal(t, open(ann, "/whep/default")); got != CodeForbidden {
		t.Errorf("another display: %s", got)
	}
	far := ask{method: "POST", path: "/whep/x11:0", header: bearer(ann), body: "v=0", remote: "203.0.113.1:1"}.do(h)
	if got := refusal(t, far); got != CodeUnauthorized {
		t.Errorf("another network: %s", got)
	}
	once := i.sign("j2", "bob", `{"role":"viewer","once":true}`)
	m.create = func(context.Context, session.Offer) (session.Answer, error) { return session.Answer{}, session.ErrFull }
	if got := refusal(t, open(once, "/whep/x11:0")); got != CodeFull {
		t.Errorf("full: %s", got)
	}
	m.create = nil
	if r := open(once, "/whep/x11:0"); r.StatusCode != http.StatusCreated {
		t.Errorf("a grant for one session was lost to a refusal: %s", r.body)
	}
	if got := refusal(t, open(once, "/whep/x11:0")); got != CodeForbidden {
		t.Errorf("replayed: %s", got)
	}
	bound := i.sign("j3", "cy", `{"role":"viewer","session":"l1"}`)
	if got := refusal(t, open(bound, "/whep/x11:0")); got != CodeForbidden {
		t.Errorf("without its reservation: %s", got)
	}
	if r := open(bound, "/whep/x11:0?reservation=l1"); r.StatusCode != http.StatusCreated {
		t.Errorf("with its reservation: %s", r.body)
	}

	// Sessions of others are as if they were not there.
	m.list[0].Subject = "ann"
	bob := i.sign("j4", "bob", `{"role":"viewer"}`)
	for _, q := range []ask{
		{method: "DELETE", path: "/whep/sessions/s1"},
		{method: "GET", path: "/v1/sessions/s1"},
		{method: "PATCH", path: "/whep/sessions/s1", body: "a=x", header: map[string]string{"If-Match": "*", "Content-Type": typeFragment}},
	} {
		if q.header == nil {
			q.header = map[string]string{}
		}
		q.header["Authorization"] = "Bearer " + bob
		q.remote = "192.0.2.9:1"
		if got := refusal(t, q.do(h)); got != CodeUnknownSession {
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
		header["Content-Type"] = typeJSON
		return ask{method: "POST", path: "/v1/revocations", header: header, body: body}.do(h)
	}
	decode(t, post(`{"grant":"j1"}`), http.StatusOK)
	if got := refusal(t, open(ann, "/whep/x11:0")); got != CodeUnauthorized {
		t.Errorf("a revoked grant: %s", got)
	}
	decode(t, post(`{"subject":"bob"}`), http.StatusOK)
	if got := refusal(t, open(bob, "/whep/x11:0")); got != CodeUnauthorized {
		t.Errorf("a revoked subject: %s", got)
	}
	if !slices.Equal(m.revoked, []string{"j1/", "/bob"}) {
		t.Errorf("revoked %v", m.revoked)
	}
}

func TestRevocationsAreBounded(t *testing.T) {
	var l revoked
	now := time.Now()
	for n := range maxRevoked {
		if !l.add(now, fmt.Sprint(n), "", time.Minute) {
			t.Fatal("too many too early")
		}
	}
	if l.add(now, "x", "", time.Minute) {
		t.Error("there is no bound")
	}
	if !l.add(now.Add(time.Hour), "x", "", time.Minute) || len(l.grants) != 1 {
		t.Errorf("%d are remembered after all have expired", len(l.grants))
	}
}

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) client(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestClientCertificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, ours.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{ClientAuthOptional, ClientAuthRequired} {
		c := &certificate{}
		if err := c.ask(ca, how); err != nil {
			t.Fatal(err)
		}
		s, _ := newServer(t, Config{Token: "0123456789abcdef", TLSCert: "x", TLSKey: "x", TLSClientCA: ca, TLSClientAuth: how, TLSClientRole: "metrics"}.withoutFiles(), healthy())
		s.key.certRole = grant.Metrics
		srv := httptest.NewUnstartedServer(s.Handler())
		srv.TLS = &tls.Config{ClientAuth: c.clients, ClientCAs: c.authorities, MinVersion: tls.VersionTLS13}
		srv.StartTLS()
		ask := func(path, token string, certs ...tls.Certificate) int {
			client := srv.Client()
			transport := client.Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.Certificates = certs
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "localhost"
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			resp, err := (&http.Client{Transport: transport}).Do(req)
			transport.CloseIdleConnections()
			if err != nil {
				return 0
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		mine := ours.client(t, "gateway")
		if got := ask("/v1/host", "", mine); got != http.StatusOK {
			t.Errorf("%s: with a certificate: %d", how, got)
		}
		if got := ask("/v1/sessions", "", mine); got != http.StatusForbidden {
			t.Errorf("%s: beyond its role: %d", how, got)
		}
		if got := ask("/v1/sessions", "0123456789abcdef", mine); got != http.StatusOK {
			t.Errorf("%s: a token goes before the certificate: %d", how, got)
		}
		if got := ask("/v1/host", "", theirs.client(t, "gateway")); got != 0 && got != http.StatusUnauthorized {
			t.Errorf("%s: with another authority's certificate: %d", how, got)
		}
		want := http.StatusUnauthorized
		if how == ClientAuthRequired {
			want = 0
		}
		if got := ask("/v1/host", ""); got != want {
			t.Errorf("%s: without one: %d; want %d", how, got, want)
		}
		srv.Close()
	}
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Config{
		{TLSClientAuth: "maybe"},
		{TLSClientAuth: ClientAuthRequired},
		{TLSClientAuth: ClientAuthRequired, TLSCert: "a", TLSKey: "b"},
		{TLSClientAuth: ClientAuthRequired, TLSCert: "a", TLSKey: "b", TLSClientCA: ca, TLSClientRole: "root"},
	} {
		if err := c.Validate(); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if err := (&certificate{}).ask(bad, ClientAuthRequired); err == nil {
		t.Error("a file without a certificate is taken")
	}
}

// withoutFiles is c for a server that is not to read a certificate.
func (c Config) withoutFiles() Config {
	c.TLSCert, c.TLSKey, c.TLSClientAuth = "", "", ""
	return c
}

func TestFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flood
		count := func(bucket, n int) (taken int) {
			for range n {
				if f.wait(time.Now(), bucket) == 0 {
					taken++
				}
			}
			return taken
		}
		if n := count(1, 5000); n != burstAddress {
			t.Errorf("%d requests of one network at once; want %d", n, burstAddress)
		}
		if n := count(2, 10); n != 10 {
			t.Errorf("another network pays for it: %d of 10", n)
		}
		time.Sleep(time.Second)
		if n := count(1, 5000); n != perAddress {
			t.Errorf("%d more after a second; want %d", n, perAddress)
		}
		all := 0
		for bucket := 10; bucket < 60; bucket++ {
			all += count(bucket, burstAddress)
		}
		if all < burstHost-perAddress-10 || all > burstHost {
			t.Errorf("%d requests in all at once; want %d at most", all, burstHost)
		}
	})
	s, _ := newServer(t, Config{}, healthy())
	last := reply{}
	for n := 0; n < 100*burstAddress && last.StatusCode != http.StatusTooManyRequests; n++ { // some are paid for meanwhile
		last = ask{method: "GET", path: "/healthz"}.do(s.Handler())
	}
	if refusal(t, last) != CodeTooManyRequests || last.Header.Get("Retry-After") == "" {
		t.Errorf("%s", last.body)
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
	ask{method: "POST", path: "/v1/drain", header: bearer("wrong-wrong-wrong-wrong")}.do(h)
	ask{method: "DELETE", path: "/v1/sessions/s2", header: op}.do(h)
	ask{method: "BREW", path: "/nowhere", header: op}.do(h)
	var got []string
	for line := range strings.Lines(log.String()) {
		var l auditLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s %s %d %s", l.Who, l.Role, l.Grant, l.Method, l.Route, l.Object, l.Status, l.Code))
	}
	want := []string{
		"token operator  DELETE /v1/sessions/{id} s1 204 ",
		"ann viewer j1 DELETE /v1/sessions/{id} s1 403 forbidden",
		"   POST /v1/drain  401 unauthorized",
		"token operator  DELETE /v1/sessions/{id} s2 404 unknown_session",
		"   BREW other  404 not_found",
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

// TestSecretsStaySecret plants secrets wherever a client or an operator brings some, and looks for them in all that comes out.
func TestSecretsStaySecret(t *testing.T) {
	const token, credential, password = "planted-token-0123456789", "planted-turn-credential", "planted+ice+password+0123456789"
	i, v := newIssuer(t)
	signed := i.sign("j1", "ann", `{"role":"viewer"}`)
	var log, trail bytes.Buffer
	reg := prometheus.NewRegistry()
	m := obliging()
	m.servers = func(string, string) []relay.Server {
		return []relay.Server{{URLs: []string{"turn:t.example"}, Username: "u", Credential: credential}}
	}
	s, err := New(reloadable(Config{
		Token: token, Grants: v, Audit: &trail,
	}), m, reg, NewMetrics(reg), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	fail := errors.New("session: cannot be done")
	for _, m.create = range []func(context.Context, session.Offer) (session.Answer, error){
		nil, func(context.Context, session.Offer) (session.Answer, error) { return session.Answer{}, fail },
	} {
		for _, rt := range s.routes() {
			if rt.lasting {
				continue
			}
			path := strings.NewReplacer("{id}", "s1", "{display}", "default", "{file}", "app.js", "{$}", "").Replace(rt.path)
			for _, secret := range []string{token, signed, token + "x", signed + "x"} {
				for _, kind := range []string{typeSDP, typeJSON, typeFragment, ""} {
					header := bearer(secret)
					header["Content-Type"], header["If-Match"] = kind, "*"
					body := "v=0\r\na=ice-pwd:" + password + "\r\n"
					if kind == typeJSON {
						body = fmt.Sprintf(`{"sdp": "a=ice-pwd:%s", "reason": "r", "deadline_seconds": "%[1]s"}`, password)
					}
					answer := ask{method: rt.method, path: path + "?token=" + secret, header: header, body: body}.do(s.Handler())
					for _, planted := range []string{token, signed, password} {
						if strings.Contains(answer.body, planted) {
							t.Errorf("%s %s answers with a secret: %s", rt.method, rt.path, answer.body)
						}
					}
				}
			}
		}
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
		"the log": log.String(), "the audit log": trail.String(), "the metrics": fmt.Sprint(families), "the events": string(events),
	} {
		if text == "" {
			t.Errorf("%s is empty", where)
		}
		for _, planted := range []string{token, signed, credential, password, base64.StdEncoding.EncodeToString([]byte(token))} {
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
