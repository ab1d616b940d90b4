package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"
	"wavryhost/session/hoststate"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func decode(t *testing.T, resp reply, want int) map[string]any {
	t.Helper()
	body := resp.body
	media := content.JSON
	if want >= http.StatusBadRequest {
		media = problem.Media
	}
	if resp.StatusCode != want || resp.Header.Get("Content-Type") != media {
		t.Fatalf("got %d %s %s; want %d", resp.StatusCode, resp.Header.Get("Content-Type"), body, want)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %q", err, body)
	}
	return v
}

func TestControlReads(t *testing.T) {
	s, _ := newServer(t, Config{ID: "h7", Name: "rack-7", Platform: "linux/amd64", Version: "1.2.3"}, healthy())
	h := s.Handler()

	host := decode(t, ask{method: "GET", path: "/v1/host"}.do(h), http.StatusOK)
	if host["version"] != "1.2.3" || host["state"] != "active" || len(host["displays"].([]any)) != 1 {
		t.Errorf("host %v", host)
	}
	if host["id"] != "h7" || host["name"] != "rack-7" || host["platform"] != "linux/amd64" ||
		host["uptime_seconds"].(float64) < 0 {
		t.Errorf("the host says of itself %v", host)
	}
	if of := host["capacity"].([]any)[0].(map[string]any); of["profile"] == "" || of["limited_by"] == "" {
		t.Errorf("the host has room for %v", of)
	}
	displays := decode(t, ask{method: "GET", path: "/v1/displays"}.do(h), http.StatusOK)
	if first := displays["displays"].([]any)[0].(map[string]any); first["id"] != "x11:0" {
		t.Errorf("displays %v", displays)
	}
	sessions := decode(t, ask{method: "GET", path: "/v1/sessions"}.do(h), http.StatusOK)
	if first := sessions["sessions"].([]any)[0].(map[string]any); first["id"] != "s1" {
		t.Errorf("sessions %v", sessions)
	}
	one := decode(t, ask{method: "GET", path: "/v1/sessions/s1"}.do(h), http.StatusOK)
	if list, ok := one["transitions"].([]any); one["id"] != "s1" || !ok || len(list) != 0 {
		t.Errorf("session %v; want id s1 and an empty list of transitions", one)
	}
	if got := refusal(t, ask{method: "GET", path: "/v1/sessions/s2"}.do(h)); got != problem.UnknownSession {
		t.Errorf("unknown session: %s", got)
	}
}

func TestControlListsAreNeverNull(t *testing.T) {
	s, _ := newServer(t, Config{}, &fakeManager{state: session.Host{State: "active", StateReason: "started"}})
	for _, path := range []string{"/v1/host", "/v1/displays", "/v1/sessions"} {
		body := ask{method: "GET", path: path}.do(s.Handler()).body
		if strings.Contains(body, "null") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestOperatorEndsSession(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	resp := ask{method: "DELETE", path: "/v1/sessions/s1"}.do(s.Handler())
	if resp.StatusCode != http.StatusNoContent || !slices.Equal(m.ended, []session.EndReason{session.EndOperator}) {
		t.Errorf("got %d, ended %v; want 204, operator", resp.StatusCode, m.ended)
	}
	if got := refusal(t, ask{
		method: "DELETE",
		path:   "/v1/sessions/s2",
	}.do(s.Handler())); got != problem.UnknownSession {
		t.Errorf("unknown session: %s", got)
	}
}

func TestRecordingIsHandedOut(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	h := s.Handler()
	got := ask{method: "GET", path: "/v1/sessions/s1/recording"}.do(h)
	if got.StatusCode != http.StatusOK || got.body != "a recording of s1" ||
		got.Header.Get("Content-Type") != "application/octet-stream" ||
		got.Header.Get("Content-Disposition") != "attachment; filename=s1.wavryrec" {
		t.Errorf("got %d %v %q", got.StatusCode, got.Header, got.body)
	}
	if got := refusal(t, ask{method: "GET", path: "/v1/sessions/nobody/recording"}.do(h)); got != problem.UnknownSession {
		t.Errorf("no such session: %s", got)
	}
}

// The owner of a cordon is the operator of the request, never what a body says.
func TestCordon(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	typed := map[string]string{"Content-Type": "application/json"}
	put := func(body string) reply {
		return ask{method: "PUT", path: "/v1/cordon", body: body, header: typed}.do(s.Handler())
	}
	got := decode(t, put(`{"note": "new fan", "duration_seconds": 60}`), http.StatusOK)
	c, _ := got["cordon"].(map[string]any)
	if c["note"] != "new fan" || c["owner"] == nil || c["until"] == nil {
		t.Errorf("got %v", got["cordon"])
	}
	for _, body := range []string{
		`{"owner": "eve"}`, `{"duration_seconds": -1}`, `{"duration_seconds": 1e9}`, `{"note": 3}`,
		`{"note": "` + strings.Repeat("x", 201) + `"}`,
	} {
		if got := put(body); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d", body, got.StatusCode)
		}
	}
	if got := decode(t, ask{method: "DELETE", path: "/v1/cordon"}.do(s.Handler()), http.StatusOK); got["cordon"] != nil {
		t.Errorf("got %v", got["cordon"])
	}
}

func TestPostpone(t *testing.T) {
	m := healthy()
	m.postponable = 10 * time.Minute
	s, _ := newServer(t, Config{}, m)
	typed := map[string]string{"Content-Type": "application/json"}
	q := ask{method: "POST", path: "/v1/sessions/s1/postpone", header: typed}
	for _, q.body = range []string{`{"seconds": 30.5}`, `{}`, ""} {
		decode(t, q.do(s.Handler()), http.StatusOK)
	}
	want := []time.Duration{30500 * time.Millisecond, 5 * time.Minute, 5 * time.Minute}
	if !slices.Equal(m.postponed, want) {
		t.Errorf("postponed by %v; want %v", m.postponed, want)
	}
	for body, want := range map[string]problem.Code{
		`{"seconds": 0}`:     problem.BadJSON,
		`{"seconds": -1}`:    problem.BadJSON,
		`{"seconds": 1e9}`:   problem.BadJSON,
		`{"seconds": "30"}`:  problem.BadJSON,
		`{"minutes": 30}`:    problem.BadJSON,
		`{"seconds": 86400}`: problem.NotPostponable,
	} {
		q.body = body
		if got := refusal(t, q.do(s.Handler())); got != want {
			t.Errorf("%s: got %s; want %s", body, got, want)
		}
	}
}

// A viewer reports what its player counts, again and again: that is in no audit log.
func TestViewerReportsItsFigures(t *testing.T) {
	m, trail := healthy(), &bytes.Buffer{}
	s, _ := newServer(t, Config{Audit: trail}, m)
	q := ask{
		method: "PUT", path: "/v1/sessions/s1/viewer", header: map[string]string{"Content-Type": "application/json"},
		body: `{"freezes": 3, "frozen_seconds": 1.25}`,
	}
	if got := q.do(s.Handler()).StatusCode; got != http.StatusNoContent {
		t.Errorf("got %d; want %d", got, http.StatusNoContent)
	}
	want := []session.ViewerReport{{Freezes: 3, Frozen: 1250 * time.Millisecond}}
	if !slices.Equal(m.reports, want) {
		t.Errorf("the manager got %v; want %v", m.reports, want)
	}
	if trail.Len() > 0 {
		t.Errorf("the audit log has %s", trail)
	}
	for _, q.body = range []string{
		`{"freezes": -1, "frozen_seconds": 0}`, `{"freezes": 1.5, "frozen_seconds": 0}`, `{"freezes": 1}`,
		`{"freezes": 1, "frozen_seconds": -1}`, `{"freezes": 1, "frozen_seconds": 1e10}`, `{}`, "",
	} {
		if got := refusal(t, q.do(s.Handler())); got != problem.BadJSON {
			t.Errorf("%s: got %s; want %s", q.body, got, problem.BadJSON)
		}
	}
	q.path, q.body = "/v1/sessions/s9/viewer", `{"freezes": 0, "frozen_seconds": 0}`
	if got := refusal(t, q.do(s.Handler())); got != problem.UnknownSession {
		t.Errorf("another session: got %s; want %s", got, problem.UnknownSession)
	}
}

func TestDrain(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	typed := map[string]string{"Content-Type": "application/json; charset=utf-8"}
	resp := ask{method: "PUT", path: "/v1/drain", body: `{"deadline_seconds": 1.5}`, header: typed}.do(s.Handler())
	decode(t, resp, http.StatusOK)
	if !slices.Equal(m.drained, []time.Duration{1500 * time.Millisecond}) {
		t.Errorf("drained %v; want 1.5s", m.drained)
	}
	decode(t, ask{method: "DELETE", path: "/v1/drain"}.do(s.Handler()), http.StatusOK)
	if m.resumed != 1 {
		t.Errorf("resumed %d times; want once", m.resumed)
	}

	for _, c := range []struct{ body, want string }{
		{`{"deadline_seconds": 1, "force": true}`, `no field "force"`},
		{`{"deadline_seconds": "1"}`, "deadline_seconds is a string; it must be a number"},
		{`{"deadline_seconds": -1}`, "from 0 to 86400"},
		{`{"deadline_seconds": 1e300}`, "from 0 to 86400"},
		{`{"deadline_seconds": 1e999}`, "deadline_seconds"},
		{`{}`, "deadline_seconds is missing"},
		{`{"deadline_seconds": null}`, "deadline_seconds is missing"},
		{`[]`, "the body is an array; it must be an object"},
		{`true`, "the body is true or false; it must be an object"},
		{`{"deadline_seconds": 1} {}`, "continues"},
		{`{"deadline_seconds"`, "not JSON"},
		{`x`, "not JSON"},
		{``, "empty"},
	} {
		resp := ask{method: "PUT", path: "/v1/drain", body: c.body, header: typed}.do(s.Handler())
		if body := resp.body; resp.StatusCode != http.StatusBadRequest || !strings.Contains(body,
			strings.ReplaceAll(c.want, `"`, `\"`)) {
			t.Errorf("%s: %d %s; want 400 with %q", c.body, resp.StatusCode, body, c.want)
		}
	}
	if got := refusal(t, ask{
		method: "PUT", path: "/v1/drain",
		body: `{"deadline_seconds": 1}`,
	}.do(s.Handler())); got != problem.UnsupportedMediaType {
		t.Errorf("no content type: %s", got)
	}
	if len(m.drained) != 1 {
		t.Errorf("a refused request drained the host: %v", m.drained)
	}
}

func TestOperatorSaysWhy(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	end := func(query string) reply {
		return ask{method: "DELETE", path: "/v1/sessions/s1" + query}.do(s.Handler())
	}
	long := strings.Repeat("ü", 200)
	for _, query := range []string{"?reason=moved+to+another%20desk", "", "?reason=", "?reason=" + url.QueryEscape(long)} {
		if resp := end(query); resp.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %d %s; want 204", query, resp.StatusCode, resp.body)
		}
	}
	if want := []string{"moved to another desk", "", "", long}; !slices.Equal(m.notes, want) {
		t.Errorf("noted %q; want %q", m.notes, want)
	}
	for query, want := range map[string]string{
		"?reason=" + url.QueryEscape(long+"ü"): "it must be up to 200 characters long",
		"?Reason=x":                            `there is no parameter "Reason"; this operation has reason`,
		"?reason=x&reason=y":                   "reason appears twice",
		"?reason=%zz":                          "the query is not valid",
	} {
		if d := problemOf(t, end(query)); d.Code != problem.BadRequest || !strings.Contains(d.Detail, want) {
			t.Errorf("%s: %s, %s; want %s", query, d.Code, d.Detail, want)
		}
	}
	if len(m.ended) != 4 {
		t.Errorf("ended %v; a refused request must end nothing", m.ended)
	}
}

func TestKeyframeIsAskedFor(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	if resp := (ask{
		method: "POST",
		path:   "/v1/sessions/s1/keyframe",
	}).do(s.Handler()); resp.StatusCode != http.StatusAccepted || resp.body != "" {
		t.Errorf("got %d %q; want 202 and no body", resp.StatusCode, resp.body)
	}
	if got := refusal(t, ask{
		method: "POST",
		path:   "/v1/sessions/s2/keyframe",
	}.do(s.Handler())); got != problem.UnknownSession {
		t.Errorf("unknown session: %s", got)
	}
	if !slices.Equal(m.keys, []string{"s1", "s2"}) {
		t.Errorf("asked for %v", m.keys)
	}
}

// Every body is accepted or refused as the document's schemas say.
func FuzzDecodeBody(f *testing.F) {
	for _, seed := range []string{
		`{"deadline_seconds": 30}`, `{"deadline_seconds": 0.25}`, `{"Deadline_Seconds": 1}`,
		`{"deadline_seconds": -0}`, `{"x":1}`,
		`{"deadline_seconds": "x", "deadline_seconds": 2}`, `{"deadline_seconds": 1.0e2}`,
		`{"deadline_seconds": 86400}`, `{"deadline_seconds": 86400.001}`,
		`{"deadline_seconds": 1, "deadline_seconds": 2}`, `null`, `1`, `[[[[`, ``,
		"\xff", `{"reason": "x"}`, `{"reason": null}`, `{"reason": ""}`, `{"deadline_seconds": 1e999}`,
		`{"deadline_seconds": 1, "Deadline_seconds": 1}`,
		strings.Repeat(`{"reason":`, 9999), strings.Repeat(`[`, 20000),
	} {
		f.Add(seed)
	}
	s, _ := newServer(f, Config{}, healthy())
	c := newContract(f, s.spec.Document())
	bodies := map[string]reflect.Type{}
	for _, rt := range s.routes(nil) {
		if b := rt.Body; b != nil && b.Media == content.JSON {
			t := reflect.TypeOf(b.Value)
			bodies[openapi.SchemaName(t, "")] = t
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		var value any
		isJSON := json.Unmarshal([]byte(text), &value) == nil
		for name, kind := range bodies {
			v := reflect.New(kind).Interface()
			err := s.spec.Decode(text, v)
			if err != nil {
				if p, ok := errors.AsType[*problem.Error](err); !ok || p.Code != problem.BadJSON ||
					len(p.Message) > 1000 || p.Message == "" {
					t.Fatalf("%q: %v", text, err)
				}
			}
			if want := isJSON && c.fits("#/components/schemas/"+name, value) == nil; want != (err == nil) {
				t.Fatalf("%q as %s: %v; the document takes it: %v", text, name, err, want)
			}
			if d, ok := v.(*draining); ok && err == nil && (d.deadline() < 0 || d.deadline() > 24*time.Hour) {
				t.Fatalf("%q gives %v", text, d.deadline())
			}
		}
	})
}

// Types that bodies may have in the future: integers in any notation, lists, nested objects, nullable fields.
func TestBodiesAreTakenAsTheirSchemasSay(t *testing.T) {
	type inner struct {
		Name string `json:"name" enum:"a,b" doc:"x"`
	}
	type wide struct {
		Rate   int     `json:"rate,omitempty" minimum:"1" maximum:"100000000" doc:"x, in bit/s"`
		Weight *int    `json:"weight,omitempty" nullable:"true" minimum:"1" maximum:"9" doc:"x"`
		Words  []inner `json:"words,omitempty" maxItems:"2" doc:"x"`
	}
	sp, err := describe([]route{open("POST", "/x", nil, openapi.Operation{
		ID: "x", Summary: "x", Body: openapi.Reads(wide{}, "x"), Answers: []openapi.Answer{openapi.Empty(204, "x")},
	})})
	if err != nil {
		t.Fatal(err)
	}
	c := newContract(t, sp.Document())
	taken := 0
	for _, text := range []string{
		`{}`, `{"rate": 100}`, `{"rate": 1.0e2}`, `{"rate": 100.0}`, `{"rate": 100.5}`, `{"rate": 0}`,
		`{"rate": 1e9}`, `{"rate": 1e99}`, `{"rate": null}`,
		`{"weight": null}`, `{"weight": 3}`, `{"weight": 10}`, `{"words": []}`, `{"words": null}`,
		`{"words": [{"name": "a"}]}`, `{"words": [{"name": "c"}]}`,
		`{"words": [{}]}`, `{"words": [null]}`, `{"words": [{"name": "a", "x": 1}]}`,
		`{"words": [{"Name": "a"}]}`, `{"words": [{"name": null}]}`,
		`{"words": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}`, `{"words": {"name": "a"}}`, `[]`,
		`{"rate": "1", "rate": 1}`,
	} {
		var v wide
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		err, fits := sp.Decode(text, &v), c.fits("#/components/schemas/Wide", value)
		if (err == nil) != (fits == nil) {
			t.Errorf("%s: %v; the schema says %v", text, err, fits)
		}
		if err == nil {
			taken++
		}
	}
	if taken != 9 {
		t.Errorf("%d bodies are taken; want 9", taken)
	}
}

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*session.Host)
		want   []any // reasons; nil for ready
	}{
		{"active", func(*session.Host) {}, nil},
		{"degraded still serves", func(h *session.Host) { h.State = "degraded" }, nil},
		{"draining", func(h *session.Host) { h.State = "draining" }, []any{"draining"}},
		{"cordoned", func(h *session.Host) { h.Cordon = new(hoststate.CordonStatus) }, []any{"cordoned"}},
		{"no display", func(h *session.Host) { h.Displays = nil }, []any{"no_display"}},
		{
			"lost display", func(h *session.Host) { h.Displays = []session.DisplayInfo{{State: "lost"}} },
			[]any{"display_lost"},
		},
		{
			"one of two displays lost",
			func(h *session.Host) { h.Displays = []session.DisplayInfo{{State: "lost"}, {State: "idle"}} }, nil,
		},
		{"unusable default", func(h *session.Host) {
			h.Displays = []session.DisplayInfo{
				{State: "unusable"},
				{State: "idle"},
			}
		}, []any{"display_unusable"}},
		{"default that does not answer", func(h *session.Host) {
			h.Displays = []session.DisplayInfo{{
				State: "slow",
			}, {State: "idle"}}
		}, []any{"display_unusable"}},
		{"unusable display beside the default", func(h *session.Host) {
			h.Displays = []session.DisplayInfo{{
				State: "idle",
			}, {State: "unusable"}}
		}, nil},
		{
			"no usable encoder",
			func(h *session.Host) { h.Encoders = []session.EncoderInfo{{Name: "h264_nvenc"}} },
			[]any{"no_encoder"},
		},
		{"nothing at all", func(h *session.Host) { *h = session.Host{State: "draining"} }, []any{
			"draining",
			"no_display", "no_encoder",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := healthy()
			c.change(&m.state)
			// Monitoring asks both, without a token.
			s, _ := newServer(t, Config{Token: token}, m)
			decode(t, ask{method: "GET", path: "/healthz"}.do(s.Handler()), http.StatusOK)
			resp := ask{method: "GET", path: "/readyz"}.do(s.Handler())
			if c.want == nil {
				decode(t, resp, http.StatusOK)
				return
			}
			body := decode(t, resp, http.StatusServiceUnavailable)
			if got, _ := body["reasons"].([]any); !slices.Equal(got, c.want) || body["code"] != "not_ready" {
				t.Errorf("got %v; want reasons %v", body, c.want)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	s, reg := newServer(t, Config{}, healthy())
	h := s.Handler()
	for _, a := range []ask{
		{method: "GET", path: "/v1/sessions/s1"},
		{method: "GET", path: "/v1/sessions/s2"},
		{method: "GET", path: "/"},
		{method: "BREW", path: "/made/up"},
		{method: "GET", path: "/", host: "evil.example"},
	} {
		a.do(h)
	}
	want := `
# HELP wavry_host_http_requests_total HTTP requests by route, method and class of status.
# TYPE wavry_host_http_requests_total counter
wavry_host_http_requests_total{code="2xx",method="GET",route="/"} 1
wavry_host_http_requests_total{code="2xx",method="GET",route="/v1/sessions/{id}"} 1
wavry_host_http_requests_total{code="4xx",method="GET",route="/v1/sessions/{id}"} 1
wavry_host_http_requests_total{code="4xx",method="GET",route="none"} 1
wavry_host_http_requests_total{code="4xx",method="other",route="other"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "wavry_host_http_requests_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}

	resp := ask{method: "GET", path: "/metrics"}.do(h)
	body := resp.body
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"),
		"text/plain; version=0.0.4") ||
		!strings.Contains(body, `wavry_host_http_errors_total{code="forbidden_host"} 1`) {
		t.Errorf("/metrics: %d %s\n%s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
}

type brokenCollector struct{}

func (brokenCollector) Describe(chan<- *prometheus.Desc) {}

func (brokenCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "It is.", nil, nil), errors.New("broken"))
}

func TestMetricsWithABrokenCollector(t *testing.T) {
	s, reg := newServer(t, Config{}, healthy())
	reg.MustRegister(brokenCollector{})
	resp := ask{method: "GET", path: "/metrics"}.do(s.Handler())
	if body := resp.body; resp.StatusCode != http.StatusOK || !strings.Contains(body, "wavry_host_http_panics_total") {
		t.Errorf("the good metrics are not served: %d %s", resp.StatusCode, body)
	}
	alone := prometheus.NewRegistry()
	alone.MustRegister(brokenCollector{})
	s, err := New(Config{Token: token}, healthy(), alone, NewMetrics(prometheus.NewRegistry()),
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if got := refusal(t, ask{
		method: "GET", path: "/metrics",
		header: bearer(token),
	}.do(s.Handler())); got != problem.Internal {
		t.Errorf("nothing gathered: %s", got)
	}
}

func TestPrepareChangesWhatCanChange(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, cert, key, "host.example")
	public := Config{Listen: "0.0.0.0:0", TLSCert: cert, TLSKey: key, Token: token}
	m := healthy()
	s, _ := newServer(t, public, m)
	h := s.Handler()
	get := func(shown, host, origin string) int {
		header := bearer(shown)
		if origin != "" {
			header["Origin"] = origin
		}
		return ask{method: "GET", path: "/v1/host", host: host, header: header}.do(h).StatusCode
	}
	next := Config{
		Listen: "127.0.0.1:1", Token: token + "-new", AllowedHosts: []string{"screen.example"},
		AllowedOrigins: []string{"https://page.example"},
		Limits:         edge.Limits{PerAddress: 50},
	}
	apply, err := s.Prepare(next)
	if err != nil {
		t.Fatal(err)
	}
	if get(token, "", "") != http.StatusOK || get(token, "screen.example", "") != http.StatusForbidden {
		t.Error("it is in force before it is applied")
	}
	apply()
	if get(token, "", "") != http.StatusUnauthorized || get(token+"-new", "", "") != http.StatusOK {
		t.Error("the old token is good, or the new one is not")
	}
	if get(token+"-new", "screen.example", "https://page.example") != http.StatusOK {
		t.Error("the new host and origin are refused")
	}
	if got := s.live.Load().limits.PerAddress; got != 50 {
		t.Errorf("%d requests of an address are allowed; want 50", got)
	}
	// A public address keeps requiring TLS and a credential, whatever else the new configuration says.
	for _, bad := range []Config{{Listen: "127.0.0.1:1"}, {Token: "short"}, {
		Token:        token,
		AllowedHosts: []string{"a/b"},
	}, {Token: token, Limits: edge.Limits{InAll: -1}}} {
		if _, err := s.Prepare(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestFiguresTellNoAddresses(t *testing.T) {
	file, of := tokens(t)
	link := GatewayLink{
		Gateway: "gateway.example:443", Dialect: "wavry", Username: "host7", State: "bound",
		Route: "proven", Since: time.Now(),
	}
	s, _ := newServer(t, Config{TokensFile: file, Gateway: func() GatewayLink { return link }}, healthy())
	for role, want := range map[string]bool{"operator": true, "metrics": false} {
		r := ask{method: "GET", path: "/v1/host", header: bearer(of[role])}.do(s.Handler())
		if got := strings.Contains(r.body, "gateway.example") || strings.Contains(r.body,
			"host7"); got != want || r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", role, r.StatusCode, r.body)
		}
	}
}

// A gateway learns what this host is: its version of the API, labels, clock, run and features.
func TestHostDescribesItself(t *testing.T) {
	labels := map[string]string{"region": "eu-west", "pool": "cad"}
	s, _ := newServer(t, Config{Labels: labels, AnonymousRole: AnonymousViewer}, healthy())
	get := func(s *Server) map[string]any {
		return decode(t, ask{method: "GET", path: "/v1/host", header: bearer(token)}.do(s.Handler()), http.StatusOK)
	}
	host := get(s)
	if host["api_version"] != openapi.Version || host["labels"].(map[string]any)["region"] != "eu-west" ||
		!slices.Equal(host["features"].([]any), []any{"anonymous_viewers"}) {
		t.Errorf("the host is %v", host)
	}
	if at, err := time.Parse(time.RFC3339Nano, host["time"].(string)); err != nil || time.Since(at) > time.Minute {
		t.Errorf("its time is %v", host["time"])
	}
	again, _ := newServer(t, Config{}, healthy())
	if boot := host["boot_id"]; boot == "" || get(s)["boot_id"] != boot || get(again)["boot_id"] == boot {
		t.Errorf("boot_id %v is not that of one run", boot)
	}
	if labels := get(again)["labels"].(map[string]any); len(labels) != 0 {
		t.Errorf("labels %v", labels)
	}
}
