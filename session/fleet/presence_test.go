package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// The times of tests: 30 times as fast as in a fleet.
const (
	testBeat = bus.BeatInterval / 30
	testGone = bus.GoneAfter / 30
)

// member is an Agent that runs.
type member struct {
	*fleet.Agent
	host *fleettest.Host
	stop func()
}

// join runs an Agent until the test ends, or stop is called.
func join(t *testing.T, url string, i *bus.Identity, h *fleettest.Host) *member {
	t.Helper()
	return joinWith(t, fleet.Config{
		Bus: bus.Config{URL: url, Identity: i, Insecure: true}, Beat: testBeat, Gone: testGone, Serve: h.Serve,
	}, h)
}

func joinWith(t *testing.T, cfg fleet.Config, h *fleettest.Host) *member {
	t.Helper()
	a, err := fleet.New(cfg, h, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	ended := false
	m := &member{a, h, func() {
		if ended {
			return
		}
		ended = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run does not end")
		}
	}}
	t.Cleanup(m.stop)
	return m
}

// follow runs a View until the test ends.
func follow(t *testing.T, nc *nats.Conn) *pool.View {
	t.Helper()
	v := pool.NewView(nc, pool.Options{Gone: testGone})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("View: %v", err)
		}
	})
	return v
}

// one returns the only host that a View knows.
func one(v *pool.View) pool.Host {
	if list := v.Hosts(); len(list) == 1 {
		return list[0]
	}
	return pool.Host{}
}

func TestHostIsSeenFromItsStartToItsEnd(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	v := follow(t, fleettest.Connect(t, s))
	id := fleettest.Identity(t)
	m := join(t, s.ClientURL(), id, fleettest.NewHost("rack-7", "boot1", map[string]string{"pool": "cad", "region": "eu"}))
	began := time.Now()
	fleettest.Eventually(t, time.Second, "the host is present", func() bool { return one(v).Presence == pool.Present })
	t.Logf("visible after %v", time.Since(began))
	h := one(v)
	if h.ID != id.ID() || h.Name != "rack-7" || h.Labels["pool"] != "cad" || h.State != "active" || h.Boot != "boot1" ||
		h.ClockOffset > 1 || h.ClockOffset < -1 {
		t.Errorf("got %+v", h)
	}
	m.host.Change(func(d *bus.Description) { d.State, d.Reason = "draining", "requested" })
	m.Changed()
	fleettest.Eventually(t, time.Second, "the drain is seen", func() bool { return one(v).State == "draining" })

	later := follow(t, fleettest.Connect(t, s))
	fleettest.Eventually(t, time.Second, "a later view learns of it", func() bool { return one(later).ID == id.ID() })

	m.stop()
	is := func(presence string) func() bool { return func() bool { return one(v).Presence == presence } }
	fleettest.Eventually(t, time.Second, "the host says that it stops", is(pool.Stopping))
	fleettest.Eventually(t, 2*testGone, "the host has stopped", is(pool.Stopped))
	if state := m.Status().State; state != fleet.StateDisconnected.String() {
		t.Errorf("the agent is %s at its end", state)
	}
}

// A host whose power fails says nothing.
func TestSilentHostIsGone(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	v := follow(t, fleettest.Connect(t, s))
	wire := newProxy(t, s.ClientURL())
	join(t, wire.url(), fleettest.Identity(t), fleettest.NewHost("a", "boot1", nil))
	fleettest.Eventually(t, time.Second, "the host is present", func() bool { return one(v).Presence == pool.Present })
	wire.stop()
	began := time.Now()
	fleettest.Eventually(t, 2*testGone, "the host is gone", func() bool { return one(v).Presence == pool.Gone })
	if took := time.Since(began); took < testGone/2 {
		t.Errorf("gone after %v; want about %v", took, testGone)
	}
}

func TestTwoHostsWithOneIdentityAreFound(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	v := follow(t, fleettest.Connect(t, s))
	id := fleettest.Identity(t)
	first := join(t, s.ClientURL(), id, fleettest.NewHost("first", "boot1", nil))
	fleettest.Eventually(t, time.Second, "the first is present", func() bool { return one(v).Name == "first" })
	copied := fleettest.NewHost("copy", "boot2", nil)
	copied.Change(func(d *bus.Description) { d.Started = d.Started.Add(time.Minute) })
	second := join(t, s.ClientURL(), id, copied)
	fleettest.Eventually(t, 5*time.Second, "the younger knows", func() bool {
		return second.Status().State == fleet.StateDuplicate.String()
	})
	fleettest.Eventually(t, 5*time.Second, "the view knows", func() bool { return one(v).Duplicate })
	if state := first.Status().State; state != fleet.StateConnected.String() {
		t.Errorf("the older host is %s", state)
	}
	first.stop()
	fleettest.Eventually(t, 10*testGone, "the younger takes the place", func() bool {
		h := one(v)
		return second.Status().State == fleet.StateConnected.String() && h.Name == "copy" && !h.Duplicate
	})
}

// A server that ends and comes back costs nothing but the time.
func TestHostReturnsWithTheServer(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	port := s.Addr().String()
	m := join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost("a", "boot1", nil))
	connected := func() bool { return m.Status().State == fleet.StateConnected.String() }
	fleettest.Eventually(t, 2*time.Second, "it is connected", connected)
	fleettest.Stop(s)
	fleettest.Eventually(t, 2*time.Second, "it is disconnected", func() bool { return !connected() })
	if m.Status().Reason == "" {
		t.Error("nothing says why")
	}
	again := fleettest.Server(t, func(o *server.Options) { o.Port = portOf(t, port) })
	v := follow(t, fleettest.Connect(t, again))
	fleettest.Eventually(t, 5*time.Second, "it is back", func() bool { return connected() && one(v).Name == "a" })
}

// What a host signs nobody else can send, even where the server allows the subject.
func TestForgedPresenceIsRefused(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	nc := fleettest.Connect(t, s)
	v := follow(t, nc)
	victim, forger := fleettest.Identity(t), fleettest.Identity(t)
	join(t, s.ClientURL(), victim, fleettest.NewHost("real", "boot1", nil))
	fleettest.Eventually(t, time.Second, "the host is present", func() bool { return one(v).Name == "real" })

	forged := bus.Record{Revision: 99, Description: bus.Description{Name: "forged", Boot: "boot1", State: "active"}}
	m, err := forged.Message(forger, bus.SubjectRecord(victim.ID()))
	if err != nil {
		t.Fatal(err)
	}
	as := *m
	rest := `","revision":99,"boot_id":"boot1","state":"active"}`
	as.Data = []byte(`{"id":"` + victim.ID() + `","key":"` + victim.Public() + rest)
	other := as
	other.Data = []byte(`{"id":"` + victim.ID() + `","key":"` + forger.Public() + rest)
	beat, err := bus.Beat{Boot: "boot9", Sequence: 1, Milliseconds: time.Now().UnixMilli()}.Message(forger)
	if err != nil {
		t.Fatal(err)
	}
	beat.Subject = bus.SubjectBeat(victim.ID())
	for _, bad := range []*nats.Msg{
		&as, &other, beat,
		{Subject: bus.SubjectRecord(victim.ID()), Data: []byte("{")},
		{Subject: bus.SubjectBeat(victim.ID()), Data: make([]byte, 32<<10)},
	} {
		if err := nc.PublishMsg(bad); err != nil {
			t.Fatal(err)
		}
	}
	fleettest.Eventually(t, time.Second, "all five are refused", func() bool { return v.Forged() >= 5 })
	if h := one(v); h.Name != "real" || h.Duplicate || h.Presence != pool.Present {
		t.Errorf("got %+v", h)
	}
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	id := fleettest.Identity(t)
	for name, c := range map[string]fleet.Config{
		"no identity": {Bus: bus.Config{URL: "nats://localhost"}},
		"no url":      {Bus: bus.Config{Identity: id}},
		"http":        {Bus: bus.Config{Identity: id, URL: "http://localhost"}},
		"a password":  {Bus: bus.Config{Identity: id, URL: "nats://user:secret@localhost"}},
		"one of two":  {Bus: bus.Config{Identity: id, URL: "nats://localhost,ws://localhost"}},
	} {
		if _, err := fleet.New(c, fleettest.NewHost("a", "b", nil), slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestErrorsOfPresence(t *testing.T) {
	i := fleettest.Identity(t)
	m, err := bus.Beat{Boot: "b", Sequence: 1}.Message(i)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.VerifyBeat(m, i.Public()); err != nil {
		t.Errorf("own beat: %v", err)
	}
	m.Data = append(m.Data, ' ')
	if err := bus.VerifyBeat(m, i.Public()); !errors.Is(err, bus.ErrForged) {
		t.Errorf("changed beat: %v", err)
	}
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	for i := len(addr) - 1; i >= 0; i-- {
		if addr[i] == ':' {
			n, err := strconv.Atoi(addr[i+1:])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no port in %s", addr)
	return 0
}
