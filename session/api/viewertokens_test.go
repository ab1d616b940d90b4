package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
)

// opens makes m open sessions that it then lists: s2, s3 and so on.
func opens(m *fakeManager) *fakeManager {
	m.create = func(_ context.Context, o session.Offer) (session.Answer, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		id := fmt.Sprintf("s%d", len(m.list)+1)
		one := m.list[0]
		one.ID, one.Subject, one.Credential, one.Issuer = id, o.Owner.Name, o.Owner.Credential, o.Owner.Issuer
		one.Role = o.Role.String()
		m.list = append(m.list, one)
		return session.Answer{ID: id, SDP: "v=0\r\n", ETag: `"e1"`}, nil
	}
	m.patch = func(_, ifMatch, _ string) (session.Patched, error) {
		if ifMatch == "*" {
			return session.Patched{SDP: "a=ice-ufrag:new\r\n", ETag: `"e2"`}, nil
		}
		return session.Patched{ETag: ifMatch}, nil
	}
	return m
}

// status makes a WHEP request with a viewer's token and returns the status.
func status(h http.Handler, method, path, token string, more ...string) int {
	header := bearer(token)
	body := ""
	switch method {
	case "POST":
		header["Content-Type"], body = whep.TypeSDP, offer
	case "PATCH":
		header["Content-Type"], body = whep.TypeFragment, "a=ice-ufrag:x\r\n"
	}
	for i := 0; i < len(more); i += 2 {
		header[more[i]] = more[i+1]
	}
	return ask{method: method, path: path, header: header, body: body}.do(h).StatusCode
}

// A gateway opens a session for ann. Ann's token is good for all WHEP requests of that session, and for nothing else.
func TestSessionForASubject(t *testing.T) {
	m := opens(healthy())
	var log bytes.Buffer
	s, _ := newServer(t, Config{Audit: &log}, m)
	h := s.Handler()
	a := decode(t, ask{
		method: "POST", path: "/v1/sessions", header: typed(),
		body: `{"display": "x11:0", "subject": "ann", "role": "controller", "sdp": "v=0"}`,
	}.do(h), http.StatusCreated)
	ann, path := a["viewer_token"].(string), a["path"].(string)
	want := session.Owner{Credential: session.CredentialViewerToken, Issuer: "operator_token:token", Name: "ann"}
	if o := m.offers[0]; o.Owner != want || !o.Guest || o.Role != session.RoleController {
		t.Errorf("the offer is %+v", o)
	}
	bob := decode(t, ask{
		method: "POST", path: "/v1/sessions", header: typed(), body: `{"subject": "bob", "sdp": "v=0"}`,
	}.do(h), http.StatusCreated)["viewer_token"].(string)
	for _, c := range []struct {
		what, method, path, token string
		header                    []string
		want                      int
	}{
		{"trickle", "PATCH", path, ann, []string{"If-Match", `"e1"`}, http.StatusNoContent},
		{"restart", "PATCH", path, ann, []string{"If-Match", "*"}, http.StatusOK},
		{"figures", "GET", "/v1/sessions/" + a["id"].(string), ann, nil, http.StatusOK},
		{"another session", "PATCH", path, bob, []string{"If-Match", "*"}, http.StatusNotFound},
		{"another session's end", "DELETE", path, bob, nil, http.StatusNotFound},
		{"a second session", "POST", "/whep/x11:0", ann, nil, http.StatusForbidden},
		{"the control API", "GET", "/v1/sessions", ann, nil, http.StatusForbidden},
		{"another display", "POST", "/whep/synthetic", ann, nil, http.StatusForbidden},
		{"the end", "DELETE", path, ann, nil, http.StatusOK},
	} {
		if got := status(h, c.method, c.path, c.token, c.header...); got != c.want {
			t.Errorf("%s: %d; want %d", c.what, got, c.want)
		}
	}
	if !strings.Contains(log.String(), `"object":"subject ann"`) ||
		!strings.Contains(log.String(), `"credential":"viewer_token","issuer":"operator_token:token","who":"ann"`) {
		t.Errorf("the audit log is %s", log.String())
	}
	if strings.Contains(log.String(), ann) {
		t.Error("the token is in the audit log")
	}
	m.list = m.list[:1]
	s.access.Prune()
	if got := status(h, "DELETE", path, ann); got != http.StatusUnauthorized {
		t.Errorf("the token of a session that is gone: %d", got)
	}
}

// A gateway reserves a place for ann, who opens her session herself: once.
func TestReservationForASubject(t *testing.T) {
	m := opens(healthy())
	s, _ := newServer(t, Config{}, m)
	h := s.Handler()
	l := decode(t, ask{
		method: "POST", path: "/v1/reservations", header: typed(), body: `{"subject": "ann", "display": "x11:0"}`,
	}.do(h), http.StatusCreated)
	ann, path := l["viewer_token"].(string), l["path"].(string)
	if l["subject"] != "ann" || path != "/whep/x11:0" || m.asked[0].Subject != "ann" {
		t.Errorf("the reservation is %v, asked for %+v", l, m.asked)
	}
	s.access.Prune() // keeps the token of a reservation that is held
	create := m.create
	m.create = func(context.Context, session.Offer) (session.Answer, error) {
		return session.Answer{}, session.ErrNoPicture
	}
	if got := status(h, "POST", path, ann); got != http.StatusConflict {
		t.Errorf("an offer that fails: %d", got)
	}
	m.create = create
	if got := status(h, "POST", path+"?reservation=l9", ann); got != http.StatusForbidden {
		t.Errorf("another reservation: %d", got)
	}
	if got := status(h, "POST", "/whep/default", ann); got != http.StatusCreated {
		t.Errorf("POST: %d", got)
	}
	if o := m.offers[len(m.offers)-1]; o.Reservation != "l1" || o.Display != "x11:0" || o.Owner.Name != "ann" ||
		o.Role != session.RoleViewer {
		t.Errorf("the offer is %+v", o)
	}
	if got := status(h, "POST", path, ann); got != http.StatusForbidden {
		t.Errorf("a second session: %d", got)
	}
	if got := status(h, "PATCH", "/whep/sessions/s2", ann, "If-Match", "*"); got != http.StatusOK {
		t.Errorf("restart: %d", got)
	}
	if got := status(h, "DELETE", "/whep/sessions/s2", ann); got != http.StatusOK {
		t.Errorf("DELETE: %d", got)
	}
	got := refusal(t, ask{
		method: "POST", path: "/v1/reservations", header: typed(), body: `{"role": "controller"}`,
	}.do(h))
	if got != problem.BadJSON {
		t.Errorf("a role for nobody: %s", got)
	}
	m.reservations = nil
	unused := auth.ViewerOf(auth.Principal{Owner: theOperator}, "eve", "viewer")
	unused.Pass.Reservation = "l1"
	token := s.auth.Issue(unused)
	s.access.Prune()
	if got := status(h, "POST", path, token); got != http.StatusUnauthorized {
		t.Errorf("the token of a reservation that is gone: %d", got)
	}
}

// A viewer's token ends with the credential of the gateway that asked for it.
func TestViewerTokenEndsWithItsGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, path := tokenInFile(t, "gw", "operator")
		m := opens(healthy())
		s, _ := newServer(t, Config{TokensFile: path}, m)
		header := bearer(gateway)
		header["Content-Type"] = "application/json"
		l := decode(t, ask{
			method: "POST", path: "/v1/reservations", header: header, body: `{"subject": "ann"}`,
		}.do(s.Handler()), http.StatusCreated)
		ann := l["viewer_token"].(string)
		if got := status(s.Handler(), "POST", "/whep/x11:0", ann); got != http.StatusCreated {
			t.Fatalf("POST: %d", got)
		}
		if err := os.WriteFile(path, []byte("# nobody\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 10 { // the file is read again when it has not changed for a while
			time.Sleep(sweepInterval)
			s.access.Sweep(t.Context(), time.Now())
		}
		if got := m.ends(); len(got) != 1 || got[0] != session.EndRevoked {
			t.Errorf("ended for %v", got)
		}
	})
}

// Of two requests with one viewer token, one opens the session.
func TestViewerTokenOpensOneSession(t *testing.T) {
	p := auth.ViewerOf(auth.Principal{}, "ann", "viewer").Pass
	spent := make(chan bool, 16)
	for range cap(spent) {
		go func() { spent <- p.Spend() }()
	}
	n := 0
	for range cap(spent) {
		if <-spent {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d requests may open a session", n)
	}
}

// Viewers list the displays that their credential allows, without the figures of others.
func TestViewersListTheirDisplays(t *testing.T) {
	token, path := tokenInFile(t, "ann", "viewer", "displays=x11:*")
	m := healthy()
	m.state.Displays[0].Viewers, m.state.Displays[0].Control = 2, "s7"
	m.state.Displays = append(m.state.Displays, session.DisplayInfo{ID: "synthetic", State: "idle"})
	s, _ := newServer(t, Config{TokensFile: path}, m)
	resp := ask{method: "GET", path: "/v1/displays", header: bearer(token)}.do(s.Handler())
	list := decode(t, resp, http.StatusOK)["displays"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["id"] != "x11:0" || strings.Contains(resp.body, "viewers") ||
		strings.Contains(resp.body, "s7") {
		t.Errorf("ann sees %s", resp.body)
	}
}

// The host's own probe opens one session, which is no user's. Its token ends unused after its time.
func TestProbeToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := opens(healthy())
		open := m.create
		var offers []session.Offer
		m.create = func(ctx context.Context, o session.Offer) (session.Answer, error) {
			offers = append(offers, o)
			return open(ctx, o)
		}
		s, _ := newServer(t, Config{}, m)
		h := s.Handler()
		used, unused := s.ProbeToken("x11:0", time.Now().Add(time.Minute)), s.ProbeToken("x11:0", time.Now().Add(time.Minute))
		s.access.Prune()
		if got := status(h, "POST", "/whep/x11:0", used); got != http.StatusCreated {
			t.Fatalf("the probe's offer: %d", got)
		}
		if len(offers) != 1 || !offers[0].Probe || offers[0].Role != session.RoleViewer {
			t.Errorf("offers %+v; want one of a probe", offers)
		}
		for path, want := range map[string]int{
			"/whep/x11:0": http.StatusForbidden, "/whep/other": http.StatusForbidden,
		} {
			if got := status(h, "POST", path, used); got != want {
				t.Errorf("a second offer for %s: %d; want %d", path, got, want)
			}
		}
		if got := status(h, "GET", "/v1/host", used); got != http.StatusForbidden {
			t.Errorf("GET /v1/host: %d; want it forbidden", got)
		}
		time.Sleep(2 * time.Minute)
		s.access.Prune()
		if got := status(h, "POST", "/whep/x11:0", unused); got != http.StatusUnauthorized {
			t.Errorf("an old token: %d", got)
		}
	})
}
