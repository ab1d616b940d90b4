//go:build integration

package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// npm is a program that scripts/setup installed from npm.
func npm(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), "../../../scripts/npm", append([]string{name}, args...)...)
}

// document stores the daemon's OpenAPI document in a file.
func (h *host) document(t *testing.T) string {
	t.Helper()
	status, document, err := h.request(http.MethodGet, "/v1/openapi.json")
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET /v1/openapi.json: status %d, %v", status, err)
	}
	path := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(path, document, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSpectralTakesTheDocument(t *testing.T) {
	t.Parallel()
	h := startHost(t, hostOptions{args: []string{"--display", "synthetic"}})
	const rules = "../../../.ci/npm/spectral.yaml"
	cmd := npm(t, "spectral", "lint", "--ruleset", rules, "--fail-severity", "hint", h.document(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("spectral: %v\n%s", err, out)
	}
}

// A program in TypeScript uses the types that openapi-typescript makes of the document. The compiler also refuses the
// mistakes in it.
func TestTypeScriptTypesOfTheDocument(t *testing.T) {
	t.Parallel()
	h := startHost(t, hostOptions{args: []string{"--display", "synthetic"}})
	dir := t.TempDir()
	types, program := filepath.Join(dir, "host.d.ts"), filepath.Join(dir, "gateway.ts")
	if out, err := npm(t, "openapi-typescript", h.document(t), "--output", types).CombinedOutput(); err != nil {
		t.Fatalf("openapi-typescript: %v\n%s", err, out)
	}
	text, err := os.ReadFile("testdata/gateway.ts")
	if err == nil {
		err = os.WriteFile(program, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := npm(t, "tsc", "--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2022",
		"--module", "es2022", "--moduleResolution", "bundler", "--lib", "es2022,dom", program).CombinedOutput()
	if err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
}

// prism is Stoplight's validating proxy before the daemon. It compares requests and answers with the document, and
// lists violations in a header of the answer. As a transport it fails the test for answers that violate the document,
// and for requests that violate it and are accepted.
type prism struct {
	t          *testing.T
	operations []*operation

	mu sync.Mutex
}

// operation is an operation of the document, with the status codes that it returned.
type operation struct {
	method, path string
	pattern      *regexp.Regexp
	secured      bool
	media        string // of the request's body
	statuses     map[int]bool
}

// violation is a finding of prism.
type violation struct {
	Location []any
	Severity string
	Message  string
}

// startPrism returns the proxy and the daemon behind it.
func startPrism(t *testing.T, h *host) (*prism, *host) {
	t.Helper()
	path := h.document(t)
	cmd := npm(t, "prism", "proxy", path, inOnePiece(t, h.url), "--port", "0", "--cors=false")
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	run := start(t, cmd)
	listening := regexp.MustCompile(`Prism is listening on (http://\S+)`)
	through := &host{process: h.process, token: h.token}
	eventually(t, patience, "prism listens", func() error {
		m := listening.FindStringSubmatch(run.out.String())
		if m == nil {
			return errNotYet
		}
		through.url = m[1]
		return nil
	})
	p := &prism{t: t, operations: operationsOf(t, path)}
	through.client = &http.Client{Transport: p, Timeout: patience}
	return p, through
}

// inOnePiece returns the address of a proxy that gives each answer a length. Prism's HTTP client (node-fetch 2)
// sometimes takes the end of a chunked answer for a premature close.
func inOnePiece(t *testing.T, address string) string {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if r.ContentLength >= 0 {
				return nil
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return nil
		},
	})
	t.Cleanup(server.Close)
	return server.URL
}

func operationsOf(t *testing.T, path string) []*operation {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]struct {
			Security    []map[string]any
			RequestBody struct{ Content map[string]any }
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var list []*operation
	for path, methods := range document.Paths {
		pattern := regexp.MustCompile(`^` + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, `[^/]+`) + `$`)
		for method, o := range methods {
			one := &operation{
				method: strings.ToUpper(method), path: path, pattern: pattern, statuses: map[int]bool{},
				secured: len(o.Security) > 0 && len(o.Security[0]) > 0, // an empty one says that none is needed
			}
			for media := range o.RequestBody.Content {
				one.media = media
			}
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b *operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return list
}

func (p *prism) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	var list []violation
	if text := response.Header.Get("Sl-Violations"); text != "" {
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return nil, fmt.Errorf("violations %q: %w", text, err)
		}
	}
	for _, v := range list {
		if response.StatusCode < http.StatusBadRequest || len(v.Location) == 0 || v.Location[0] != "request" {
			p.t.Errorf("%s %s is answered %d, and the document says: %v: %s",
				r.Method, r.URL.RequestURI(), response.StatusCode, v.Location, v.Message)
		}
	}
	if strings.Contains(response.Header.Get("Content-Type"), "problem+json") { // of the daemon, or prism's own
		text, _ := io.ReadAll(response.Body)
		response.Body = io.NopCloser(bytes.NewReader(text))
		if bytes.Contains(text, []byte("stoplight.io/prism")) {
			p.t.Errorf("%s %s: prism answers %d: %s", r.Method, r.URL.RequestURI(), response.StatusCode, text)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.operations {
		if o.method == r.Method && o.pattern.MatchString(r.URL.EscapedPath()) {
			o.statuses[response.StatusCode] = true
		}
	}
	return response, nil
}

// client calls an API and checks the status codes.
type client struct {
	t *testing.T
	*host
}

// call makes a request with a body, which is JSON unless header has another Content-Type. It returns the answer.
func (c client) call(want int, method, path, body string, header ...string) answer {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			request.Header.Del(header[i])
		}
	}
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	if response.StatusCode != want {
		c.t.Errorf("%s %s %s: status %d; want %d: %s",
			method, path, tail(body, 200), response.StatusCode, want, tail(string(text), 500))
	}
	return answer{status: response.StatusCode, Header: response.Header, body: string(text)}
}

// id returns the id in a JSON answer.
func (c client) id(a answer) string {
	c.t.Helper()
	var v struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || v.ID == "" {
		c.t.Fatalf("no id in %q: %v", a.body, err)
	}
	return v.ID
}

// All operations of the document, by requests that succeed and requests that are refused. The event stream is left out:
// OpenAPI 3.1 can only give its schema as that of one event, and prism waits for a stream's end. session/api compares
// the events with the document.
func TestAPIKeepsToItsDocument(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 320, 240)
	config := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("displays: {fps: 20}\n")
	h := startHost(t, hostOptions{args: []string{
		"--config", config, "--display", x.id(), "sessions.max=3",
		"displays.rules=[{display: x11:*, resize: allow}]",
	}})
	p, through := startPrism(t, h)
	c := client{t, through}

	readOnly(c)
	sessions(c)
	reservations(c)
	write("displays: {fps: 25}\n")
	c.call(200, "POST", "/v1/reload", `{"confirm_seconds": 600}`)
	c.call(204, "POST", "/v1/reload/confirmation", "")
	c.call(404, "POST", "/v1/reload/confirmation", "")
	write("displays: {fps: many}\n")
	c.call(422, "POST", "/v1/reload", "")
	c.call(400, "POST", "/v1/reload", `{"confirm_seconds": -1}`)
	operator(c)
	refusals(c, p)
	for _, o := range p.operations {
		statuses := slices.Sorted(maps.Keys(o.statuses))
		if o.path != "/v1/events" && (len(statuses) == 0 || statuses[0] >= http.StatusBadRequest) {
			t.Errorf("%s %s answered %v; want a success among them", o.method, o.path, statuses)
		}
		if o.secured && !o.statuses[http.StatusUnauthorized] {
			t.Errorf("%s %s answered %v; want 401 among them", o.method, o.path, statuses)
		}
	}
}

// readOnly makes the requests that only read.
func readOnly(c client) {
	for _, path := range []string{"/", "/page/app.js", "/v1/openapi.json"} {
		c.call(304, "GET", path, "", "If-None-Match", c.call(200, "GET", path, "").Get("ETag"))
	}
	c.call(404, "GET", "/page/nothing.js", "")
	for _, path := range []string{
		"/healthz", "/readyz", "/metrics", "/v1/host", "/v1/capacity", "/v1/displays", "/v1/sessions",
		"/v1/reservations",
	} {
		c.call(200, "GET", path, "")
	}
	c.call(204, "OPTIONS", "/whep/default?region=eu", "")
	c.call(200, "GET", "/v1/capacity?profile=1280x720@30", "")
	c.call(400, "GET", "/v1/capacity?profile=large", "")
	c.call(400, "GET", "/v1/events?after=never", "")
}

// sessions opens, changes and ends sessions.
func sessions(c client) {
	c.t.Helper()
	a, _ := join(c.t, c.host)
	a.waitMedia(c.t)
	at, whep := "/v1/sessions/"+a.id(), "/whep/sessions/"+a.id()
	c.call(200, "GET", at, "")
	c.call(200, "PATCH", at, `{"max_bitrate": 2000000, "weight": 200}`)
	c.call(422, "PATCH", at, `{"max_bitrate": 1}`)
	c.call(400, "PATCH", at, `{"weight": 0}`)
	c.call(400, "PATCH", at, `{"rate": 1}`)
	c.call(404, "PATCH", at, `{"display": "nowhere"}`)
	c.call(200, "PUT", at+"/control", "")
	c.call(204, "PUT", at+"/size", `{"width": 300, "height": 200}`)
	c.call(204, "PUT", "/v1/displays/default/size", `{"width": 320, "height": 240}`)
	c.call(200, "DELETE", at+"/control", "")
	c.call(202, "POST", at+"/keyframe", "")
	c.call(204, "PUT", at+"/viewer", `{"freezes": 1, "frozen_seconds": 0.25}`)
	c.call(200, "GET", at+"/recording", "")
	c.call(200, "GET", at+"/timeline", "")

	const fragment = "application/trickle-ice-sdpfrag"
	own := fragmentOf(a.pc.LocalDescription().SDP)
	c.call(204, "PATCH", whep, own, "Content-Type", fragment)
	c.call(428, "PATCH", whep, "a=end-of-candidates\r\n", "Content-Type", fragment)
	c.call(412, "PATCH", whep, own, "Content-Type", fragment, "If-Match", `"another"`)
	c.call(400, "PATCH", whep, "nonsense", "Content-Type", fragment, "If-Match", "*")
	c.call(415, "PATCH", whep, own, "Content-Type", "text/plain")
	restart := restarting(own)
	restarted := c.call(200, "PATCH", whep, restart, "Content-Type", fragment, "If-Match", "*")
	c.call(204, "PATCH", whep, restart, "Content-Type", fragment, "If-Match", restarted.Get("ETag"))
	c.call(200, "DELETE", whep, "")
	if err := a.pc.Close(); err != nil {
		c.t.Error(err)
	}

	const sdp = "application/sdp"
	offer := prepared(c.t, loopback(c.t), nil)
	defer offer.pc.Close()
	text := offer.offer(c.t).SDP
	inJSON, err := json.Marshal(text)
	if err != nil {
		c.t.Fatal(err)
	}
	opened := c.id(c.call(201, "POST", "/v1/sessions",
		fmt.Sprintf(`{"display": "default", "role": "controller", "max_bitrate": 3000000, "sdp": %s}`, inJSON)))
	c.call(409, "POST", "/v1/sessions/"+opened+"/postpone", "")
	c.call(200, "PUT", "/v1/drain", `{"deadline_seconds": 600, "policy": "wait"}`)
	c.call(400, "POST", "/v1/sessions/"+opened+"/postpone", `{"seconds": -1}`)
	c.call(200, "POST", "/v1/sessions/"+opened+"/postpone", `{"seconds": 60}`)
	c.call(200, "DELETE", "/v1/drain", "")
	c.call(204, "DELETE", "/v1/sessions/"+opened+"?reason=the+desk+is+needed", "")
	c.call(404, "DELETE", "/v1/sessions/"+opened, "")
	c.call(400, "POST", "/v1/sessions", `{"sdp": "nonsense"}`)
	c.call(400, "POST", "/v1/sessions", `{"display": "default"}`)
	c.call(404, "POST", "/v1/sessions", fmt.Sprintf(`{"display": "nowhere", "sdp": %s}`, inJSON))
	c.call(400, "POST", "/whep/default", "nonsense", "Content-Type", sdp)
	c.call(404, "POST", "/whep/nowhere", text, "Content-Type", sdp)
	c.call(404, "POST", "/whep/default?reservation=none", text, "Content-Type", sdp)
	c.call(406, "POST", "/whep/default", text, "Content-Type", sdp, "Accept", "text/html")
	c.call(415, "POST", "/whep/default", text, "Content-Type", "text/plain")
	c.call(413, "POST", "/whep/default", text+strings.Repeat("a=x:y\r\n", 12000), "Content-Type", sdp)
	c.call(422, "POST", "/whep/default", strings.ReplaceAll(text, "m=video ", "m=audio "), "Content-Type", sdp)
}

// reservations reserves all places and releases them.
func reservations(c client) {
	c.t.Helper()
	const body = `{"display": "default", "hold_seconds": 60, "max_bitrate": 5000000, "weight": 10, "region": "eu"}`
	first := c.id(c.call(201, "POST", "/v1/reservations", body, "Idempotency-Key", "first"))
	if again := c.id(c.call(201, "POST", "/v1/reservations", body, "Idempotency-Key", "first")); again != first {
		c.t.Errorf("the same key yields the reservation %s; want %s", again, first)
	}
	c.call(409, "POST", "/v1/reservations", `{}`, "Idempotency-Key", "first")
	c.call(400, "POST", "/v1/reservations", `{"hold_seconds": 1e9}`)
	c.call(200, "GET", "/v1/reservations", "")
	c.call(200, "GET", "/v1/reservations/"+first, "")
	c.call(200, "PATCH", "/v1/reservations/"+first, `{"hold_seconds": 90}`)
	c.call(400, "PATCH", "/v1/reservations/"+first, `{}`)
	c.call(404, "PATCH", "/v1/reservations/none", `{"hold_seconds": 90}`)
	list := []string{first}
	for range 2 {
		list = append(list, c.id(c.call(201, "POST", "/v1/reservations", `{"hold_seconds": 60}`)))
	}
	c.call(503, "POST", "/v1/reservations", `{}`)
	offer := prepared(c.t, loopback(c.t), nil)
	defer offer.pc.Close()
	c.call(503, "POST", "/whep/default", offer.offer(c.t).SDP, "Content-Type", "application/sdp")
	for _, id := range list {
		c.call(204, "DELETE", "/v1/reservations/"+id, "")
	}
	c.call(404, "DELETE", "/v1/reservations/"+first, "")
}

// operator changes the host's state.
func operator(c client) {
	c.t.Helper()
	c.call(200, "POST", "/v1/revocations", `{"grant": "some-grant"}`)
	c.call(400, "POST", "/v1/revocations", `{}`)
	c.call(202, "POST", "/v1/encoders/probe", "")
	c.call(202, "POST", "/v1/trial", "")
	c.call(202, "POST", "/v1/self-probe", "")
	c.call(202, "POST", "/v1/handover", `{"deadline_seconds": 60}`)
	c.call(400, "POST", "/v1/handover", `{"deadline_seconds": -1}`)
	c.call(404, "GET", "/v1/drain", "")
	c.call(200, "PUT", "/v1/drain", `{"deadline_seconds": 30, "policy": "move"}`)
	c.call(400, "PUT", "/v1/drain", `{"deadline_seconds": 30, "policy": "quickly"}`)
	c.call(200, "GET", "/v1/drain", "")
	c.call(503, "GET", "/readyz", "")
	c.call(503, "POST", "/v1/reservations", `{}`)
	c.call(200, "DELETE", "/v1/drain", "")
	c.call(200, "PUT", "/v1/cordon", `{"note": "new memory", "duration_seconds": 60}`)
	c.call(400, "PUT", "/v1/cordon", `{"duration_seconds": -1}`)
	c.call(200, "DELETE", "/v1/cordon", "")
	for _, method := range []string{"PUT", "DELETE"} {
		c.call(200, method, "/v1/probation", "")
		c.call(200, "GET", "/v1/host", "")
	}
	c.call(400, "PUT", "/v1/probation?until=never", "")
}

// refusals makes the mistakes that every operation answers in the same way.
func refusals(c client, p *prism) {
	c.t.Helper()
	for _, o := range p.operations {
		path := strings.NewReplacer("{id}", "unknown", "{display}", "default", "{file}", "app.js").Replace(o.path)
		if o.secured {
			c.call(401, o.method, path, "", "Authorization", "")
			c.call(403, o.method, path, "", "Origin", "https://elsewhere.example")
		}
		if strings.Contains(o.path, "{id}") && o.media == "" {
			c.call(404, o.method, path, "")
		}
		if o.media == "application/json" {
			c.call(400, o.method, path, `{`)
			c.call(415, o.method, path, `{}`, "Content-Type", "text/plain")
		}
	}
}
