package fleet_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// allow returns a user of a NATS server.
func allow(i *bus.Identity, p bus.Permissions) *server.NkeyUser {
	u := &server.NkeyUser{Nkey: i.Public(), Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Publish},
		Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
	}}
	if p.Answers > 0 {
		u.Permissions.Response = &server.ResponsePermission{MaxMsgs: p.Answers, Expires: p.AnswerTime}
	}
	return u
}

// guarded runs an Agent that logs in with its key.
func guarded(t *testing.T, url string, i *bus.Identity, h *fleettest.Host) *member {
	t.Helper()
	return joinWith(t, fleet.Config{
		Bus: bus.Config{URL: url, Identity: i}, Beat: testBeat, Gone: testGone, Serve: h.Serve,
	}, h)
}

// With the documented permissions everything works, and nobody can use the subjects of others.
func TestPermissionsSuffice(t *testing.T) {
	t.Parallel()
	gateway, viewer := bus.Caller{Role: "operator", Name: "gw1"}, bus.Caller{Role: "viewer", Name: "page"}
	host, other, gw, weak := fleettest.Identity(t), fleettest.Identity(t), fleettest.Identity(t), fleettest.Identity(t)
	admin := fleettest.Identity(t)
	s := fleettest.Server(t, func(o *server.Options) {
		storing(t.TempDir())(o)
		o.Nkeys = []*server.NkeyUser{
			{Nkey: admin.Public()},
			allow(host, bus.HostPermissions(host.ID())), allow(other, bus.HostPermissions(other.ID())),
			allow(gw, bus.ClientPermissions(gateway)), allow(weak, bus.ClientPermissions(viewer)),
		}
	})
	a := guarded(t, s.ClientURL(), host, fleettest.NewHost("a", "b1", nil))
	b := guarded(t, s.ClientURL(), other, fleettest.NewHost("b", "b2", nil))
	ready(t, a, b)
	nc := fleettest.Connect(t, s, nats.Nkey(gw.Public(), gw.Sign), nats.CustomInboxPrefix("_INBOX_gw1"))
	c, err := pool.NewClient(nc, gateway)
	if err != nil {
		t.Fatal(err)
	}
	v := follow(t, nc)
	fleettest.Eventually(t, 2*time.Second, "both are seen", func() bool { return len(v.Hosts()) == 2 })
	if _, err := c.Place(t.Context(), pool.Wish{Select: "name=a"}); err != nil {
		t.Errorf("place: %v", err)
	}
	if n, err := length(t, c, host.ID(), "/v1/large"); err != nil || n != 1<<20 {
		t.Errorf("an answer of several parts: %d bytes, %v", n, err)
	}
	setup(t, fleettest.Connect(t, s, nats.Nkey(admin.Public(), admin.Sign)))
	if err := a.Publish(t.Context(), event(a, 1)); err != nil {
		t.Errorf("an event: %v", err)
	}
	if got := names(t, nc, pool.EventOptions{Since: time.Unix(1, 0)}, 1); !slices.Equal(got, []string{event(a, 1).Name}) {
		t.Errorf("the events are %v", got)
	}
	one := standing(t, c, http.MethodGet, "/v1/host", bus.Selector{"name": "a"}, time.Hour)
	fleettest.Eventually(t, 5*time.Second, "the standing order is carried out", func() bool {
		return results(t, nc, one)["a"] == http.StatusOK
	})

	before := len(a.host.Calls())
	refused := make(chan error, 16)
	for _, who := range []struct {
		id     *bus.Identity
		inbox  string
		caller bus.Caller
	}{{weak, "page", gateway}, {other, other.ID(), gateway}, {gw, "gw1", bus.Caller{Role: "operator", Name: "gw2"}}} {
		nc := fleettest.Connect(t, s, nats.Nkey(who.id.Public(), who.id.Sign), nats.CustomInboxPrefix("_INBOX_"+who.inbox),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		m := order(t, "PUT", "/v1/cordon", bus.SubjectAPI(host.ID(), who.caller))
		m.Reply = nc.NewInbox()
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		beat, err := bus.Beat{Boot: "b9"}.Message(who.id)
		if err != nil {
			t.Fatal(err)
		}
		beat.Subject = bus.SubjectBeat(host.ID())
		if err := nc.PublishMsg(beat); err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish(bus.SubjectEvent(host.ID(), "drained"), []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for range 9 {
		select {
		case err := <-refused:
			if !strings.Contains(err.Error(), "Permissions Violation") {
				t.Errorf("got %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a subject of another is allowed")
		}
	}
	if n := len(a.host.Calls()); n != before {
		t.Errorf("%d forbidden requests arrived", n-before)
	}
}

func TestUnknownKeyIsRefused(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, func(o *server.Options) {
		o.Nkeys = []*server.NkeyUser{{Nkey: fleettest.Identity(t).Public()}}
	})
	m := guarded(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost("a", "b1", nil))
	fleettest.Eventually(t, 5*time.Second, "the reason is shown", func() bool {
		return strings.Contains(m.Status().Reason, "Authorization Violation")
	})
}

// order returns a request without a body.
func order(t *testing.T, method, path, subject string) *nats.Msg {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://any"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	m, err := bus.NewRequest(r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Subject = subject
	return m
}

func TestBadRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	m := join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost("a", "b1", nil))
	ready(t, m)
	nc := fleettest.Connect(t, s)
	subject := bus.SubjectAPI(m.Status().ID, bus.Caller{Role: "operator", Name: "gw1"})
	good := func() *nats.Msg { return order(t, "GET", "/v1/host", subject) }
	with := func(name, value string) *nats.Msg {
		q := good()
		q.Header.Set(name, value)
		return q
	}
	big := good()
	big.Data = make([]byte, bus.MaxRequest+1)
	twice := good()
	twice.Header["Accept"] = []string{"a", "b"}
	stale := with("Wavry-Time", strconv.FormatInt(time.Now().Add(-time.Hour).UnixMilli(), 10))
	replayed := good()
	for _, c := range []struct {
		what   string
		m      *nats.Msg
		status int
	}{
		{"good", replayed, 200},
		{"the same again", replayed, 400},
		{"no headers", &nats.Msg{Subject: subject}, 400},
		{"no ID", with("Wavry-Request", ""), 400},
		{"no time", with("Wavry-Time", "now"), 400},
		{"an old one", stale, 400},
		{"no path", with("Wavry-Path", "v1/host"), 400},
		{"another host", with("Wavry-Path", "http://other/v1/host"), 400},
		{"a long path", with("Wavry-Path", "/"+strings.Repeat("a", 5000)), 400},
		{"no method", with("Wavry-Method", "BREW"), 400},
		{"a selector", with("Wavry-Select", "pool"), 400},
		{"a stream", with("Wavry-Path", "/v1/events?after=1"), 400},
		{"two headers", twice, 400},
		{"too large", big, 400},
		{"good again", good(), 200},
		{"a clock that is a minute behind", with("Wavry-Time",
			strconv.FormatInt(time.Now().Add(-time.Minute).UnixMilli(), 10)), 200},
	} {
		answer, err := nc.RequestMsg(c.m, 5*time.Second)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		a := &bus.Answer{}
		if last, err := a.Add(answer); err != nil || !last || a.Status != c.status {
			t.Errorf("%s: %d %s, %v; want %d", c.what, a.Status, a.Body, err, c.status)
		}
	}
	// Nobody waits for these; the host continues to serve.
	for _, bad := range []*nats.Msg{
		{Subject: subject},
		{Subject: bus.SubjectWho, Data: []byte("{")},
		{Subject: bus.SubjectWho, Reply: "x", Data: []byte("{")},
		{Subject: bus.SubjectAsk(bus.Any, bus.Any, bus.ShardAll), Reply: "x", Data: []byte(`{"id":"a b"}`)},
		{Subject: bus.SubjectAsk(bus.Any, bus.Any, bus.ShardAll), Reply: "x", Data: make([]byte, 4096)},
	} {
		if err := nc.PublishMsg(bad); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nc.RequestMsg(good(), 5*time.Second); err != nil {
		t.Errorf("the host does not answer any more: %v", err)
	}
}

// A gateway that asks and vanishes leaves nothing, and a host that bids and refuses costs another round.
func TestHostThatBidsAndRefuses(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	m := join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost("a", "b1", nil))
	ready(t, m)
	gw := ask(t, s)
	bids, err := gw.Find(t.Context(), pool.Wish{})
	if err != nil || len(bids) != 1 || bids[0].Score != 1 {
		t.Fatalf("got %+v, %v", bids, err)
	}
	if n := len(m.host.Placed()); n != 0 {
		t.Errorf("a question took %d places", n)
	}
	m.host.Change(func(d *bus.Description) { d.State = "draining" })
	if _, err := gw.Place(t.Context(), pool.Wish{}); err == nil {
		t.Error("a draining host took a session")
	}
}
