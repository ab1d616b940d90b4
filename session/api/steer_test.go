package api

import (
	"image"
	"net/http"
	"slices"
	"strings"
	"testing"

	"wavryhost/session"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
)

func TestControlIsGivenAndWithdrawn(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	if resp := (ask{method: "PUT", path: "/v1/sessions/s1/control"}).do(s.Handler()); resp.StatusCode != http.StatusOK {
		t.Errorf("PUT: %d %s", resp.StatusCode, resp.body)
	}
	if resp := (ask{
		method: "DELETE",
		path:   "/v1/sessions/s1/control",
	}).do(s.Handler()); resp.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %d %s", resp.StatusCode, resp.body)
	}
	if got := refusal(t, ask{
		method: "PUT",
		path:   "/v1/sessions/s2/control",
	}.do(s.Handler())); got != problem.UnknownSession {
		t.Errorf("PUT for a session that is not there: %s", got)
	}
	m.list[0].Role = "viewer"
	if got := refusal(t, ask{
		method: "PUT",
		path:   "/v1/sessions/s1/control",
	}.do(s.Handler())); got != problem.NoControl {
		t.Errorf("PUT for a viewer's session: %s", got)
	}
}

func TestRolesMayControl(t *testing.T) {
	for role, want := range map[grant.Role]session.Role{
		grant.Viewer: session.RoleViewer, grant.Controller: session.RoleController,
		grant.Operator: session.RoleOperator, grant.Metrics: session.RoleViewer,
	} {
		if got := whep.RoleOf(role); got != want {
			t.Errorf("%s is a %s; want %s", role, got, want)
		}
		for _, path := range []string{"PUT /v1/sessions/{id}/control", "DELETE /v1/sessions/{id}/control"} {
			var rt route
			for i, c := range path {
				if c == ' ' {
					rt.Method, rt.Path = path[:i], path[i+1:]
				}
			}
			if rt.allows(role) != (role == grant.Operator) {
				t.Errorf("%s by a %s: %v", path, role, rt.allows(role))
			}
		}
	}
	// A client that acts for a viewer does not give the viewer its own role.
	for name, want := range map[string]session.Role{
		"": session.RoleViewer, "viewer": session.RoleViewer, "controller": session.RoleController,
	} {
		if got := whep.RoleOf(viewerRole(name)); got != want {
			t.Errorf("role %q makes a %s; want %s", name, got, want)
		}
	}
}

func TestOptionsTellWhetherInputIsTaken(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	if got := (ask{method: "OPTIONS", path: "/whep/x11:0"}).do(s.Handler()).Header.Get("Wavry-Input"); got != "taken" {
		t.Errorf("%s: %q; want taken", "Wavry-Input", got)
	}
	if got := (ask{method: "OPTIONS", path: "/whep/synthetic"}).do(s.Handler()).Header.Get("Wavry-Input"); got != "" {
		t.Errorf("%s of a display that takes none: %q", "Wavry-Input", got)
	}
	guarded, _ := newServer(t, Config{Token: "0123456789abcdef"}, healthy())
	if got := (ask{method: "OPTIONS", path: "/whep/x11:0"}).do(guarded.Handler()).Header.Get("Wavry-Input"); got != "" {
		t.Errorf("%s for who shows no token: %q", "Wavry-Input", got)
	}
}

// The timeline of a session shows that it lost control to another.
func TestTimelineTellsOfLostControl(t *testing.T) {
	m := healthy()
	m.past = []session.EventRecord{
		{ID: 1, Kind: "session_created", Session: "s1"},
		{ID: 2, Kind: "control_changed", Session: "s2", From: "s1", To: "s2", Reason: "given"},
		{ID: 3, Kind: "control_changed", Session: "s2", From: "s2", Reason: "idle"},
	}
	s, _ := newServer(t, Config{}, m)
	resp := ask{method: "GET", path: "/v1/sessions/s1/timeline"}.do(s.Handler())
	if !strings.Contains(resp.body, `"id":2`) || strings.Contains(resp.body, `"id":3`) {
		t.Errorf("the timeline is %s", resp.body)
	}
}

func TestDisplaysAreResized(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	send := func(path, body string) reply {
		return ask{method: "PUT", path: path, body: body, header: typed()}.do(s.Handler())
	}
	for path, want := range map[string]session.Resize{
		"/v1/sessions/s1/size":             {Session: "s1", Size: image.Pt(1600, 900)},
		"/v1/displays/x11:0/size":          {Display: "x11:0", Size: image.Pt(1600, 900)},
		"/v1/displays/x11%3A0%40DP-1/size": {Display: "x11:0@DP-1", Size: image.Pt(1600, 900)},
	} {
		m.resized = nil
		if resp := send(path, `{"width": 1600, "height": 900}`); resp.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %d %s", path, resp.StatusCode, resp.body)
		}
		if !slices.Equal(m.resized, []session.Resize{want}) {
			t.Errorf("%s: got %+v; want %+v", path, m.resized, want)
		}
	}
	m.resized = nil
	for _, body := range []string{
		`{}`, `{"width": 1600}`, `{"width": 95, "height": 900}`, `{"width": 1600, "height": 8193}`,
		`{"width": 1600.5, "height": 900}`, `{"width": 1600, "height": 900, "depth": 24}`,
	} {
		if got := refusal(t, send("/v1/sessions/s1/size", body)); got != problem.BadJSON {
			t.Errorf("%s: %s", body, got)
		}
	}
	if len(m.resized) > 0 {
		t.Errorf("bad sizes were asked for: %+v", m.resized)
	}
	for err, want := range map[error]problem.Code{
		session.ErrFixedSize: problem.FixedSize, session.ErrResizedTooOften: problem.TooManyRequests,
		session.ErrBadChange: problem.BadChange, session.ErrNoControl: problem.NoControl,
	} {
		m.fixed = err
		resp := send("/v1/sessions/s1/size", `{"width": 1600, "height": 900}`)
		if got := refusal(t, resp); got != want {
			t.Errorf("%v: %s; want %s", err, got, want)
		}
		if late := resp.Header.Get("Retry-After") != ""; late != (want == problem.TooManyRequests) {
			t.Errorf("%v: Retry-After is %q", err, resp.Header.Get("Retry-After"))
		}
	}
}
