package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"
)

// problemOf reads the problem document of a refused request.
func problemOf(t *testing.T, r reply) problem.Document {
	t.Helper()
	refusal(t, r)
	var d problem.Document
	if err := json.Unmarshal([]byte(r.body), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// An answer names all faults of a body at once, each with its place.
func TestAllFaultsOfABody(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	d := problemOf(t, ask{
		method: "POST", path: "/v1/sessions", header: typed(),
		body: `{"weight": 0, "max_bitrate": "x", "Display": "x11:0", "a/b~": 1, "role": "king", "region": null}`,
	}.do(s.Handler()))
	want := []problem.Fault{
		{Pointer: "#/sdp", Detail: "sdp is missing: "},
		{Pointer: "#/Display", Detail: `there is no field "Display"`},
		{Pointer: "#/a~1b~0", Detail: `there is no field "a/b~"`},
		{Pointer: "#/max_bitrate", Detail: "max_bitrate is a string; it must be a whole number"},
		{Pointer: "#/region", Detail: "region is null"},
		{Pointer: "#/role", Detail: "role is king"},
		{Pointer: "#/weight", Detail: "weight is 0; it must be from 1 to 1000"},
	}
	if len(d.Errors) != len(want) {
		t.Fatalf("%d faults: %+v", len(d.Errors), d.Errors)
	}
	for i, f := range d.Errors {
		if f.Pointer != want[i].Pointer || !strings.HasPrefix(f.Detail, want[i].Detail) {
			t.Errorf("fault %d is %+v; want %+v", i, f, want[i])
		}
		if !strings.Contains(d.Detail, f.Detail) {
			t.Errorf("%q does not name %q", d.Detail, f.Detail)
		}
	}
	if d.Type != "about:blank" || d.Title != "Bad Request" || d.Status != http.StatusBadRequest {
		t.Errorf("the document is %+v", d)
	}
	many := "{" + strings.TrimSuffix(strings.Repeat(`"x": 1, "y": null, "z": {},`, 20), ",") + "}"
	for i := range 60 {
		many = strings.Replace(many, `"x"`, `"x`+string(rune('a'+i%26))+strings.Repeat("i", i)+`"`, 1)
	}
	if d := problemOf(t, ask{method: "POST", path: "/v1/sessions", header: typed(), body: many}.do(s.Handler())); len(
		d.Errors) != openapi.MaxFaults {
		t.Errorf("%d faults are named", len(d.Errors))
	}
}

// An answer names all faults of a query at once, each with its parameter.
func TestAllFaultsOfAQuery(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	for path, want := range map[string][]problem.Fault{
		"/v1/sessions?oner=ann&page_size=0&state=asleep&fields=id,size&display=a&display=b&label=team": {
			{Parameter: "display", Detail: "display appears twice"},
			{Parameter: "fields", Detail: `fields: there is no field "size"`},
			{Parameter: "label", Detail: `label is "team"; it must be of the form of team=cad`},
			{Parameter: "oner", Detail: `there is no parameter "oner"; this operation has owner, display, state, external_id, ` +
				`label, page_size, page_token, fields`},
			{Parameter: "page_size", Detail: `page_size is "0"; it must be a number from 1 to 1000`},
			{Parameter: "state", Detail: `state is "asleep"; it must be one of connecting, connected, disconnected`},
		},
		"/v1/host?x=1": {{Parameter: "x", Detail: `there is no parameter "x"; this operation has none`}},
		"/v1/capacity?profile=large": {
			{Parameter: "profile", Detail: `profile is "large"; it must be of the form of 1280x720@30`},
		},
		"/v1/events?after=never": {{Parameter: "after", Detail: `after is "never"; it must be a whole number`}},
	} {
		if d := problemOf(t, ask{method: "GET", path: path}.do(s.Handler())); !slices.Equal(d.Errors, want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", path, d.Errors, want)
		}
	}
	many := "/v1/host?"
	for i := range 40 {
		many += fmt.Sprintf("p%d=1&", i)
	}
	if d := problemOf(t, ask{method: "GET", path: many}.do(s.Handler())); len(d.Errors) != openapi.MaxFaults {
		t.Errorf("%d faults are named", len(d.Errors))
	}
}

// The ID of a request is in its answer, the log and the audit log, also where the fault is the host's.
func TestRequestIDIsEverywhere(t *testing.T) {
	var log, trail bytes.Buffer
	m := healthy()
	m.end = func(string, session.EndReason) error { panic("of a test") }
	s, _ := newServer(t, Config{Audit: &trail}, m)
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	d := problemOf(t, ask{method: "DELETE", path: "/v1/sessions/s1"}.do(s.Handler()))
	if d.Code != problem.Internal {
		t.Errorf("a panic is %+v", d)
	}
	for what, text := range map[string]string{
		"panic": `msg="request panicked" request_id=` + d.Request, "request": `msg=request request_id=` + d.Request,
	} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("the %s is not in the log with its ID: %s", what, log.String())
		}
	}
	if !strings.Contains(trail.String(), `"request":"`+d.Request+`"`) {
		t.Errorf("audit log: %s", trail.String())
	}
}

// A refused configuration is told with all its faults.
func TestAllFaultsOfAConfiguration(t *testing.T) {
	s, _ := newServer(t, Config{Reload: func(time.Duration) (Reloaded, error) {
		return Reloaded{}, &badConfigurationError{"a.yaml:3: fps\nb.yaml:1: listen\n"}
	}}, healthy())
	d := problemOf(t, ask{method: "POST", path: "/v1/reload"}.do(s.Handler()))
	if len(d.Errors) != 2 || d.Errors[1].Detail != "b.yaml:1: listen" || d.Errors[1].Pointer != "" {
		t.Errorf("faults %+v", d.Errors)
	}
}

// badConfigurationError is an error as the daemon makes it.
type badConfigurationError struct{ text string }

func (e *badConfigurationError) Error() string      { return e.text }
func (*badConfigurationError) Is(target error) bool { return target == ErrBadConfiguration }
