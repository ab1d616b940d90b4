package fleet_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats.go"
)

var drills = flag.Bool("drills", false, "run the drills of docs/operate/fleet.md, which take minutes")

// drillHosts is the number of simulated hosts: the code of the fleet over a host for tests.
const drillHosts = 200

// drill is a fleet with the times of production.
type drill struct {
	hosts  []*fleettest.Host
	agents []*fleet.Agent
	nc     *nats.Conn
	gw     *pool.Client
	view   *pool.View
}

// newDrill starts the hosts. places is the number of places of each.
func newDrill(t *testing.T, url string, places int) *drill {
	t.Helper()
	return newDrillOf(t, url, url, places)
}

// newDrillOf starts the hosts; every second one is in region us, and reaches NATS by another address.
func newDrillOf(t *testing.T, url, us string, places int) *drill {
	t.Helper()
	if !*drills {
		t.Skip("a drill of minutes: run scripts/fleet-drills")
	}
	d := &drill{}
	var err error
	if d.nc, err = nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.nc.Close)
	if d.gw, err = pool.NewClient(d.nc, bus.Caller{Role: "operator", Name: "gw"}); err != nil {
		t.Fatal(err)
	}
	d.view = pool.NewView(d.nc, pool.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = d.view.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	for i := range drillHosts {
		h := fleettest.NewHost(fmt.Sprintf("host%03d", i), fmt.Sprintf("boot%03d", i),
			map[string]string{"pool": "cad", "region": "eu"})
		h.SetPlaces(places)
		address := url
		if us != url && i%2 == 1 {
			address = us
			h.Change(func(d *bus.Description) { d.Labels["region"] = "us" })
		}
		a, err := fleet.New(fleet.Config{
			Bus:   bus.Config{URL: address, Identity: fleettest.Identity(t), Insecure: true},
			Serve: h.Serve,
		}, h, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		d.hosts, d.agents = append(d.hosts, h), append(d.agents, a)
		wg.Go(func() { _ = a.Run(ctx) })
	}
	fleettest.Eventually(t, 30*time.Second, "all hosts are present", func() bool {
		n := 0
		for _, h := range d.view.Hosts() {
			if h.Presence == pool.Present {
				n++
			}
		}
		return n == drillHosts
	})
	return d
}

// placed returns the number of places that are taken, and fails for a key that two hosts have.
func (d *drill) placed(t *testing.T) (keys map[string]bool) {
	t.Helper()
	keys = make(map[string]bool)
	for _, h := range d.hosts {
		for _, key := range h.Placed() {
			if keys[key] {
				t.Errorf("%s is placed twice", key)
			}
			keys[key] = true
		}
	}
	return keys
}

// outcome is the result of a wish.
type outcome struct {
	id   string
	host string
	took time.Duration
	err  error
}

// rush makes wishes at an even rate, and returns their results.
func (d *drill) rush(ctx context.Context, n int, over time.Duration, wait time.Duration) []outcome {
	return d.rushTo(ctx, "eu", n, over, wait)
}

// rushTo makes wishes for a region; empty for any.
func (d *drill) rushTo(ctx context.Context, region string, n int, over time.Duration, wait time.Duration) []outcome {
	var (
		mu  sync.Mutex
		all []outcome
		wg  sync.WaitGroup
	)
	tick := time.NewTicker(over / time.Duration(n))
	defer tick.Stop()
	for i := range n {
		<-tick.C
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			id := fmt.Sprintf("wish-%d-%d", time.Now().UnixNano(), i)
			began := time.Now()
			p, err := d.gw.Place(ctx, pool.Wish{ID: id, Pool: "cad", Region: region, Codec: "H264"})
			mu.Lock()
			defer mu.Unlock()
			all = append(all, outcome{id, p.Host, time.Since(began), err})
		})
	}
	wg.Wait()
	return all
}

// figures returns the median, the 95th and the 99th percentile, and the greatest value.
func figures(list []time.Duration) string {
	slices.Sort(list)
	at := func(p float64) time.Duration { return list[min(int(p*float64(len(list))), len(list)-1)] }
	return fmt.Sprintf("p50 %v, p95 %v, p99 %v, max %v", at(0.5).Round(100*time.Microsecond),
		at(0.95).Round(100*time.Microsecond), at(0.99).Round(100*time.Microsecond), at(1).Round(100*time.Microsecond))
}

// Nine o'clock: 2,000 requests in a minute for 1,500 places.
func TestDrillNineOClock(t *testing.T) {
	d := newDrill(t, fleettest.Server(t, nil).ClientURL(), 0)
	for i, h := range d.hosts {
		h.SetPlaces(7 + (i+1)%2) // 100 hosts with 8 places, 100 with 7
	}
	var took []time.Duration
	placed, told := 0, 0
	for _, o := range d.rush(t.Context(), 2000, time.Minute, 10*time.Second) {
		var full *pool.FullError
		switch {
		case o.err == nil:
			placed++
			took = append(took, o.took)
		case errors.As(o.err, &full) && full.Retry > 0:
			told++
		default:
			t.Errorf("%s: %v", o.id, o.err)
		}
	}
	if n := len(d.placed(t)); placed != 1500 || n != 1500 || told != 500 {
		t.Errorf("%d placed, %d on the hosts, %d told when to come back; want 1500, 1500 and 500", placed, n, told)
	}
	t.Logf("nine o'clock: %d placed, %d told when to come back; %s", placed, told, figures(took))
}

// 200 requests a second at 200 hosts.
func TestDrillRate(t *testing.T) {
	d := newDrill(t, fleettest.Server(t, nil).ClientURL(), 100)
	late := lateness(t)
	used := cpu(t)
	var took []time.Duration
	for _, o := range d.rush(t.Context(), 4000, 20*time.Second, 10*time.Second) {
		if o.err != nil {
			t.Errorf("%s: %v", o.id, o.err)
		}
		took = append(took, o.took)
	}
	used = cpu(t) - used
	t.Logf("200 placements a second at %d hosts: %s; %v of a core each, with hosts and server", drillHosts, figures(took),
		(used / time.Duration(len(took))).Round(10*time.Microsecond))
	t.Logf("timers of 5 ms were late by %s", figures(late()))
}

// lateness measures how late the machine wakes the process: what it adds to each step of a placement. The returned
// function ends it.
func lateness(t *testing.T) func() []time.Duration {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan []time.Duration, 1) // one result, never blocks
	go func() {
		var late []time.Duration
		for ctx.Err() == nil {
			began := time.Now()
			<-time.After(5 * time.Millisecond)
			late = append(late, time.Since(began)-5*time.Millisecond)
		}
		done <- late
	}()
	return func() []time.Duration { stop(); return <-done }
}

// The costs of hosts that do nothing, and the times of presence.
func TestDrillPresence(t *testing.T) {
	s := fleettest.Server(t, nil)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := newDrill(t, s.ClientURL(), 8)
	runtime.GC()
	runtime.ReadMemStats(&after)
	v, err := s.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	from, bytesFrom := cpu(t), v.InBytes
	const span = 30 * time.Second
	<-time.After(span)
	used := cpu(t) - from
	if v, err = s.Varz(nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("per idle host: %.3f %% of a core with its share of server and view, %.0f bytes/s of messages, %d kB of heap",
		100*used.Seconds()/span.Seconds()/drillHosts, float64(v.InBytes-bytesFrom)/span.Seconds()/drillHosts,
		(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/drillHosts/1024)

	var joined, gone []time.Duration
	for i := range 20 {
		wire := newProxy(t, s.ClientURL())
		id, began := fleettest.Identity(t), time.Now()
		a, err := fleet.New(fleet.Config{Bus: bus.Config{URL: wire.url(), Identity: id, Insecure: true}},
			fleettest.NewHost("late", fmt.Sprint("late", i), nil), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { _ = a.Run(ctx) })
		t.Cleanup(func() { cancel(); wg.Wait() })
		is := func(presence string) func() bool {
			return func() bool {
				return slices.ContainsFunc(d.view.Hosts(), func(h pool.Host) bool {
					return h.ID == id.ID() && h.Presence == presence
				})
			}
		}
		fleettest.Eventually(t, 5*time.Second, "the host is visible", is(pool.Present))
		joined = append(joined, time.Since(began))
		if i >= 17 {
			<-time.After(rand.N(3 * time.Second))
			wire.stop()
			cut := time.Now()
			fleettest.Eventually(t, 20*time.Second, "the host is gone", is(pool.Gone))
			gone = append(gone, time.Since(cut))
		}
	}
	t.Logf("join to visible: %s", figures(joined))
	t.Logf("dead to gone: %s", figures(gone))
	if joined[len(joined)-1] > time.Second || gone[len(gone)-1] > 16*time.Second {
		t.Error("a host joins within 1 s, and is gone within 16 s")
	}
}

// cpu returns the processor time of the process.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The server of the gateway is killed ten times during placements.
func TestDrillServerKilled(t *testing.T) {
	c := newCluster(t, loopback(t), nil)
	d := newDrill(t, c.url(), 100)
	var all []outcome
	const kills = 10
	for range kills {
		done := make(chan []outcome, 1)
		go func() { done <- d.rush(t.Context(), 200, 4*time.Second, 20*time.Second) }()
		<-time.After(time.Second)
		victim := c.of(d.nc)
		c.kill(victim)
		<-time.After(time.Second)
		c.start(t, victim)
		all = append(all, <-done...)
		for _, h := range d.view.Hosts() {
			if h.Presence != pool.Present {
				t.Errorf("%s is %s", h.Name, h.Presence)
			}
		}
	}
	keys, lost, refused := d.placed(t), 0, 0
	var took []time.Duration
	for _, o := range all {
		took = append(took, o.took)
		switch {
		case o.err == nil && !keys[o.id]:
			lost++
		case o.err != nil:
			refused++
			if keys[o.id] {
				t.Errorf("%s has a place and an error: %v", o.id, o.err)
			}
			t.Logf("%s: %v", o.id, o.err)
		}
	}
	if lost > 0 {
		t.Errorf("%d placements are lost", lost)
	}
	t.Logf("%d kills: %d requests, %d without a place, %d lost; %s", kills, len(all), refused, lost, figures(took))
}
