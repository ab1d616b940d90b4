package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/client"
	"wavryhost/session/api/openapi"
)

// goClient returns a client of h. seen gets the operations that it uses.
func goClient(t *testing.T, h http.Handler, seen *sync.Map) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		if seen != nil {
			seen.Store(r.Pattern, true)
		}
	}))
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{URL: server.URL, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The Go client has a method for every operation of the document, and reads its answers.
func TestGoClientCoversTheAPI(t *testing.T) {
	m := obliging()
	s, _ := newServer(t, reloadable(Config{Token: token}), m)
	var seen sync.Map
	c, ctx := goClient(t, s.Handler(), &seen), t.Context()
	for name, err := range map[string]error{
		"host":     drop(c.Host.Get(ctx)),
		"capacity": drop(c.Host.Capacity(ctx, "1280x720@30")),
		"displays": drop(c.Host.Displays(ctx)),
		"cordon":   drop(c.Host.Cordon(ctx, client.CordonRequest{Note: "new fan", DurationSeconds: 60})),
		"uncordon": drop(c.Host.Uncordon(ctx)),
		"drain": drop(c.Host.Drain(ctx, client.DrainRequest{
			Policy:          client.DrainPolicyMove,
			DeadlineSeconds: 9,
		})),
		"drained":      drop(c.Host.Drained(ctx)),
		"resume":       drop(c.Host.Resume(ctx)),
		"probation":    drop(c.Host.BeginProbation(ctx)),
		"no probation": drop(c.Host.EndProbation(ctx)),
		"revoke":       drop(c.Host.Revoke(ctx, client.RevocationRequest{Subject: "ann"})),
		"probe":        c.Host.ProbeEncoders(ctx),
		"try":          c.Host.TryProgram(ctx),
		"self-probe":   c.Host.SelfProbe(ctx),
		"hand over":    c.Host.HandOver(ctx, client.HandoverRequest{DeadlineSeconds: 9}),
		"reload":       drop(c.Host.Reload(ctx, client.ReloadRequest{ConfirmSeconds: 9})),
		"confirm":      c.Host.ConfirmReload(ctx),
		"health":       c.Host.Health(ctx),
		"ready":        c.Host.Ready(ctx),
		"metrics":      drop(c.Host.Metrics(ctx)),
		"document":     drop(c.Host.Document(ctx)),
		"create": drop(c.Sessions.Create(ctx, "", client.SessionRequest{
			SDP:    "v=0",
			Labels: map[string]string{"a": "b"},
		})),
		"get":         drop(c.Sessions.Get(ctx, "s1")),
		"change":      drop(c.Sessions.Change(ctx, "s1", client.SessionChange{Weight: new(int)})),
		"give":        drop(c.Sessions.GiveControl(ctx, "s1")),
		"withdraw":    drop(c.Sessions.WithdrawControl(ctx, "s1")),
		"postpone":    drop(c.Sessions.Postpone(ctx, "s1", time.Minute)),
		"report":      c.Sessions.ReportViewer(ctx, "s1", client.ViewerFigures{Freezes: 2, FrozenSeconds: .75}),
		"keyframe":    c.Sessions.RequestKeyframe(ctx, "s1"),
		"size":        c.Sessions.Resize(ctx, "s1", client.DisplaySize{Width: 1600, Height: 900}),
		"resize":      c.Host.Resize(ctx, "x11:0@DP-1", client.DisplaySize{Width: 1600, Height: 900}),
		"recording":   drop(c.Sessions.Recording(ctx, "s1")),
		"timeline":    drop(c.Sessions.Timeline(ctx, "s1")),
		"end":         c.Sessions.End(ctx, "s1", "the desk is needed"),
		"reserve":     drop(c.Reservations.Create(ctx, "", client.ReservationRequest{Subject: "ann"})),
		"reservation": drop(c.Reservations.Get(ctx, "s1")),
		"renew":       drop(c.Reservations.Renew(ctx, "s1", time.Minute)),
		"release":     c.Reservations.Release(ctx, "s1"),
		"whep":        drop(c.WHEP.Open(ctx, "", client.Offer{SDP: offer, Region: "eu"})),
		"options":     drop(c.WHEP.Options(ctx, "x11:0", "eu")),
		"leave":       c.WHEP.End(ctx, "s1"),
	} {
		if name == "change" { // a weight of 0 is refused, with its place
			e, ok := errors.AsType[*client.Error](err)
			if !ok || e.Problem.Code != client.CodeBadJSON || len(e.Problem.Errors) != 1 ||
				e.Problem.Errors[0].Pointer != "#/weight" {
				t.Errorf("a bad change: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	fragment, etag, err := c.WHEP.Patch(ctx, "s1", "*", "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n")
	if err != nil || fragment != "a=ice-ufrag:new" || etag != `"e2"` {
		t.Errorf("restart: %q, %q, %v", fragment, etag, err)
	}
	for one, err := range c.Sessions.All(ctx, client.Filter{State: client.SessionStateConnected}) {
		if err != nil || one.ID != "s1" || one.Quality != client.QualityGood {
			t.Errorf("session %+v, %v", one, err)
		}
	}
	for _, err := range c.Reservations.All(ctx, client.Filter{}) {
		if err != nil {
			t.Error(err)
		}
	}
	m.happen("drained")
	m.happen("resume")
	enough := errors.New("enough")
	if err := c.Events.Follow(ctx, 1, func(client.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("events: %v", err)
	}
	for _, rt := range s.routes(nil) {
		pattern := rt.Method + " " + rt.Path
		if _, ok := seen.Load(pattern); !ok && rt.Tag != openapi.TagPage && pattern != "GET /v1/events" {
			t.Errorf("the client has no method for %s", pattern)
		}
	}
}

func drop[T any](_ T, err error) error { return err }

// Lists are read by pages and filters; what has not changed is not read again.
func TestGoClientReadsLists(t *testing.T) {
	s, _ := newServer(t, Config{Token: token}, crowded())
	c, ctx := goClient(t, s.Handler(), nil), t.Context()
	var ids []string
	f := client.Filter{Owner: "ann", PageSize: 3, Fields: []string{"id", "display"}}
	for one, err := range c.Sessions.All(ctx, f) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, one.ID)
	}
	if !slices.Equal(ids, []string{"s0", "s3", "s6", "s9"}) {
		t.Errorf("got %v", ids)
	}
	f.Labels = map[string]string{"team": "cad"}
	list, etag, err := c.Sessions.Page(ctx, f, "")
	if err != nil || len(list.Sessions) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	f.ETag = etag
	if _, _, err := c.Sessions.Page(ctx, f, ""); !errors.Is(err, client.ErrUnchanged) {
		t.Errorf("again: %v", err)
	}
	if _, _, err := c.Sessions.Page(ctx, client.Filter{State: "asleep"},
		""); client.CodeOf(err) != client.CodeBadRequest {
		t.Errorf("a state that does not exist: %v", err)
	}
}

// Keys make a repeated request create nothing, also after the client's process has ended.
func TestGoClientCreatesOnce(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{Token: token}, m)
	in := client.ReservationRequest{Subject: "ann", Display: "x11:0"}
	var first client.NewReservation
	for i := range 3 {
		got, err := goClient(t, s.Handler(), nil).Reservations.Create(t.Context(), "job-4", in)
		if err != nil || got.ViewerToken == "" {
			t.Fatalf("%+v, %v", got, err)
		}
		if i == 0 {
			first = got
		}
		if got.ID != first.ID || got.ViewerToken != first.ViewerToken {
			t.Errorf("repeat %d is %+v; want %+v", i, got, first)
		}
	}
	in.Subject = "bob"
	_, err := goClient(t, s.Handler(), nil).Reservations.Create(t.Context(), "job-4", in)
	if client.CodeOf(err) != client.CodeKeyReused || len(m.asked) != 1 {
		t.Errorf("another request with the key: %v, %d reservations", err, len(m.asked))
	}
	if _, err := goClient(t, s.Handler(), nil).Reservations.Create(t.Context(), "", in); err != nil {
		t.Error(err)
	}
	_, err = goClient(t, s.Handler(), nil).Reservations.Create(t.Context(), "", in)
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Problem.Code != client.CodeFull ||
		e.Problem.Fit != "640x360@30" ||
		e.RetryAfter < 7*time.Second {
		t.Errorf("a full host: %+v", err)
	}
}

// The client reads each kind of event with its totals, and continues after the daemon's restart.
func TestGoClientFollowsARestart(t *testing.T) {
	m := healthy()
	m.tell(session.EventRecord{
		Kind: "session_ended", Session: "s1", Reason: "operator", ExternalID: "job-4",
		Totals: &session.Totals{Connected: 60, Quality: map[string]float64{"good": 60}, Bytes: 1e9, Codec: "H264"},
	})
	s, _ := newServer(t, Config{Token: token}, m)
	var mu sync.Mutex
	var cut context.CancelFunc // cuts the current stream off
	h := s.Handler()
	c := goClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		mu.Lock()
		cut = cancel
		mu.Unlock()
		h.ServeHTTP(w, r.WithContext(ctx))
	}), nil)
	m.happen("drained") // the second
	stop := errors.New("that is enough")
	var got []client.Event
	err := c.Events.Follow(t.Context(), 99, func(e client.Event) error {
		got = append(got, e)
		switch len(got) {
		case 3:
			m.happen("resume")
			mu.Lock()
			cut()
			mu.Unlock()
		case 4:
			return stop
		}
		return nil
	})
	var kinds []string
	for _, e := range got {
		kinds = append(kinds, string(e.Kind))
	}
	if want := "gap session_ended drained resume"; strings.Join(kinds, " ") != want || !errors.Is(err, stop) {
		t.Fatalf("got %v, %v; want %s", kinds, err, want)
	}
	if e := got[1]; e.Totals == nil || e.Totals.Bytes != 1e9 || e.Totals.Codec != client.CodecH264 ||
		e.ExternalID != "job-4" {
		t.Errorf("the end is %+v", e)
	}
}
