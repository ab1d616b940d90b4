package fleet_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"
)

// count returns the number of hosts in the view for which f holds.
func (d *drill) count(f func(pool.Host) bool) (n int) {
	for _, h := range d.view.Hosts() {
		if f(h) {
			n++
		}
	}
	return n
}

// judge logs the results of wishes, and fails for each that has no place.
func (d *drill) judge(t *testing.T, what string, all []outcome, allowed func(bus.Record) bool) {
	t.Helper()
	records := make(map[string]bus.Record)
	for _, h := range d.view.Hosts() {
		records[h.ID] = h.Record
	}
	var took []time.Duration
	for _, o := range all {
		took = append(took, o.took)
		if o.err != nil {
			t.Errorf("%s: %v", o.id, o.err)
		} else if !allowed(records[o.host]) {
			t.Errorf("%s is placed on %s", o.id, records[o.host].Name)
		}
	}
	d.placed(t)
	t.Logf("%s: %d requests, all placed; %s", what, len(all), figures(took))
}

func anywhere(bus.Record) bool { return true }

// A region is cut off without a word, and returns: the other one takes its requests.
func TestDrillRegionalFailover(t *testing.T) {
	s := fleettest.Server(t, nil)
	wire := newProxy(t, s.ClientURL())
	d := newDrillOf(t, s.ClientURL(), wire.url(), 100)
	us := func(presence string) func(pool.Host) bool {
		return func(h pool.Host) bool { return h.Labels["region"] == "us" && h.Presence == presence }
	}
	d.judge(t, "before", d.rushTo(t.Context(), "", 200, 4*time.Second, 20*time.Second), anywhere)
	wire.stop()
	cut := time.Now()
	during := make(chan []outcome, 1) // one result, never blocks
	go func() { during <- d.rushTo(t.Context(), "", 1000, 20*time.Second, 20*time.Second) }()
	fleettest.Eventually(t, 20*time.Second, "the region is gone", func() bool {
		return d.count(us(pool.Gone)) == drillHosts/2
	})
	gone := time.Since(cut)
	d.judge(t, "while a region is cut off", <-during, func(r bus.Record) bool { return r.Labels["region"] == "eu" })
	wire.heal()
	healed := time.Now()
	fleettest.Eventually(t, 90*time.Second, "the region is back", func() bool {
		return d.count(us(pool.Present)) == drillHosts/2
	})
	back := time.Since(healed)
	d.judge(t, "after", d.rushTo(t.Context(), "us", 200, 4*time.Second, 20*time.Second), anywhere)
	t.Logf("a region of 100 hosts: gone after %v, back %v after the network", gone.Round(100*time.Millisecond),
		back.Round(100*time.Millisecond))
	if gone > 16*time.Second {
		t.Error("a region is gone within 16 s")
	}
}

// The relays of a region fail: a hundred hosts become degraded and say so at once. Sessions go to the others.
func TestDrillRelayBurst(t *testing.T) {
	s := fleettest.Server(t, storing(t.TempDir()))
	d := newDrill(t, s.ClientURL(), 100)
	setup(t, d.nc)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stored := make(chan struct{}, drillHosts)
	go func() {
		_ = pool.Events(ctx, d.nc, pool.EventOptions{Kind: "relay_down", Since: time.Unix(1, 0)}, func(pool.Event) error {
			stored <- struct{}{}
			return nil
		})
	}()
	began := time.Now()
	var wg sync.WaitGroup
	for i, h := range d.hosts {
		if i%2 == 0 {
			continue
		}
		h.Change(func(d *bus.Description) { d.State, d.Reason, d.Since = "degraded", "relays", time.Now() })
		wg.Go(func() {
			if err := d.agents[i].Publish(ctx, bus.Event{
				Name: d.agents[i].Status().ID + ".1", Kind: "relay_down", At: time.Now(),
				Data: []byte(`{"id":1,"kind":"relay_down","server":"turn:relay.example.net"}`),
			}); err != nil {
				t.Errorf("event: %v", err)
			}
		})
	}
	wg.Wait()
	for range drillHosts / 2 {
		<-stored
	}
	events := time.Since(began)
	fleettest.Eventually(t, 5*time.Second, "all are seen as degraded", func() bool {
		return d.count(func(h pool.Host) bool { return h.State == "degraded" }) == drillHosts/2
	})
	seen := time.Since(began)
	all := d.rush(t.Context(), 500, 5*time.Second, 10*time.Second)
	weak := 0
	degraded := make(map[string]bool)
	for _, h := range d.view.Hosts() {
		degraded[h.ID] = h.State == "degraded"
	}
	for _, o := range all {
		if degraded[o.host] {
			weak++
		}
	}
	d.judge(t, "while the relays of 100 hosts are down", all, anywhere)
	t.Logf("100 hosts: events stored and followed after %v, states seen after %v; %d of %d placements on such a host",
		events.Round(time.Millisecond), seen.Round(time.Millisecond), weak, len(all))
}

// An upgrade goes from canaries to all in groups. The version fails on the third group: the upgrade halts there, no
// request stays without a place, and most hosts have the former version.
func TestDrillRollingUpgrade(t *testing.T) {
	d := newDrill(t, fleettest.Server(t, nil).ClientURL(), 100)
	ctx, cancel := context.WithCancel(t.Context())
	rush := make(chan []outcome, 1) // one result, never blocks
	go func() { rush <- d.rush(ctx, 800, 20*time.Second, 20*time.Second) }()
	name := func(i int) string { return fmt.Sprintf("host%03d", i) }
	upgraded, halted, least := 0, false, drillHosts
	for group, size := range []int{5, 20, 20, 40, 40, 75} {
		for i := range size { // drain, restart into the new version, accept sessions again
			h := d.hosts[upgraded+i]
			r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://any/v1/drain", bytes.NewReader([]byte("{}")))
			if err != nil {
				t.Fatal(err)
			}
			list, err := d.gw.All(ctx, r, bus.Selector{"name": name(upgraded + i)}, []string{d.agents[upgraded+i].Status().ID})
			if err != nil || len(list) != 1 {
				t.Fatalf("drain: %v, %v", list, err)
			}
			h.Change(func(d *bus.Description) { d.Version = "1.5.0" })
		}
		fleettest.Eventually(t, 10*time.Second, "the group is drained", func() bool {
			return d.count(func(h pool.Host) bool { return h.State == "draining" }) == size
		})
		least = min(least, d.count(func(h pool.Host) bool { return h.State == "active" }))
		for i := range size {
			d.hosts[upgraded+i].Change(func(d *bus.Description) {
				d.State, d.Reason = "active", "started"
				if group == 2 && i < 4 { // the version does not start its encoder on four machines
					d.State, d.Reason = "degraded", "encoder"
				}
			})
		}
		upgraded += size
		fleettest.Eventually(t, 10*time.Second, "the group is back", func() bool {
			return d.count(func(h pool.Host) bool { return h.Version == "1.5.0" && h.State != "draining" }) == upgraded
		})
		if bad := d.count(func(h pool.Host) bool { return h.Version == "1.5.0" && h.State != "active" }); bad > 0 {
			halted = true
			t.Logf("halted after group %d: %d of %d hosts of the new version are not active", group+1, bad, upgraded)
			break
		}
	}
	d.judge(t, "during the upgrade", <-rush, anywhere)
	cancel()
	if !halted || upgraded != 45 || least < drillHosts*8/10 {
		t.Errorf("halted %v after %d hosts; at least %d accepted sessions", halted, upgraded, least)
	}
	t.Logf("%d hosts have the new version; at least %d of %d accepted sessions", upgraded, least, drillHosts)
}

// A client that subscribes to everything and reads nothing costs the others nothing.
func TestDrillSlowConsumer(t *testing.T) {
	s := fleettest.Server(t, nil)
	d := newDrill(t, s.ClientURL(), 100)
	u, err := url.Parse(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	before := d.rush(t.Context(), 400, 4*time.Second, 10*time.Second)
	for range 10 {
		var dialer net.Dialer
		c, err := dialer.DialContext(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4096)
		}
		if _, err := c.Write([]byte("CONNECT {\"verbose\":false}\r\nSUB > 1\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	during := d.rush(t.Context(), 3000, 30*time.Second, 10*time.Second)
	d.judge(t, "before the slow consumers", before, anywhere)
	d.judge(t, "with ten slow consumers", during, anywhere)
	t.Logf("the server has ended %d slow consumers", s.NumSlowConsumers())
	if n := d.count(func(h pool.Host) bool { return h.Presence == pool.Present }); n != drillHosts {
		t.Errorf("%d of %d hosts are present", n, drillHosts)
	}
}

// The clock of a host may be off by a minute: it is shown, and changes nothing.
func TestClockOffByAMinute(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	nc := fleettest.Connect(t, s)
	v := follow(t, nc)
	for _, off := range []time.Duration{-time.Minute, time.Minute} {
		id := fleettest.Identity(t)
		m, err := bus.Record{Revision: 1, Time: time.Now().Add(off), Description: bus.Description{
			Boot: "b", State: "active", Started: time.Now().Add(off),
		}}.Message(id, bus.SubjectRecord(id.ID()))
		if err != nil {
			t.Fatal(err)
		}
		beat, err := bus.Beat{Boot: "b", Sequence: 1, Revision: 1, Milliseconds: time.Now().Add(off).UnixMilli()}.Message(id)
		if err != nil {
			t.Fatal(err)
		}
		fleettest.Eventually(t, 5*time.Second, "the host is present with its offset", func() bool {
			_, _ = nc.RequestMsg(m, time.Millisecond)
			_ = nc.PublishMsg(beat)
			for _, h := range v.Hosts() {
				if h.ID == id.ID() && h.Presence == pool.Present {
					return (time.Duration(h.ClockOffset*float64(time.Second)) - off).Abs() < 10*time.Second
				}
			}
			return false
		})
	}
	a := join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost("a", "b1", nil))
	ready(t, a)
	for off, want := range map[time.Duration]string{
		-time.Minute: "200", time.Minute: "200", -3 * time.Minute: "400", 3 * time.Minute: "400",
	} {
		q := order(t, "GET", "/v1/host", bus.SubjectAPI(a.Status().ID, bus.Caller{Role: "operator", Name: "gw1"}))
		q.Header.Set("Wavry-Time", fmt.Sprint(time.Now().Add(off).UnixMilli()))
		answer, err := nc.RequestMsg(q, 5*time.Second)
		if err != nil || answer.Header.Get("Wavry-Status") != want {
			t.Errorf("a request that is %v off: %v, %v; want %s", off, answer, err, want)
		} else if want == "400" && !strings.Contains(string(answer.Data), "set the clocks") {
			t.Errorf("the refusal says %s", answer.Data)
		}
	}
}
