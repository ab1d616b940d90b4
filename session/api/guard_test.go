package api

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/problem"
	"wavryhost/session/relay"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestHostHeader(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, cert, key, "desk.example.net")
	local := Config{AllowedHosts: []string{"Proxy.example", "bücher.example", "dotted.example."}}
	public := Config{Listen: "0.0.0.0:8470", TLSCert: cert, TLSKey: key, Token: token}
	for _, c := range []struct {
		cfg  Config
		host string
		want bool
	}{
		{local, "localhost", true},
		{local, "LOCALHOST:8470", true},
		{local, "127.0.0.1:9999", true}, // through a forwarded port
		{local, "[::1]:8470", true},
		{local, "proxy.example", true},
		{local, "proxy.example.:443", true},
		{local, "localhost.", true},
		{local, "dotted.example", true},
		{local, "xn--bcher-kva.example", true},
		{local, "BÜCHER.example", true},
		{local, "[::1%25lo]:8470", true},
		{local, "[::ffff:127.0.0.1]", true},
		{local, "", false},
		{local, ".", false},
		{local, "evil.example", false},
		{local, "evil.example:8470", false},
		{local, "localhost.evil.example", false},
		{local, "192.0.2.7", false},
		{local, "127.0.0.1.evil.example", false},
		{local, "127.0.0.1@evil.example", false},
		{public, "192.0.2.7:8470", true},
		{public, "desk.example.net:8470", true},
		{public, "desk.example.net.", true},
		{public, "[fe80::1%25eth0]:8470", true},
		{public, "evil.example", false},
	} {
		s, _ := newServer(t, c.cfg, healthy())
		resp := ask{method: "GET", path: "/v1/openapi.json", host: c.host, noHost: c.host == ""}.do(s.Handler())
		if c.want != (resp.StatusCode == http.StatusOK) {
			t.Errorf("listening on %q, Host %q: %d; want it let in: %v", c.cfg.Listen, c.host, resp.StatusCode, c.want)
		}
		if !c.want {
			if got := refusal(t, resp); got != problem.ForbiddenHost || !strings.Contains(resp.body, "api.hosts") {
				t.Errorf("Host %q: %s %s", c.host, got, resp.body)
			}
		}
	}
}

// Health checks may name an address, a service or no host, and get their answer.
func TestProbesNeedNoHost(t *testing.T) {
	s, _ := newServer(t, Config{Token: token}, healthy())
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	for _, request := range []string{
		"GET /healthz HTTP/1.0\r\n\r\n",
		"GET /readyz HTTP/1.0\r\n\r\n",
		"HEAD /readyz HTTP/1.0\r\n\r\n",
		"GET /readyz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: 10.1.2.3:8470\r\nConnection: close\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: wavry.desktops.svc\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n",
		"OPTIONS / HTTP/1.0\r\n\r\n",
		"OPTIONS * HTTP/1.0\r\n\r\n",
		"OPTIONS /readyz HTTP/1.0\r\n\r\n",
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Error(err)
		}
		answer, err := io.ReadAll(conn)
		if status := strings.Fields(string(answer) + " -"); err != nil || len(status) < 2 ||
			status[1] != "200" && status[1] != "204" {
			t.Errorf("%q: got %v\n%s", request, err, answer)
		}
		conn.Close()
	}
	for _, a := range []ask{
		{method: "OPTIONS", path: "/whep/default", host: "evil.example"},
		{method: "POST", path: "/healthz/x", host: "evil.example"},
		{method: "GET", path: "/", host: "evil.example"},
	} {
		if got := refusal(t, a.do(s.Handler())); got != problem.ForbiddenHost {
			t.Errorf("%s %s: %s", a.method, a.path, got)
		}
	}
}

// A proxy that sends its own Host header, which is the default of nginx, serves the page under a configured name.
func TestOwnPageBehindAProxyThatHidesTheHost(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, cert, key, "desk.example.net")
	plain := Config{Token: token, AllowedHosts: []string{"screens.example"}}
	for _, c := range []struct {
		cfg    Config
		secure bool
		host   string
		origin string
		want   bool
	}{
		{plain, false, "127.0.0.1:8470", "https://screens.example", true},
		{plain, false, "127.0.0.1:8470", "https://screens.example:8443", true},
		{plain, false, "127.0.0.1:8470", "https://SCREENS.example.", true},
		{plain, false, "127.0.0.1:8470", "https://other.example", false},
		{plain, false, "127.0.0.1:8470", "http://localhost:3000", false},
		{plain, false, "screens.example:443", "https://screens.example", true},
		{plain, false, "screens.example:80", "http://screens.example", true},
		{plain, false, "127.0.0.1:8470", "http://127.0.0.1:8470/x", false},
		{plain, false, "127.0.0.1:8470", "http://evil@127.0.0.1:8470", false},
		{Config{Token: token, TLSCert: cert, TLSKey: key}, true, "127.0.0.1:8470", "https://desk.example.net", true},
		{Config{Token: token, TLSCert: cert, TLSKey: key}, true, "127.0.0.1:8470", "https://127.0.0.1:8470", true},
		// The page of an attacker on the path.
		{Config{Token: token, TLSCert: cert, TLSKey: key}, true, "127.0.0.1:8470", "http://127.0.0.1:8470", false},
	} {
		s, _ := newServer(t, c.cfg, healthy())
		a := ask{method: "GET", path: "/v1/host", host: c.host, header: map[string]string{
			"Origin":        c.origin,
			"Authorization": "Bearer " + token,
		}, secure: c.secure}
		resp := a.do(s.Handler())
		if c.want != (resp.StatusCode == http.StatusOK) || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("Host %s, Origin %s: %d, %v", c.host, c.origin, resp.StatusCode, resp.Header)
		}
		if !c.want {
			if got := refusal(t, resp); got != problem.ForbiddenOrigin || !strings.Contains(resp.body,
				"api.hosts") {
				t.Errorf("Origin %s: %s %s", c.origin, got, resp.body)
			}
			// The page itself is served, and shows that error.
			if resp := (ask{
				method: "GET", path: "/page/app.js", host: c.host,
				header: map[string]string{"Origin": c.origin}, secure: c.secure,
			}).do(s.Handler()); resp.StatusCode != http.StatusOK {
				t.Errorf("the page's script for Origin %s: %d", c.origin, resp.StatusCode)
			}
		}
	}
}

func TestOrigin(t *testing.T) {
	cfg := Config{AllowedOrigins: []string{"https://ok.example"}}
	anyone := Config{AllowedOrigins: []string{"*"}, Token: token}
	for _, c := range []struct {
		cfg    Config
		origin string
		want   bool
		cors   string
	}{
		{cfg, "", true, ""},
		{cfg, "http://127.0.0.1:8470", true, ""},
		{cfg, "https://ok.example", true, "https://ok.example"},
		{cfg, "http://ok.example", false, ""},
		{cfg, "https://ok.example:8443", false, ""},
		{cfg, "http://localhost:8470", false, ""}, // the page of another server under that name
		{cfg, "http://127.0.0.1:9999", false, ""},
		{cfg, "null", false, ""},
		{cfg, "https://evil.example", false, ""},
		{anyone, "https://evil.example", true, "https://evil.example"},
	} {
		s, _ := newServer(t, c.cfg, healthy())
		h := map[string]string{"Authorization": "Bearer " + token}
		if c.origin != "" {
			h["Origin"] = c.origin
		}
		for _, a := range []ask{
			{method: "OPTIONS", path: "/whep/default", header: h},
			{method: "DELETE", path: "/whep/sessions/s1", header: h},
			{method: "GET", path: "/v1/host", header: h},
		} {
			resp := a.do(s.Handler())
			if c.cors != "" && !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "Retry-After") {
				t.Errorf("%s %s from %q: %d, exposed %q",
					a.method, a.path, c.origin, resp.StatusCode, resp.Header.Get("Access-Control-Expose-Headers"))
			}
			if c.want != (resp.StatusCode < 300) || resp.Header.Get("Access-Control-Allow-Origin") != c.cors {
				t.Errorf("%s %s from %q: %d, allowed %q; want %v, %q", a.method, a.path, c.origin, resp.StatusCode,
					resp.Header.Get("Access-Control-Allow-Origin"), c.want, c.cors)
			}
			if !c.want {
				if got := refusal(t, resp); got != problem.ForbiddenOrigin {
					t.Errorf("%q: %s", c.origin, got)
				}
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	m := healthy()
	m.servers = func(string, string, time.Time) []relay.Server { return turn }
	s, _ := newServer(t, Config{Token: token, AllowedOrigins: []string{"https://ok.example"}}, m)
	resp := ask{method: "OPTIONS", path: "/whep/sessions/s1", header: map[string]string{
		"Origin": "https://ok.example", "Access-Control-Request-Method": "PATCH",
		"Access-Control-Request-Headers": "authorization,if-match", "Access-Control-Request-Private-Network": "true",
	}}.do(s.Handler())
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("a preflight, which has no token, got %d; want 204", resp.StatusCode)
	}
	for _, name := range []string{"Authorization", "Content-Type", "If-Match", "Idempotency-Key", "Last-Event-ID"} {
		if !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("Access-Control-Allow-Headers lacks %s", name)
		}
	}
	if resp.Header.Get("Access-Control-Allow-Private-Network") != "true" {
		t.Error("a page of the internet that is allowed cannot reach loopback")
	}
	if got := resp.Header["Link"]; len(got) != 0 {
		t.Errorf("credentials of TURN servers were given without a token: %q", got)
	}
	with := func(token string) reply {
		return ask{
			method: "OPTIONS", path: "/whep/default",
			header: map[string]string{"Authorization": "Bearer " + token},
		}.do(s.Handler())
	}
	if got := with(token).Header["Link"]; len(got) != 3 {
		t.Errorf("with the token: %q; want 3 links", got)
	}
	if got := refusal(t, with("wrong")); got != problem.Unauthorized {
		t.Errorf("with a wrong token: %s", got)
	}
}

func TestEveryRouteButTheOpenOnesTakesTheToken(t *testing.T) {
	s, _ := newServer(t, Config{Token: token}, healthy())
	close(s.stopping) // the stream of events ends soon
	for _, rt := range s.routes(nil) {
		path := strings.NewReplacer("{$}", "", "{file}", "app.js", "{id}", "s1", "{display}",
			"default").Replace(rt.Path)
		resp := ask{method: rt.Method, path: path}.do(s.Handler())
		if rt.Open != (resp.StatusCode != http.StatusUnauthorized) {
			t.Errorf("%s %s without a token: %d; open is %v", rt.Method, path, resp.StatusCode, rt.Open)
		}
		if rt.Open {
			continue
		}
		if got := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
			t.Errorf("%s %s: WWW-Authenticate %q", rt.Method, path, got)
		}
		if got := refusal(t, resp); got != problem.Unauthorized {
			t.Errorf("%s %s: %s", rt.Method, path, got)
		}
		resp = ask{
			method: rt.Method, path: path,
			header: map[string]string{"Authorization": "bearer  " + token},
		}.do(s.Handler())
		if resp.StatusCode == http.StatusUnauthorized {
			t.Errorf("%s %s with the token: 401", rt.Method, path)
		}
	}
	for _, wrong := range []string{"Bearer", "Bearer " + token + "x", "Bearer " + token[1:], "Basic " + token, token} {
		resp := ask{
			method: "GET", path: "/v1/host?token=" + token,
			header: map[string]string{"Authorization": wrong},
		}.do(s.Handler())
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("Authorization %q: %d; want 401", wrong, resp.StatusCode)
		}
	}
}

func TestWrongTokensAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, Config{Token: token}, healthy())
		try := func(token, remote string) reply {
			return ask{
				method: "GET", path: "/v1/host", remote: remote,
				header: map[string]string{"Authorization": "Bearer " + token},
			}.do(s.Handler())
		}
		const here = "192.0.2.1:1"
		for range 10 {
			if got := refusal(t, try("wrong", here)); got != problem.Unauthorized {
				t.Fatalf("%s; want unauthorized", got)
			}
		}
		resp := try(token, here)
		if got := refusal(t, resp); got != problem.TooManyAttempts {
			t.Errorf("after ten wrong tokens: %s", got)
		}
		if got := resp.Header.Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After %q; want 2", got)
		}
		for _, same := range [][2]string{
			{here, "192.0.2.1:2"},
			{here, "[::ffff:192.0.2.1]:1"},
			{"[2001:db8::1]:1", "[2001:db8::ffff:2]:1"},
			{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1"},
		} {
			if edge.Network(same[0]) != edge.Network(same[1]) {
				t.Errorf("%s and %s count as different networks", same[0], same[1])
			}
		}
		if edge.Network("[2001:db8::1]:1") == edge.Network("[2001:db8:0:1::1]:1") ||
			edge.Network("192.0.2.1:1") == edge.Network("192.0.2.2:1") {
			t.Error("different networks count as one")
		}
		const pause = 2 * time.Second
		time.Sleep(pause)
		if resp := try(token, here); resp.StatusCode != http.StatusOK {
			t.Errorf("%v later: %d; want 200", pause, resp.StatusCode)
		}
		time.Sleep(time.Hour)
		for range 10 {
			if got := refusal(t, try("wrong", here)); got != problem.Unauthorized {
				t.Fatalf("an hour later: %s; want the whole burst again", got)
			}
		}
	})
}

func TestUnknownRoutes(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	for _, c := range []struct {
		method, path string
		want         problem.Code
	}{
		{"GET", "/nothing", problem.NotFound},
		{"GET", "/v1", problem.NotFound},
		{"GET", "/v1/host/", problem.NotFound},
		{"GET", "//v1/host", problem.NotFound},
		{"GET", "/v1/../v1/host", problem.NotFound},
		{"GET", "//", problem.NotFound},
		{"GET", "/.", problem.NotFound},
		{"GET", "///", problem.NotFound},
		{"GET", "/page/", problem.NotFound},
		{"GET", "/page/nothing.js", problem.NotFound},
		{"GET", "/page/..%2fpage.go", problem.NotFound},
		{"POST", "/whep", problem.NotFound},
		{"POST", "/whep/", problem.NotFound},
		{"POST", "/whep/a/b/c", problem.NotFound},
		{"GET", "/index.html", problem.NotFound},
		{"POST", "/v1/drain", problem.MethodNotAllowed},
		{"POST", "/", problem.MethodNotAllowed},
		{"BREW", "/v1/host", problem.MethodNotAllowed},
	} {
		resp := ask{method: c.method, path: c.path}.do(s.Handler())
		if got := refusal(t, resp); got != c.want {
			t.Errorf("%s %s: %s; want %s", c.method, c.path, got, c.want)
		}
		if c.want == problem.MethodNotAllowed && resp.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow header", c.method, c.path)
		}
	}
}

func TestOversizedHeader(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	resp := ask{method: "GET", path: "/v1/host", header: map[string]string{"X-Long": strings.Repeat("x",
		edge.MaxHeaderBytes)}}.do(s.Handler())
	if got := refusal(t, resp); got != problem.HeaderTooLarge {
		t.Errorf("got %s", got)
	}
}

func TestPanicIsOneAnswerAndOneRecord(t *testing.T) {
	var log bytes.Buffer
	m := healthy()
	m.end = func(string, session.EndReason) error { panic("the reason") }
	reg := prometheus.NewRegistry()
	metrics := NewMetrics(reg)
	s, err := New(Config{Token: token}, m, reg, metrics, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	resp := ask{method: "DELETE", path: "/v1/sessions/s1", header: bearer(token)}.do(s.Handler())
	if got := refusal(t, resp); got != problem.Internal {
		t.Errorf("got %s", got)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "the reason") {
		t.Errorf("%d error records; want one with the reason:\n%s", n, log.String())
	}
	if got := testutil.ToFloat64(metrics.panics); got != 1 {
		t.Errorf("counted %v panics; want 1", got)
	}
	if resp := (ask{
		method: "GET", path: "/v1/host",
		header: bearer(token),
	}).do(s.Handler()); resp.StatusCode != http.StatusOK {
		t.Errorf("the next request: %d; want 200", resp.StatusCode)
	}
}

func TestLogHasWritesAndNoSecrets(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s, err := New(Config{Token: token}, healthy(), reg, NewMetrics(reg), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ask{method: "POST", path: "/whep/default?token=" + token, body: offer, header: sdp("Authorization",
		"Bearer "+token)}.do(s.Handler())
	if got := log.String(); strings.Contains(got, token) || strings.Contains(got, "v=0") ||
		!strings.Contains(got, "method=POST path=/whep/default status=201") {
		t.Errorf("log of a write:\n%s", got)
	}
	log.Reset()
	ask{method: "GET", path: "/v1/host", header: map[string]string{"Authorization": "Bearer " + token}}.do(s.Handler())
	if log.Len() > 0 {
		t.Errorf("a read is logged above debug:\n%s", log.String())
	}
}

func TestLogLinesAreBounded(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s, err := New(Config{Token: token}, healthy(), reg, NewMetrics(reg), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ask{
		method: "DELETE", path: "/v1/sessions/" + strings.Repeat("x", 16_000),
		header: map[string]string{"Authorization": "Bearer " + token},
	}.do(s.Handler())
	if n := log.Len(); n == 0 || n > 1000 {
		t.Errorf("a request is logged by %d bytes; want at most 1000", n)
	}
}

func TestSecurityHeadersAreOnEveryAnswer(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	for _, a := range []ask{
		{method: "GET", path: "/"},
		{method: "GET", path: "/v1/host"},
		{method: "GET", path: "/nothing"},
		{method: "GET", path: "/", host: "evil.example"},
	} {
		h := a.do(s.Handler()).Header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" ||
			!strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
			h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s %s: %v", a.method, a.path, h)
		}
	}
}

func TestPage(t *testing.T) {
	s, _ := newServer(t, Config{Token: token}, healthy())
	files, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"/", "/?display=x11%3A0"}
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".go" {
			paths = append(paths, "/page/"+f.Name())
		}
	}
	for _, path := range paths {
		resp := ask{method: "GET", path: path}.do(s.Handler())
		body := resp.body
		if resp.StatusCode != http.StatusOK || body == "" {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for _, bad := range []string{
			"http://", "https://", "src=\"//", "@import", " style=\"", " onclick",
			"eval(", "innerHTML",
		} {
			if strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), bad) {
				t.Errorf("%s holds %q, which the policy or the promise of no external request forbids", path, bad)
			}
		}
		// Every file that the page names exists. Its path is relative, because a proxy may have added a prefix.
		for _, part := range pageNames.FindAllStringSubmatch(body, -1) {
			if _, err := os.Stat(filepath.Join("page", part[1])); err != nil {
				t.Errorf("%s names %s: %v", path, part[1], err)
			}
		}
		for _, bad := range rooted.FindAllString(body, -1) {
			t.Errorf("%s holds %s, which is not found below a path prefix", path, bad)
		}
	}
	if got := (ask{
		method: "GET",
		path:   "/",
	}).do(s.Handler()).Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type of the page %q", got)
	}
	if got := (ask{
		method: "GET",
		path:   "/page/app.js",
	}).do(s.Handler()).Header.Get("Content-Type"); got != "text/javascript; charset=utf-8" {
		t.Errorf("Content-Type of the script %q; a module of another type is not run", got)
	}
}

var (
	// pageNames matches the files that the page and its modules name.
	pageNames = regexp.MustCompile(`"(?:page|\.)/([\w.]+)"`)
	// rooted matches absolute paths in markup and scripts.
	rooted = regexp.MustCompile("[\"'`]/(?:\\?|page/|whep/|v1/)[^\"'`]*")
)

func TestSeveralAuthorizationsAreNone(t *testing.T) {
	s, _ := newServer(t, Config{Token: token}, healthy())
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/host", http.NoBody)
	r.Host = "localhost"
	r.Header["Authorization"] = []string{"Bearer " + token, "Bearer another"}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("got %d", w.Code)
	}
}

// A page of another site cannot change anything, even if its browser sends no Origin. Reading requires the token.
func TestPagesOfOtherSitesChangeNothing(t *testing.T) {
	const allowed = "https://console.example"
	s, _ := newServer(t, Config{Token: token, AllowedOrigins: []string{allowed}}, obliging())
	for _, rt := range s.routes(nil) {
		if rt.lasting || rt.Method == http.MethodOptions { // a preflight names an origin, which must be an allowed one
			continue
		}
		path := strings.NewReplacer("{id}", "s1", "{display}", "default", "{file}", "app.js", "{$}",
			"").Replace(rt.Path)
		for _, c := range []struct {
			site, origin string
			refused      bool
		}{
			{"cross-site", "", edge.Changes(rt.Method)},
			{"same-site", "", edge.Changes(rt.Method)},
			{"same-origin", "", false},
			{"none", "", false},
			{"", "", false},
			{"cross-site", allowed, false},
			{"same-origin", "http://127.0.0.1:8470", false},
			{"cross-site", "null", edge.Changes(rt.Method) || !rt.Open},
			{"cross-site", "https://evil.example", edge.Changes(rt.Method) || !rt.Open},
		} {
			header := bearer(token)
			header["Sec-Fetch-Site"], header["Sec-Fetch-Mode"] = c.site, "no-cors"
			if c.origin != "" {
				header["Origin"] = c.origin
			}
			r := ask{method: rt.Method, path: path, header: header}.do(s.Handler())
			if got := r.StatusCode == http.StatusForbidden && refusal(t,
				r) == problem.ForbiddenOrigin; got != c.refused {
				t.Errorf("%s %s from %q by %q: %d %.100s; want refused: %v",
					rt.Method, rt.Path, c.origin, c.site, r.StatusCode, r.body, c.refused)
			}
		}
	}
}
