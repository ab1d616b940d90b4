package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"
	"wavryhost/session/outbox"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// diary has the events of a simulated host.
type diary struct {
	mu   sync.Mutex
	list []session.EventRecord
	more chan struct{}
}

var _ outbox.Journal = (*diary)(nil)

func (d *diary) Events(after uint64) ([]session.EventRecord, bool, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.list[min(int(after), len(d.list)):], false, d.more
}

// write adds an event.
func (d *diary) write() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, session.EventRecord{ID: uint64(len(d.list) + 1), At: time.Now(), Kind: "drained"})
	close(d.more)
	d.more = make(chan struct{})
}

// chronicle is the events of some hosts: what they have written, and what a follower has read of the stream.
type chronicle struct {
	diaries  map[string]*diary // by the ID of the host
	couriers []*outbox.Courier

	mu       sync.Mutex
	read     map[string][]uint64 // the numbers, by the ID of the host
	repeated int
}

// chronicled are the hosts with events, and eventPause is the time between two of a host.
const (
	chronicled = 50
	eventPause = 250 * time.Millisecond
)

// newChronicle lets some hosts write events until stop is called, with the product's outbox, and follows the stream.
func newChronicle(t *testing.T, d *drill) (c *chronicle, stop func()) {
	t.Helper()
	c = &chronicle{diaries: make(map[string]*diary), read: make(map[string][]uint64)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg, writers sync.WaitGroup
	t.Cleanup(func() { cancel(); writers.Wait(); wg.Wait() })
	over, end := context.WithCancel(ctx)
	folder := t.TempDir()
	for i, a := range d.agents[:chronicled] {
		one, id := &diary{more: make(chan struct{})}, a.Status().ID
		c.diaries[id] = one
		courier := outbox.New(outbox.Setup{
			Receiver: "fleet", From: one, LongestPause: 10 * time.Second, Metrics: outbox.NewMetrics("fleet"),
			Guard: guard.New(slog.New(slog.DiscardHandler), nil, nil), Log: slog.New(slog.DiscardHandler),
			Deliver: func(ctx context.Context, item outbox.Item) error {
				return a.Publish(ctx, bus.Event{Name: item.Name(id), Kind: item.Kind, At: item.At, Data: item.Data})
			},
		}, outbox.Config{Path: filepath.Join(folder, fmt.Sprint(i))})
		c.couriers = append(c.couriers, courier)
		wg.Go(func() { _ = courier.Run(ctx) })
		writers.Go(func() {
			tick := time.NewTicker(eventPause)
			defer tick.Stop()
			for over.Err() == nil {
				select {
				case <-tick.C:
					one.write()
				case <-over.Done():
				}
			}
		})
	}
	wg.Go(func() {
		_ = pool.Events(ctx, d.nc, pool.EventOptions{Since: time.Unix(1, 0)}, func(e pool.Event) error {
			var data struct{ ID uint64 }
			if err := json.Unmarshal(e.Data, &data); err != nil || e.Kind != "drained" {
				t.Errorf("event %s: %v", e.Name, err)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if slices.Contains(c.read[e.Host], data.ID) {
				c.repeated++
				return nil
			}
			c.read[e.Host] = append(c.read[e.Host], data.ID)
			return nil
		})
	})
	return c, func() { end(); writers.Wait() }
}

// check waits until the outboxes are empty and the stream was read, and fails for events that are lost or out of order.
func (c *chronicle) check(t *testing.T) {
	t.Helper()
	began := time.Now()
	fleettest.Eventually(t, time.Minute, "all events are stored", func() bool {
		return !slices.ContainsFunc(c.couriers, func(one *outbox.Courier) bool { return one.Waiting() > 0 })
	})
	stored, written := time.Since(began), 0
	for id, one := range c.diaries {
		one.mu.Lock()
		n := len(one.list)
		one.mu.Unlock()
		written += n
		read := func() []uint64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return slices.Clone(c.read[id])
		}
		fleettest.Eventually(t, 20*time.Second, "all events are read", func() bool { return len(read()) >= n })
		for k, number := range read() {
			if number != uint64(k+1) {
				t.Errorf("got event %d of %s; want event %d", number, id, k+1)
				break
			}
		}
	}
	readAfter := time.Since(began)
	t.Logf("%d events of %d hosts: all stored and read in order, %d repeated; the last stored %v and read %v after the "+
		"end", written, len(c.diaries), c.repeated, stored.Round(100*time.Millisecond), readAfter.Round(100*time.Millisecond))
}

// leader returns the server that leads the stream of events; -1 if there is none.
func (c *cluster) leader(t *testing.T, nc *nats.Conn) int {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, bus.StreamEvents)
	if err != nil || s.CachedInfo().Cluster == nil {
		return -1
	}
	for i := range c.nodes {
		if s.CachedInfo().Cluster.Leader == fmt.Sprint("n", i) {
			return i
		}
	}
	return -1
}

// splitDrill is a fleet on three servers in networks of their own.
type splitDrill struct {
	*drill
	net     network
	servers *cluster
}

func newSplitDrill(t *testing.T) *splitDrill {
	t.Helper()
	net, nodes := newNetwork(t)
	folder := t.TempDir()
	s := &splitDrill{net: net}
	s.servers = newCluster(t, nodes, func(i int) string {
		return fmt.Sprintf("jetstream { store_dir: %q }\n", filepath.Join(folder, fmt.Sprint(i)))
	})
	s.drill = newDrill(t, s.servers.url(), 200)
	fleettest.Eventually(t, 30*time.Second, "the streams are made", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return pool.Setup(ctx, s.nc, pool.Streams{Replicas: 3}) == nil
	})
	return s
}

// on returns which hosts are at a server, and whose connection it is.
func (s *splitDrill) on(i int) map[string]bool {
	ids := make(map[string]bool)
	for _, a := range s.agents {
		if st := a.Status(); strings.HasSuffix(st.Server, s.servers.nodes[i].client) {
			ids[st.ID] = true
		}
	}
	return ids
}

// all reports whether all hosts with these IDs have a presence.
func (s *splitDrill) all(ids map[string]bool, presence string) bool {
	return s.count(func(h pool.Host) bool { return ids[h.ID] && h.Presence == presence }) == len(ids)
}

// apart moves the gateway until it is at another server than the leader of the stream of events, and returns that one.
func (s *splitDrill) apart(t *testing.T) (leader int) {
	t.Helper()
	fleettest.Eventually(t, time.Minute, "the gateway is not at the leader", func() bool {
		if leader = s.servers.leader(t, s.nc); leader >= 0 && s.servers.of(s.nc) == leader {
			_ = s.nc.ForceReconnect()
		}
		return leader >= 0 && s.servers.of(s.nc) >= 0 && s.servers.of(s.nc) != leader
	})
	return leader
}

// settle repeats the wishes that ended without an answer, as a gateway does, and replaces their results.
func (s *splitDrill) settle(t *testing.T, gw *pool.Client, all []outcome) (open int) {
	t.Helper()
	for i, o := range all {
		if o.err == nil {
			continue
		}
		open++
		t.Logf("%s: %v; it is repeated", o.id, o.err)
		p, err := gw.Place(t.Context(), pool.Wish{ID: o.id, Pool: "cad", Again: true})
		all[i] = outcome{o.id, p.Host, o.took, err}
	}
	return open
}

// One server of three is cut off from the two others, with a third of the hosts and a gateway: first the leader of the
// stream of events, then another one. The clients see no fault.
func TestDrillNetworkSplit(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	s := newSplitDrill(t)
	story, stop := newChronicle(t, s.drill)
	for _, leads := range []bool{true, false} {
		lone := s.apart(t)
		if !leads { // the third server: neither the leader nor the gateway's
			lone = 3 - lone - s.servers.of(s.nc)
		}
		s.split(t, lone, leads)
	}
	stop()
	story.check(t)
}

// split cuts a server off, places sessions on both sides, and ends the cut.
func (s *splitDrill) split(t *testing.T, lone int, leads bool) {
	t.Helper()
	nc, err := nats.Connect("nats://" + s.servers.nodes[lone].client)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	there := *s.drill // a gateway on the side of one server
	if there.gw, err = pool.NewClient(nc, bus.Caller{Role: "operator", Name: "gw2"}); err != nil {
		t.Fatal(err)
	}
	ids := s.on(lone)
	before := s.rush(t.Context(), 200, 4*time.Second, 20*time.Second)
	many, few := make(chan []outcome, 1), make(chan []outcome, 1) // one result of each gateway, never block
	const span = 24 * time.Second
	go func() { many <- s.rush(t.Context(), 1200, span, 20*time.Second) }()
	<-time.After(time.Second)
	s.net.cut(lone, routes)
	cut := time.Now()
	go func() { few <- there.rush(t.Context(), 200, span-2*time.Second, 20*time.Second) }()
	fleettest.Eventually(t, 20*time.Second, "the hosts there are gone", func() bool { return s.all(ids, pool.Gone) })
	gone := time.Since(cut)
	first, second := <-many, <-few
	s.net.heal(lone, routes)
	healed := time.Now()
	fleettest.Eventually(t, 2*time.Minute, "all hosts are back", func() bool {
		return s.count(func(h pool.Host) bool { return h.Presence == pool.Present }) == drillHosts
	})
	back := time.Since(healed)
	open := s.settle(t, s.gw, first) + s.settle(t, there.gw, second)
	after := s.rush(t.Context(), 200, 4*time.Second, 20*time.Second)
	s.judge(t, "before", before, anywhere)
	s.judge(t, "split, two servers", first, anywhere)
	s.judge(t, "split, one server", second, anywhere)
	s.judge(t, "after", after, anywhere)
	keys := s.placed(t)
	for _, o := range slices.Concat(before, first, second, after) {
		if !keys[o.id] {
			t.Errorf("%s is lost", o.id)
		}
	}
	t.Logf("server n%d is cut off for %v (leader %v): %d hosts gone after %v, back %v after the network; "+
		"%d requests repeated", lone, healed.Sub(cut).Round(time.Second), leads, len(ids),
		gone.Round(100*time.Millisecond), back.Round(100*time.Millisecond), open)
	if gone > 16*time.Second || len(ids) == 0 {
		t.Error("the hosts are gone within 16 s")
	}
}

// A server is cut off from everybody, as when its machine loses power: its hosts go to the other servers.
func TestDrillServerLost(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	s := newSplitDrill(t)
	story, stop := newChronicle(t, s.drill)
	lost := s.apart(t)
	ids := s.on(lost)
	rush := make(chan []outcome, 1) // one result, never blocks
	go func() { rush <- s.rush(t.Context(), 2000, 40*time.Second, 30*time.Second) }()
	<-time.After(time.Second)
	s.net.cut(lost, routes)
	s.net.cut(lost, clients)
	cut := time.Now()
	fleettest.Eventually(t, 2*time.Minute, "no host is at the lost server", func() bool { return len(s.on(lost)) == 0 })
	left := time.Since(cut)
	fleettest.Eventually(t, 2*time.Minute, "all hosts are present at the others", func() bool {
		return len(s.on(0))+len(s.on(1))+len(s.on(2)) == drillHosts && s.all(ids, pool.Present)
	})
	back := time.Since(cut)
	all := <-rush
	open := s.settle(t, s.gw, all)
	s.judge(t, "while a server is lost", all, anywhere)
	stop()
	story.check(t)
	t.Logf("the server of %d hosts is lost: they notice within %v, and are back after %v; %d requests repeated",
		len(ids), left.Round(100*time.Millisecond), back.Round(100*time.Millisecond), open)
	if back > 16*time.Second || len(ids) == 0 {
		t.Error("the hosts are back within 16 s")
	}
}
