package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"

	"github.com/prometheus/client_golang/prometheus"
)

// A revoked grant and a revoked subject stay revoked after a restart, and only the owner can read the file.
func TestRevocationsOutlastTheServer(t *testing.T) {
	i, v := newIssuer(t)
	path := filepath.Join(t.TempDir(), "revocations.json")
	cfg := Config{Token: token, Grants: v, RevocationsFile: path}
	status := func(s *Server, id, subject string) int {
		return ask{method: "GET", path: "/v1/host", header: bearer(i.sign(id, subject,
			`{"role":"operator"}`))}.do(s.Handler()).StatusCode
	}
	post := func(s *Server, body string) reply {
		header := bearer(token)
		header["Content-Type"] = content.JSON
		return ask{method: "POST", path: "/v1/revocations", header: header, body: body}.do(s.Handler())
	}
	s, _ := newServer(t, cfg, healthy())
	for _, nothing := range []string{`{}`, `{"grant": ""}`, `{"grant": "", "subject": ""}`} {
		if got := refusal(t, post(s, nothing)); got != problem.BadJSON {
			t.Errorf("%s: %s", nothing, got)
		}
	}
	decode(t, post(s, `{"grant": "j1"}`), http.StatusOK)
	decode(t, post(s, `{"subject": "bob"}`), http.StatusOK)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(path+".new-123", []byte("what a crash left"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ = newServer(t, cfg, healthy())
	if a, b, c := status(s, "j1", "ann"), status(s, "j2", "bob"), status(s, "j3", "ann"); a != 401 ||
		b != 401 || c != 200 {
		t.Errorf("after a restart: the grant %d, the subject's %d, another %d", a, b, c)
	}
	if left, _ := filepath.Glob(path + ".new-*"); len(left) != 0 {
		t.Errorf("%v is left", left)
	}

	// If the file cannot be written, the revocation still applies, and the answer says that it will not last.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	r := post(s, `{"grant": "j3"}`)
	if got := refusal(t, r); got != problem.Internal || !strings.Contains(r.body, "only until the daemon ends") {
		t.Errorf("%s", r.body)
	}
	if got := status(s, "j3", "ann"); got != http.StatusUnauthorized {
		t.Errorf("a revocation that cannot be written does not count: %d", got)
	}
}

func TestBrokenRevocationsKeepTheServerFromStarting(t *testing.T) {
	_, v := newIssuer(t)
	path := filepath.Join(t.TempDir(), "revocations.json")
	for _, text := range []string{
		"", "null", "{}", "[]", "x", `{"version":2}`, `{"version":1,"grants":{},"subjects":{}}`,
		`{"version":3,"grants":{},"subjects":{}}`, `{"version":2,"grants":{"i":{"a":"yesterday"}},"subjects":{}}`,
		`{"version":2,"grants":{},"subjects":{},"more":1}`, `{"version":2,"grants":{},"subjects":{}}{}`,
		`{"version":2,"grants":{`, strings.Repeat(" ", auth.MaxRevocations*1024+1),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		reg := prometheus.NewRegistry()
		_, err := New(Config{Token: token, Grants: v, RevocationsFile: path}, healthy(), reg, NewMetrics(reg),
			slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%.40q: %v", text, err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, []byte(text)) {
			t.Errorf("%.40q: the file was changed: %v", text, err)
		}
	}
}

// A revocation is about the grants of one issuer, which it must name if there are several.
func TestRevocationIsOfAnIssuer(t *testing.T) {
	i, _ := newIssuer(t)
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, i.set(), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := grant.New(slog.New(slog.DiscardHandler), grant.Config{
		KeysFile: keys, Audience: "host7",
		Issuer: "a",
	}, grant.Config{KeysFile: keys, Audience: "host7", Issuer: "b"})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newServer(t, Config{Token: token, Grants: v}, healthy())
	now := time.Now().Unix()
	open := func(issuer string) int {
		claims := `{"iss":%q,"aud":"host7","sub":"ann","jti":"1","iat":%d,"exp":%d,"wavry":{"role":"viewer"}}`
		header := bearer(i.signClaims(fmt.Sprintf(claims, issuer, now, now+60)))
		header["Content-Type"] = whep.TypeSDP
		return ask{method: "POST", path: "/whep/default", header: header, body: "v=0"}.do(s.Handler()).StatusCode
	}
	revoke := func(body string) reply {
		header := bearer(token)
		header["Content-Type"] = content.JSON
		return ask{method: "POST", path: "/v1/revocations", header: header, body: body}.do(s.Handler())
	}
	for _, body := range []string{`{"grant": "1"}`, `{"subject": "ann"}`, `{"grant": "1", "issuer": "c"}`} {
		if got := refusal(t, revoke(body)); got != problem.BadRequest {
			t.Errorf("%s: %s", body, got)
		}
	}
	if a, b := open("a"), open("b"); a != http.StatusCreated || b != http.StatusCreated {
		t.Fatalf("before: %d and %d", a, b)
	}
	decode(t, revoke(`{"grant": "1", "issuer": "a"}`), http.StatusOK)
	if a, b := open("a"), open("b"); a != http.StatusUnauthorized || b != http.StatusCreated {
		t.Errorf("after a's grant was revoked: %d and %d", a, b)
	}
	decode(t, revoke(`{"subject": "ann", "issuer": "b"}`), http.StatusOK)
	if b := open("b"); b != http.StatusUnauthorized {
		t.Errorf("after b's subject was revoked: %d", b)
	}
}
