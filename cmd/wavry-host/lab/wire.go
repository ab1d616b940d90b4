package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/adapt/simulate"
)

const (
	// waiting is how many packets may wait for their direction's goroutine. They are dropped and counted beyond.
	waiting = 1024
	// largest is the largest packet of the interfaces.
	largest = 1500
)

// direction carries the packets of one way through a link of the simulator, in real time.
type direction struct {
	in     chan packet
	resets chan reset
	out    func([]byte)

	// These are of the link at present.
	sent, dropped, bytes atomic.Int64
	wait                 atomic.Int64 // longest wait in the queue since the last look, in nanoseconds
	late                 atomic.Int64 // packets that found no room in the channel
}

// packet is an IP packet that comes to a direction.
type packet struct {
	data []byte
	flow int
}

// reset replaces a direction's link.
type reset struct {
	link *simulate.Live
	done chan struct{}
}

func newDirection(out func([]byte)) *direction {
	return &direction{in: make(chan packet, waiting), resets: make(chan reset), out: out}
}

// run carries packets until ctx ends. Only it touches the link.
func (d *direction) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	link, begun := simulate.NewLive(simulate.Link{Capacity: simulate.Constant(1e9), Queue: time.Second}, 1), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-d.resets:
			link, begun = r.link, time.Now()
			d.sent.Store(0)
			d.dropped.Store(0)
			d.bytes.Store(0)
			close(r.done)
		case p := <-d.in:
			d.deliver(link.Advance(time.Since(begun)))
			link.Send(time.Since(begun), p.data, p.flow)
		case <-timer.C:
		}
		d.deliver(link.Advance(time.Since(begun)))
		d.wait.Store(max(d.wait.Load(), int64(link.LongestWait())))
		sent, dropped := link.Counts()
		d.sent.Store(int64(sent))
		d.dropped.Store(int64(dropped))
		next := time.Hour
		if at, ok := link.Next(); ok {
			next = at - time.Since(begun)
		}
		timer.Reset(next)
	}
}

func (d *direction) deliver(packets [][]byte) {
	for _, data := range packets {
		d.bytes.Add(int64(len(data)))
		d.out(data)
	}
}

// begin replaces the link by a new one, whose time begins.
func (d *direction) begin(ctx context.Context, link simulate.Link, seed uint64) error {
	r := reset{simulate.NewLive(link, seed), make(chan struct{})}
	select {
	case d.resets <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-r.done
	return nil
}

// put hands a packet over, or drops it.
func (d *direction) put(p packet) {
	select {
	case d.in <- p:
	default:
		d.late.Add(1)
	}
}

// longestWait returns the longest wait in the queue since the last call.
func (d *direction) longestWait() time.Duration { return time.Duration(d.wait.Swap(0)) }

// wire is the network between host, viewer and relay: host and relay are neighbors, and the viewer is behind a link.
type wire struct {
	host, viewer, relay *end // relay is nil if there is none
	toViewer, toHost    *direction
}

// end is a place as the wire sees it.
type end struct {
	address netip.Addr
	device  io.ReadWriter
}

func newWire(host, viewer, relay *end) *wire {
	w := &wire{host: host, viewer: viewer, relay: relay}
	w.toViewer = newDirection(func(data []byte) { _, _ = viewer.device.Write(data) })
	w.toHost = newDirection(w.behind)
	return w
}

// behind delivers a packet on the host's side of the link.
func (w *wire) behind(data []byte) {
	to := w.host
	if w.relay != nil && destination(data) == w.relay.address {
		to = w.relay
	}
	_, _ = to.device.Write(data) // an interface without room drops packets, as others do
}

// run carries packets until ctx ends or a device fails. The devices must be closed when ctx ends.
func (w *wire) run(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(func() { w.toViewer.run(ctx) })
	group.Go(func() { w.toHost.run(ctx) })
	ends := []*end{w.host, w.viewer}
	if w.relay != nil {
		ends = append(ends, w.relay)
	}
	errs := make([]error, len(ends))
	for i, e := range ends {
		group.Go(func() {
			for {
				data := make([]byte, largest)
				n, err := e.device.Read(data)
				if err != nil {
					errs[i] = err
					return
				}
				w.route(e, data[:n])
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the devices were closed
	}
	return fmt.Errorf("lab: read packets: %w", errors.Join(errs...))
}

// route sends a packet that came from an end to its next one. With a relay, only TCP goes between host and viewer.
func (w *wire) route(from *end, data []byte) {
	to, protocol := destination(data), protocolOf(data)
	blocked := w.relay != nil && protocol != protocolTCP
	p := packet{data, flowOf(data)}
	switch {
	case from == w.viewer && to == w.host.address && !blocked,
		from == w.viewer && w.relay != nil && to == w.relay.address:
		w.toHost.put(p)
	case from == w.host && to == w.viewer.address && !blocked,
		from != w.host && from != w.viewer && to == w.viewer.address:
		w.toViewer.put(p)
	case from != w.viewer && w.relay != nil && (to == w.host.address || to == w.relay.address):
		w.behind(data)
	}
}

// Protocols, as IP numbers them.
const (
	protocolTCP = 6
	protocolUDP = 17
)

// destination returns where an IPv4 packet goes, and nothing for other packets.
func destination(data []byte) netip.Addr {
	if len(data) < 20 || data[0]>>4 != 4 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(data[16:20]))
}

func protocolOf(data []byte) byte {
	if len(data) < 20 {
		return 0
	}
	return data[9]
}

// flowOf returns one of 1024 numbers that packets of one flow share: fq_codel has as many queues.
func flowOf(data []byte) int {
	if len(data) < 20 {
		return 0
	}
	sum := binary.BigEndian.Uint32(data[12:]) ^ binary.BigEndian.Uint32(data[16:])
	if at := int(data[0]&15) * 4; (data[9] == protocolTCP || data[9] == protocolUDP) && len(data) >= at+4 {
		sum ^= binary.BigEndian.Uint32(data[at:])
	}
	return int(sum * 2654435761 >> 22) // Knuth's multiplicative hash
}
