package fleet_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats.go"
)

// What 10,000 hosts cost a view of the fleet: the sizing of docs/operate/fleet.md begins with these figures.
func TestDrillSizing(t *testing.T) {
	if !*drills {
		t.Skip("a drill of minutes: run scripts/fleet-drills")
	}
	const hosts = 10_000
	nc := fleettest.Connect(t, fleettest.Server(t, nil))
	var records, beats []*nats.Msg
	for i := range hosts {
		id := fleettest.Identity(t)
		d := fleettest.NewHost(fmt.Sprintf("host%05d", i), fmt.Sprint("boot", i),
			map[string]string{"pool": "cad", "region": "eu"}).Describe()
		record, err := bus.Record{Revision: 1, Time: time.Now(), Description: d}.Message(id, bus.SubjectRecord(id.ID()))
		if err != nil {
			t.Fatal(err)
		}
		beat, err := bus.Beat{
			Boot: d.Boot, Sequence: 1, Revision: 1, Milliseconds: time.Now().UnixMilli(), Started: d.Started.UnixMilli(),
		}.Message(id)
		if err != nil {
			t.Fatal(err)
		}
		records, beats = append(records, record), append(beats, beat)
	}
	memory := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	v := pool.NewView(nc, pool.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = v.Run(ctx) })
	defer func() { cancel(); wg.Wait() }()
	send := func(list []*nats.Msg) {
		for _, m := range list {
			if err := nc.PublishMsg(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	fleettest.Eventually(t, 5*time.Second, "the view listens", func() bool {
		send(records[:1])
		return len(v.Hosts()) == 1
	})
	send(records)
	// A look at all hosts holds the view for milliseconds, so there are few.
	for deadline := time.After(time.Minute); len(v.Hosts()) < hosts; {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%d of %d hosts are known", len(v.Hosts()), hosts)
		}
	}
	t.Logf("a heartbeat has %d bytes and a record %d; a view of %d hosts has %d bytes of heap for each", beats[0].Size(),
		records[0].Size(), hosts, (memory()-before)/hosts)
	runtime.KeepAlive(records)
	runtime.KeepAlive(beats)
}
