package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/handover"
	"wavryhost/session/api/problem"
)

// succession is two servers of a host: the former one, which still has sessions, and the new one.
type succession struct {
	former, now       *fakeManager
	old, new          *Server
	changing, retired bool
}

// newSuccession makes both, the former one with cfg. open opens sessions there.
func newSuccession(t *testing.T, cfg Config, open func(http.Handler)) *succession {
	t.Helper()
	s := &succession{former: opens(healthy()), now: opens(healthy())}
	s.now.list[0].ID = "own"
	s.former.list[0].TargetBitrate, s.former.list[0].Control, s.former.list[0].ExternalID = 3_000_000, true, "job-4711"
	s.old, _ = newServer(t, cfg, s.former)
	if open != nil {
		open(s.old.Handler())
	}
	path := filepath.Join(t.TempDir(), "s")
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: handover.Handler(handover.Steps{
		Status:  func() handover.Status { return handover.Status{Sessions: len(s.former.list)} },
		Serving: s.old.Succession().Bequeath,
		Ready:   func(context.Context) { s.retired = true },
	}, s.old.Handler())}
	done := make(chan struct{})
	go func() {
		_ = srv.Serve(ln)
		close(done)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	cfg.Former, cfg.Changing = handover.Dial(path), func() bool { return s.changing }
	s.new, _ = newServer(t, cfg, s.now)
	estate, err := cfg.Former.Serving(t.Context())
	if err == nil {
		err = s.new.Succession().Inherit(t.Context(), estate)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asOperator is the header of an operator's request with a body of JSON.
func asOperator() map[string]string {
	header := typed()
	header["Authorization"] = "Bearer " + token
	return header
}

// Requests about sessions of the former daemon reach it, and only those.
func TestSessionsOfTheFormerDaemon(t *testing.T) {
	s := newSuccession(t, Config{Token: token, AllowedOrigins: []string{"https://a.example"}}, nil)
	h, origin := s.new.Handler(), "https://a.example"
	got := decode(t, ask{method: "GET", path: "/v1/sessions/s1", header: bearer(token)}.do(h), http.StatusOK)
	if got["external_id"] != "job-4711" {
		t.Errorf("got %v", got)
	}
	got = decode(t, ask{method: "GET", path: "/v1/sessions/own", header: bearer(token)}.do(h), http.StatusOK)
	if got["id"] != "own" {
		t.Errorf("got %v", got)
	}
	if code := status(h, "PATCH", "/whep/sessions/s1", token, "If-Match", `"e1"`); code != http.StatusNoContent {
		t.Errorf("PATCH: %d", code)
	}
	a := ask{method: "DELETE", path: "/whep/sessions/s1", header: map[string]string{
		"Authorization": "Bearer " + token, "Origin": origin,
	}}.do(h)
	if a.StatusCode != http.StatusOK || !slices.Equal(s.former.ended, []session.EndReason{session.EndDeleted}) {
		t.Errorf("DELETE: %d, ended %v", a.StatusCode, s.former.ended)
	}
	if list := a.Header.Values("Access-Control-Allow-Origin"); !slices.Equal(list, []string{origin}) {
		t.Errorf("origins %v", list)
	}
	unknown := ask{method: "GET", path: "/v1/sessions/s9", header: bearer(token)}.do(h)
	if code := refusal(t, unknown); code != problem.UnknownSession {
		t.Errorf("a session that neither has: %s", code)
	}
}

// A session that replaces one of the former daemon has its owner, limits, names and control.
func TestSessionThatReplacesOne(t *testing.T) {
	s := newSuccession(t, Config{Token: token}, nil)
	h := s.new.Handler()
	if code := status(h, "POST", "/whep/default?replaces=s1&pointer=channel", token); code != http.StatusCreated {
		t.Fatalf("status %d", code)
	}
	o := s.now.offers[0]
	if o.Display != "x11:0" || o.ExternalID != "job-4711" || o.Rate != 3_000_000 || !o.Control || !o.DrawsPointer {
		t.Errorf("the offer is %+v", o)
	}
	// The viewer tries again: the first attempt came to nothing.
	if code := status(h, "POST", "/whep/default?replaces=s1", token); code != http.StatusCreated {
		t.Errorf("again: status %d", code)
	}
	if !slices.Equal(s.now.ended, []session.EndReason{session.EndReplaced}) {
		t.Errorf("ended %v", s.now.ended)
	}
	if code := status(h, "POST", "/whep/default?replaces=own", token); code != http.StatusNotFound {
		t.Errorf("a session of this daemon: status %d", code)
	}
	lone, _ := newServer(t, Config{Token: token}, opens(healthy()))
	if code := status(lone.Handler(), "POST", "/whep/default?replaces=s1", token); code != http.StatusNotFound {
		t.Errorf("without a former daemon: status %d", code)
	}
}

// Credentials that open one session may replace it, and nothing else.
func TestCredentialsOfOneSessionReplaceIt(t *testing.T) {
	i, v := newIssuer(t)
	once := i.sign("j1", "ann", `{"role":"viewer","once":true}`)
	other := i.sign("j2", "eve", `{"role":"viewer"}`)
	var ids []string
	var viewer string
	s := newSuccession(t, Config{Token: token, Grants: v}, func(h http.Handler) {
		if code := status(h, "POST", "/whep/x11:0", once); code != http.StatusCreated {
			t.Fatalf("the grant opens a session: %d", code)
		}
		a := decode(t, ask{
			method: "POST", path: "/v1/sessions", header: asOperator(),
			body: `{"display": "x11:0", "subject": "bob", "sdp": "v=0"}`,
		}.do(h), http.StatusCreated)
		viewer = a["viewer_token"].(string) //nolint:forcetypeassert // the document says so
		ids = []string{"s2", a["id"].(string)}
	})
	h := s.new.Handler()
	for _, c := range []struct {
		who, token, replaces string
		want                 int
	}{
		{"a stranger", other, ids[0], http.StatusNotFound},
		{"a stranger", other, ids[1], http.StatusNotFound},
		{"the grant for one session", once, ids[1], http.StatusNotFound},
		{"the grant for one session", once, ids[0], http.StatusCreated},
		{"the viewer token", viewer, ids[0], http.StatusNotFound},
		{"the viewer token", viewer, ids[1], http.StatusCreated},
	} {
		if got := status(h, "POST", "/whep/default?replaces="+c.replaces, c.token); got != c.want {
			t.Errorf("%s replaces %s: status %d; want %d", c.who, c.replaces, got, c.want)
		}
	}
	if code := status(h, "POST", "/whep/default", once); code != http.StatusForbidden {
		t.Errorf("the grant opens another session: %d", code)
	}
	last := fmt.Sprintf("/whep/sessions/s%d", len(s.now.list))
	if code := status(h, "PATCH", last, viewer, "If-Match", `"e1"`); code != http.StatusNoContent {
		t.Errorf("the viewer token for its new session: %d", code)
	}
}

// What a former daemon has promised, the new one keeps.
func TestPromisesOfTheFormerDaemon(t *testing.T) {
	var viewer string
	s := newSuccession(t, Config{Token: token}, func(h http.Handler) {
		a := decode(t, ask{
			method: "POST", path: "/v1/reservations", header: asOperator(), body: `{"display": "x11:0", "subject": "ann"}`,
		}.do(h), http.StatusCreated)
		viewer = a["viewer_token"].(string) //nolint:forcetypeassert // the document says so
	})
	if len(s.former.reservations) != 1 || s.now.reservations[0].ID != s.former.reservations[0].ID {
		t.Fatalf("reservations %+v; want %+v", s.now.reservations, s.former.reservations)
	}
	if code := status(s.new.Handler(), "POST", "/whep/default", viewer); code != http.StatusCreated {
		t.Errorf("the viewer of the reservation: %d", code)
	}
	if o := s.now.offers[0]; o.Reservation != s.former.reservations[0].ID || o.Owner.Name != "ann" {
		t.Errorf("the offer is %+v", o)
	}
}

// A revocation ends sessions of both daemons.
func TestRevocationReachesTheFormerDaemon(t *testing.T) {
	_, v := newIssuer(t)
	s := newSuccession(t, Config{Token: token, Grants: v}, nil)
	a := ask{method: "POST", path: "/v1/revocations", header: asOperator(), body: `{"subject": "ann"}`}.do(s.new.Handler())
	if a.StatusCode != http.StatusOK || len(s.former.revoked) != 1 || len(s.now.revoked) != 1 {
		t.Errorf("status %d, revoked %v and %v", a.StatusCode, s.former.revoked, s.now.revoked)
	}
}

// While one daemon takes over from the other, nothing of the host changes that only one would know. Sessions go on.
func TestNothingChangesDuringAHandover(t *testing.T) {
	s := newSuccession(t, Config{Token: token}, nil)
	s.changing = true
	h := s.new.Handler()
	for _, a := range []ask{
		{method: "POST", path: "/whep/x11:0", header: map[string]string{"Content-Type": "application/sdp"}, body: offer},
		{method: "POST", path: "/v1/reservations", header: typed(), body: `{}`},
		{method: "PUT", path: "/v1/drain", header: typed(), body: `{}`},
		{method: "PUT", path: "/v1/cordon", header: typed(), body: `{}`},
		{method: "DELETE", path: "/v1/reservations/l1"},
	} {
		if a.header == nil {
			a.header = map[string]string{}
		}
		a.header["Authorization"] = "Bearer " + token
		got := a.do(h)
		if code := refusal(t, got); code != problem.Draining || got.Header.Get("Retry-After") != "1" {
			t.Errorf("%s %s: %s, to be repeated after %q", a.method, a.path, code, got.Header.Get("Retry-After"))
		}
	}
	if code := status(h, "PATCH", "/whep/sessions/s1", token, "If-Match", `"e1"`); code != http.StatusNoContent {
		t.Errorf("PATCH of a session: %d", code)
	}
	if got := decode(t, ask{method: "GET", path: "/v1/host", header: bearer(token)}.do(h), 200); got["former"] == nil {
		t.Errorf("the host does not show the former daemon: %v", got)
	}
}

// A former daemon that is gone is not asked any more.
func TestFormerDaemonThatIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	f := handover.Dial(path)
	f.Follow(t.Context(), time.Hour) // returns, because there is no listener
	if f.Sessions() >= 0 {
		t.Fatalf("it has %d sessions", f.Sessions())
	}
	s, _ := newServer(t, Config{Token: token, Former: f}, healthy())
	h := s.Handler()
	a := ask{method: "GET", path: "/v1/sessions/s9", header: bearer(token)}.do(h)
	if got := refusal(t, a); got != problem.UnknownSession {
		t.Errorf("got %s", got)
	}
	if got := decode(t, ask{method: "GET", path: "/v1/host", header: bearer(token)}.do(h), 200); got["former"] != nil {
		t.Errorf("the host shows %v", got["former"])
	}
}

// A paused server leaves connections to another one on the same socket, and takes the next ones after the pause.
func TestPause(t *testing.T) {
	s, addr, stop := start(t, Config{Token: token}, healthy())
	client := func() *http.Client { return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} }
	if code, _ := get(t, client(), "http://"+addr+"/healthz"); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	s.Succession().Pause(true)
	file, err := s.Succession().Socket().File()
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.FileListener(file)
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // each of them by the other listener
		done := make(chan error, 1)
		go func() {
			c, err := other.Accept()
			if err == nil {
				err = c.Close()
			}
			done <- err
		}()
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	s.Succession().Pause(false)
	s.Succession().Pause(false)
	if code, _ := get(t, client(), "http://"+addr+"/healthz"); code != http.StatusOK {
		t.Errorf("after the pause: status %d", code)
	}
	s.Succession().Pause(true)
	if err := stop(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// A retired server accepts no connection, and continues until its context ends.
func TestRetire(t *testing.T) {
	s, addr, stop := start(t, Config{Token: token}, healthy())
	s.Succession().Retire()
	for {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	if err := stop(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}
