package lab

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/adapt/simulate"
)

// packetOf returns an IPv4 packet with ports.
func packetOf(from, to netip.Addr, protocol byte, size int) []byte {
	data := make([]byte, size)
	data[0], data[9] = 0x45, protocol
	copy(data[12:], from.AsSlice())
	copy(data[16:], to.AsSlice())
	return data
}

// A direction delivers in real time what its link lets through, in order and with the link's delay.
func TestDirectionDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var got []time.Duration
		var order []byte
		var begun time.Time
		d := newDirection(func(data []byte) {
			got, order = append(got, time.Since(begun)), append(order, data[0])
		})
		done := make(chan struct{})
		go func() { defer close(done); d.run(ctx) }()
		if err := d.begin(ctx, simulate.Link{
			Capacity: simulate.Constant(8e6), Queue: time.Second, Delay: 20 * time.Millisecond,
		}, 1); err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		for i := range 5 {
			d.put(packet{append([]byte{byte(i)}, make([]byte, 999)...), 0})
		}
		time.Sleep(time.Second)
		cancel()
		<-done
		if string(order) != "\x00\x01\x02\x03\x04" {
			t.Errorf("packets arrive in the order %v", order)
		}
		for i, at := range got {
			if want := time.Duration(i+1)*time.Millisecond + 20*time.Millisecond; at != want {
				t.Errorf("packet %d arrives after %v; want %v", i, at, want)
			}
		}
		if sent, bytes := d.sent.Load(), d.bytes.Load(); sent != 5 || bytes != 5000 {
			t.Errorf("%d packets with %d bytes are counted; want 5 with 5000", sent, bytes)
		}
		if got := d.longestWait(); got != 4*time.Millisecond {
			t.Errorf("the longest wait is %v; want 4ms", got)
		}
		if got := d.longestWait(); got != 0 {
			t.Errorf("the longest wait is %v when nothing came; want 0", got)
		}
	})
}

func TestDirectionDropsWithoutRoom(t *testing.T) {
	d := newDirection(func([]byte) {}) // nobody reads
	for range waiting + 3 {
		d.put(packet{})
	}
	if got := d.late.Load(); got != 3 {
		t.Errorf("%d packets are dropped; want 3", got)
	}
}

// written collects what is written to a device.
type written struct {
	mu   sync.Mutex
	data [][]byte
}

func (*written) Read([]byte) (int, error) { return 0, io.EOF }

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.data = append(w.data, p)
	return len(p), nil
}

func TestRoutes(t *testing.T) {
	ends := func(relay bool) (*wire, map[string]*end) {
		all := map[string]*end{
			"host": {hostAddress, &written{}}, "viewer": {viewerAddress, &written{}}, "relay": {relayAddress, &written{}},
		}
		third := all["relay"]
		if !relay {
			third = nil
		}
		return newWire(all["host"], all["viewer"], third), all
	}
	for _, c := range []struct {
		name     string
		relay    bool
		from, to string
		protocol byte
		want     string // the link, or the place that gets it at once; empty for nothing
	}{
		{"media without a relay", false, "host", "viewer", protocolUDP, "to viewer"},
		{"feedback without a relay", false, "viewer", "host", protocolUDP, "to host"},
		{"media that need the relay", true, "host", "viewer", protocolUDP, ""},
		{"feedback that needs the relay", true, "viewer", "host", protocolUDP, ""},
		{"the page beside a relay", true, "host", "viewer", protocolTCP, "to viewer"},
		{"requests beside a relay", true, "viewer", "host", protocolTCP, "to host"},
		{"media to the relay", true, "host", "relay", protocolUDP, "relay"},
		{"media from the relay", true, "relay", "viewer", protocolUDP, "to viewer"},
		{"feedback to the relay", true, "viewer", "relay", protocolUDP, "to host"},
		{"feedback from the relay", true, "relay", "host", protocolUDP, "host"},
		{"a relay that is not there", false, "viewer", "relay", protocolUDP, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, all := ends(c.relay)
			w.route(all[c.from], packetOf(all[c.from].address, all[c.to].address, c.protocol, 100))
			got := ""
			if len(w.toViewer.in) == 1 {
				got += "to viewer"
			}
			if len(w.toHost.in) == 1 {
				got += "to host"
			}
			for name, e := range all {
				if d, ok := e.device.(*written); ok && len(d.data) > 0 {
					got += name
				}
			}
			if got != c.want {
				t.Errorf("the packet goes to %q; want %q", got, c.want)
			}
		})
	}
	w, all := ends(true)
	for _, data := range [][]byte{nil, {0x60}, make([]byte, 40), packetOf(hostAddress, netip.IPv4Unspecified(), 17, 30)} {
		w.route(all["host"], data)
	}
	if len(w.toViewer.in)+len(w.toHost.in) > 0 {
		t.Error("packets for unknown addresses are on the links")
	}
}

func TestFlows(t *testing.T) {
	a, b := packetOf(hostAddress, viewerAddress, protocolUDP, 100), packetOf(hostAddress, viewerAddress, protocolUDP, 200)
	b[22]++
	if flowOf(a) == flowOf(b) || flowOf(a) != flowOf(a[:50]) {
		t.Errorf("flows %d and %d", flowOf(a), flowOf(b))
	}
	for _, data := range [][]byte{nil, a[:20], a[:21]} {
		if got := flowOf(data); got < 0 || got > 1023 {
			t.Errorf("flow %d of %d bytes", got, len(data))
		}
	}
}

// The mean delay of a link is what its packets meet.
func TestExpectedDelay(t *testing.T) {
	l := simulate.Link{
		Capacity: simulate.Constant(1e9), Queue: time.Second, Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond,
		Bunch: [2]time.Duration{2 * time.Millisecond, 12 * time.Millisecond},
	}
	const packets = 5000
	live, sum := simulate.NewLive(l, 1), time.Duration(0)
	for i := range packets {
		sent := time.Duration(i) * 97 * time.Millisecond // no multiple of a bunch
		live.Advance(sent)
		live.Send(sent, make([]byte, 100), 0)
		for arrived := false; !arrived; {
			at, _ := live.Next()
			if arrived = len(live.Advance(at)) > 0; arrived {
				sum += at - sent
			}
		}
	}
	got, want := sum/packets, expectedDelay(l)
	if diff := got - want; diff.Abs() > 500*time.Microsecond {
		t.Errorf("packets take %v in the mean; want %v", got, want)
	}
}
