package simulate

import (
	"math"
	"time"
)

const (
	segment = 1500 // bytes on the wire
	ackSize = 40
	// initialWindow is RFC 6928's, in segments; leastRTO is what Linux takes.
	initialWindow = 10
	leastRTO      = 200 * time.Millisecond
)

// CUBIC's constants, from RFC 9438, sections 4.6 and 5.
const (
	cubicBeta = 0.7
	cubicC    = 0.4
)

// TCP is a flow with NewReno's congestion control (RFC 5681, RFC 6582), or with CUBIC's window (RFC 9438).
type TCP struct {
	Start, Stop time.Duration
	Cubic       bool
	// Bytes, when not 0, makes a short flow: this many on average (30 to 50 KB as RFC 8868 has it when Bytes is 40000), then
	// idle for Idle on average, exponentially distributed, and again.
	Bytes   int
	Idle    time.Duration
	Forward []int // links, by index
	Back    []int
}

// tcp is a TCP flow at work, sender and receiver.
type tcp struct {
	TCP
	w             *world
	forward, back []*link

	next, una  int64 // segments
	limit      int64 // of a short flow: where it ends
	cwnd       float64
	threshold  float64
	dup        int
	recover    int64
	recovering bool
	most       float64       // CUBIC: the window before the last reduction, in segments,
	epoch      time.Duration // and when that was
	srtt       time.Duration
	rto        time.Duration
	timer      uint64 // the newest timer; older ones are void
	timedID    int64
	timedAt    time.Duration
	got        map[int64]bool // received out of order
	expect     int64
	idle       bool
	delivered  []int // bytes, per second
}

const (
	tcpStart = iota
	tcpData
	tcpAck
	tcpTimer
)

func (t *tcp) fire(what int, p *packet) {
	switch what {
	case tcpStart:
		t.begin()
	case tcpData:
		t.receive(p)
	case tcpAck:
		t.acked(p.number)
	case tcpTimer:
		if p.id == t.timer && t.una < t.next {
			t.timeout()
		}
	}
}

func (t *tcp) begin() {
	if t.w.now >= t.Stop {
		return
	}
	t.idle = false
	t.cwnd, t.threshold = initialWindow, 1<<20
	t.rto = time.Second
	t.limit = 1 << 60
	if t.Bytes > 0 {
		t.limit = t.next + int64(float64(t.Bytes)*(0.75+0.5*t.w.random.Float64()))/segment + 1
	}
	t.pump()
}

func (t *tcp) pump() {
	for t.next < t.limit && float64(t.next-t.una) < t.cwnd && t.w.now < t.Stop {
		t.transmit(t.next)
		t.next++
	}
}

func (t *tcp) transmit(number int64) {
	if t.timedID == 0 && number == t.next {
		t.timedID, t.timedAt = number+1, t.w.now
	}
	t.w.send(&packet{size: segment, route: t.forward, to: t, what: tcpData, number: number})
	t.arm()
}

func (t *tcp) arm() {
	t.timer++
	t.w.after(t.rto, t, tcpTimer, &packet{id: t.timer})
}

func (t *tcp) receive(p *packet) {
	second := int(t.w.now / time.Second)
	for len(t.delivered) <= second {
		t.delivered = append(t.delivered, 0)
	}
	t.delivered[second] += p.size
	if p.number >= t.expect {
		t.got[p.number] = true
	}
	for t.got[t.expect] {
		delete(t.got, t.expect)
		t.expect++
	}
	t.w.send(&packet{size: ackSize, route: t.back, to: t, what: tcpAck, number: t.expect})
}

func (t *tcp) acked(to int64) {
	if to > t.una {
		t.advance(to)
	} else if t.una < t.next {
		t.duplicate()
	}
	t.pump()
	if t.una >= t.limit && !t.idle {
		t.idle = true
		t.w.after(time.Duration(t.w.random.ExpFloat64()*float64(t.Idle)), t, tcpStart, nil)
	}
}

func (t *tcp) advance(to int64) {
	if t.timedID != 0 && to >= t.timedID {
		if rtt := t.w.now - t.timedAt; !t.recovering {
			if t.srtt == 0 {
				t.srtt = rtt
			}
			t.srtt += (rtt - t.srtt) / 8
			t.rto = max(leastRTO, 2*t.srtt)
		}
		t.timedID = 0
	}
	newly := float64(to - t.una)
	t.una = to
	t.dup = 0
	switch {
	case t.recovering && to < t.recover: // a partial acknowledgment: the next one is lost too (RFC 6582)
		t.cwnd = max(t.cwnd-newly+1, 1)
		t.transmit(t.una)
	case t.recovering:
		t.recovering = false
		t.cwnd = t.threshold
	case t.cwnd < t.threshold:
		t.cwnd += newly
	case t.Cubic:
		t.cwnd += newly * max((t.cubic()-t.cwnd)/t.cwnd, .01/t.cwnd)
	default:
		t.cwnd += newly / t.cwnd
	}
	t.arm()
}

// cubic returns the window that CUBIC aims at: the cubic function, or where that is more what NewReno would have with CUBIC's
// reduction (RFC 9438, sections 4.2 and 4.3).
func (t *tcp) cubic() float64 {
	since, rtt := (t.w.now + t.srtt - t.epoch).Seconds(), max(t.srtt, time.Millisecond).Seconds()
	k := math.Cbrt(t.most * (1 - cubicBeta) / cubicC)
	off := since - k
	friendly := t.most*cubicBeta + 3*(1-cubicBeta)/(1+cubicBeta)*since/rtt
	return min(max(cubicC*off*off*off+t.most, friendly), 1.5*t.cwnd)
}

// reduce sets the threshold after a loss.
func (t *tcp) reduce() {
	flight := float64(t.next - t.una)
	share := 0.5
	if t.Cubic {
		share = cubicBeta
		if t.most > 0 && flight < t.most {
			flight *= (1 + cubicBeta) / 2 // fast convergence, section 4.7
		}
		t.most, t.epoch = flight, t.w.now
		flight = float64(t.next - t.una)
	}
	t.threshold = max(flight*share, 2)
}

func (t *tcp) duplicate() {
	t.dup++
	switch {
	case t.recovering:
		t.cwnd++
	case t.dup == 3:
		t.reduce()
		t.cwnd = t.threshold + 3
		t.recovering, t.recover = true, t.next
		t.timedID = 0
		t.transmit(t.una)
	}
}

func (t *tcp) timeout() {
	t.reduce()
	t.cwnd, t.dup, t.recovering, t.timedID = 1, 0, false, 0
	t.rto = min(2*t.rto, time.Minute)
	t.next = t.una
	t.pump()
	if t.una == t.next {
		t.arm()
	}
}

// CBR is a flow of constant rate.
type CBR struct {
	Start, Stop   time.Duration
	BitsPerSecond float64
	Size          int // bytes
	Forward       []int
}

type cbr struct {
	CBR
	w       *world
	forward []*link
}

func (c *cbr) fire(what int, _ *packet) {
	if what != 0 || c.w.now >= c.Stop {
		return
	}
	c.w.send(&packet{size: c.Size, route: c.forward, to: c, what: 1})
	c.w.after(time.Duration(float64(c.Size)*8/c.BitsPerSecond*float64(time.Second)), c, 0, nil)
}
