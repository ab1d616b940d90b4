package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// storing makes a server store streams in a folder.
func storing(folder string) func(*server.Options) {
	return func(o *server.Options) { o.JetStream, o.StoreDir = true, folder }
}

// setup makes the streams of a fleet.
func setup(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if err := pool.Setup(t.Context(), nc, pool.Streams{}); err != nil {
		t.Fatal(err)
	}
}

// event returns the event with a number.
func event(m *member, n int) bus.Event {
	id := m.Status().ID
	return bus.Event{
		Name: fmt.Sprintf("%s.%d", id, n), Kind: "drained", At: time.Now(), Data: fmt.Appendf(nil, `{"id":%d}`, n),
	}
}

// names returns the names of the next n events of the stream, of which it has many.
func names(t *testing.T, nc *nats.Conn, o pool.EventOptions, n int) (list []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	enough := errors.New("enough")
	if err := pool.Events(ctx, nc, o, func(e pool.Event) error {
		if list = append(list, e.Name); len(list) == n {
			return enough
		}
		return nil
	}); !errors.Is(err, enough) {
		t.Errorf("%d events: %v", len(list), err)
	}
	return list
}

// Events are stored once and in order, over a restart of the server, and can be read from any point.
func TestEventsAreStored(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fleettest.Server(t, storing(folder))
	m := join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost("a", "b1", nil))
	ready(t, m)
	if err := m.Publish(t.Context(), event(m, 1)); !errors.Is(err, fleet.ErrNoStream) {
		t.Errorf("without a stream: %v", err)
	}
	nc := fleettest.Connect(t, s, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	setup(t, nc)
	for _, n := range []int{1, 2, 2, 3} {
		if err := m.Publish(t.Context(), event(m, n)); err != nil {
			t.Errorf("event %d: %v", n, err)
		}
	}
	addr := s.Addr().String()
	fleettest.Stop(s)
	fleettest.Eventually(t, 5*time.Second, "the host notices", func() bool {
		return m.Status().State == fleet.StateDisconnected.String()
	})
	waited := make(chan error, 1)
	go func() { waited <- m.Publish(t.Context(), event(m, 4)) }()
	fleettest.Server(t, func(o *server.Options) {
		storing(folder)(o)
		if _, err := fmt.Sscanf(addr, "127.0.0.1:%d", &o.Port); err != nil {
			t.Fatal(err)
		}
	})
	if err := <-waited; err != nil {
		t.Errorf("an event that waited for the server: %v", err)
	}
	m.stop()
	if err := m.Publish(t.Context(), event(m, 5)); !errors.Is(err, fleet.ErrOffline) {
		t.Errorf("after the end: %v", err)
	}
	end, err := m.Reconnect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Publish(t.Context(), event(m, 5)); err != nil {
		t.Errorf("the last event: %v", err)
	}
	end()
	want := make([]string, 0, 5)
	for n := range 5 {
		want = append(want, event(m, n+1).Name)
	}
	if got := names(t, nc, pool.EventOptions{Since: time.Unix(1, 0)}, 5); !slices.Equal(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
	o := pool.EventOptions{Host: m.Status().ID, Kind: "drained", After: 3}
	if got := names(t, nc, o, 2); !slices.Equal(got, want[3:]) {
		t.Errorf("after the third: %v; want %v", got, want[3:])
	}
}

// A forged event is left out.
func TestForgedEventsAreLeftOut(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, storing(t.TempDir()))
	nc := fleettest.Connect(t, s)
	setup(t, nc)
	host, thief := fleettest.Identity(t), fleettest.Identity(t)
	send := func(i *bus.Identity, n int, change func(*nats.Msg)) {
		e := bus.Event{Name: fmt.Sprintf("%s.%d", host.ID(), n), Kind: "drained", At: time.Now(), Data: []byte(`{"id":1}`)}
		m, err := e.Message(i)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	send(thief, 1, func(m *nats.Msg) { m.Subject = bus.SubjectEvent(host.ID(), "drained") })
	send(host, 2, func(m *nats.Msg) { m.Data = []byte(`{"id":2}`) })
	send(host, 3, func(m *nats.Msg) { m.Subject = bus.SubjectEvent(host.ID(), "resume") })
	send(host, 4, func(m *nats.Msg) { m.Header.Set(nats.MsgIdHdr, "other.4") })
	send(host, 5, func(*nats.Msg) {})
	if got := names(t, nc, pool.EventOptions{Since: time.Unix(1, 0)}, 1); got[0] != host.ID()+".5" {
		t.Errorf("got %v", got)
	}
}
