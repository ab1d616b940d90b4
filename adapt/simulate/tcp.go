package simulate

import (
	"slices"
	"time"
)

const (
	segment = 1500 // bytes on the wire
	ackSize = 52   // with a time stamp and selective acknowledgments
	// initialWindow is RFC 6928's, in segments; leastRTO and delayedAck are Linux's.
	initialWindow = 10
	leastRTO      = 200 * time.Millisecond
	delayedAck    = 40 * time.Millisecond
	mostBlocks    = 3 // of selective acknowledgment, beside time stamps (RFC 2018, section 3)
)

// Control is a congestion control of TCP.
type Control uint8

const (
	// Cubic is RFC 9438, with slow start as in RFC 9406.
	Cubic Control = iota
	// NewReno is RFC 5681.
	NewReno
	// BBR is version 1 (draft-cardwell-iccrg-bbr-congestion-control-00).
	BBR
)

// TCP is a flow with selective acknowledgments (RFC 2018), delayed acknowledgments (RFC 5681, section 4.2) and loss
// that is found by time (RFC 8985).
type TCP struct {
	Start, Stop time.Duration
	Control     Control
	// Bytes, when not 0, makes a short flow: this many on average (30 to 50 KB as RFC 8868 has it when Bytes is
	// 40000), then idle for Idle on average, exponentially distributed, and again.
	Bytes   int
	Idle    time.Duration
	Forward []int // links, by index
	Back    []int
}

// congestion is what a congestion control decides.
type congestion interface {
	// acked handles an acknowledgment.
	acked(t *tcp, a ack)
	// lost is a loss in a round without one before it; expired a timeout.
	lost(t *tcp)
	expired(t *tcp)
	// window is in segments; pace in segments a second, 0 for none.
	window() float64
	pace() float64
}

// ack is what an acknowledgment tells.
type ack struct {
	newly     int           // segments
	rtt       time.Duration // 0 where only retransmissions are acknowledged
	delivered int64         // segments before the newest of them was sent
	rate      float64       // at which segments are delivered, a second
	recovery  bool
}

// tcp is a TCP flow at work, sender and receiver.
type tcp struct {
	TCP
	flow          int
	w             *world
	forward, back []*link
	control       congestion

	una, next, limit int64
	segments         []sentSegment // from una on
	flying           int
	delivered        int64
	deliveredAt      time.Duration
	newestSent       time.Duration // of what was acknowledged
	recover          int64
	srtt, rttvar     time.Duration
	leastRTT         time.Duration
	rto              time.Duration
	timer            uint64 // the newest timer; older ones are void
	backoff          int
	paceAt           time.Duration
	pacing           bool
	idle             bool

	expect   int64
	beyond   []span  // received out of order, sorted
	recent   []int64 // the newest of them
	unacked  int
	ackTimer uint64
	arrived  []int // bytes, per second
	acks     int
}

type sentSegment struct {
	sent, deliveredAt   time.Duration
	delivered           int64
	flying, acked, lost bool
	again               bool
}

// span is segments from one to before another.
type span struct{ from, to int64 }

const (
	tcpStart = iota
	tcpData
	tcpAck
	tcpTimer
	tcpPace
	tcpAckTimer
)

func newTCP(c TCP, flow int, w *world) *tcp {
	t := &tcp{TCP: c, flow: flow, w: w}
	t.begun()
	return t
}

// begun makes the state of a connection that begins.
func (t *tcp) begun() {
	t.leastRTT, t.rto, t.srtt = time.Hour, time.Second, 0
	switch t.Control {
	case Cubic:
		t.control = newCubic(cubicBeta)
	case NewReno:
		t.control = newCubic(renoBeta)
	case BBR:
		t.control = newBBR()
	}
}

func (t *tcp) fire(what int, p *packet) {
	switch what {
	case tcpStart:
		t.begin()
	case tcpData:
		t.receive(p)
	case tcpAck:
		t.acknowledged(p)
	case tcpTimer:
		if p.id == t.timer && len(t.segments) > 0 {
			t.timeout()
		}
	case tcpPace:
		t.pacing = false
		t.pump()
	case tcpAckTimer:
		if p.id == t.ackTimer && t.unacked > 0 {
			t.acknowledge()
		}
	}
}

func (t *tcp) begin() {
	if t.w.now >= t.Stop {
		return
	}
	t.begun()
	t.idle = false
	t.limit = 1 << 60
	if t.Bytes > 0 {
		t.limit = t.next + int64(float64(t.Bytes)*(0.75+0.5*t.w.random.Float64()))/segment + 1
	}
	t.deliveredAt = t.w.now
	t.pump()
}

// pump sends what the window allows: what was lost first.
func (t *tcp) pump() {
	again := 0 // nothing before it needs retransmission
	for t.w.now < t.Stop && !t.pacing && float64(t.flying) < t.control.window() {
		for again < len(t.segments) && !t.segments[again].lost {
			again++
		}
		if again == len(t.segments) && t.next >= t.limit {
			return
		}
		if rate := t.control.pace(); rate > 0 {
			if t.paceAt > t.w.now {
				t.pacing = true
				t.w.after(t.paceAt-t.w.now, t, tcpPace, nil)
				return
			}
			// As much as a millisecond at a time, as the internal pacing of Linux.
			t.paceAt = max(t.paceAt, t.w.now-time.Millisecond) + time.Duration(float64(time.Second)/rate)
		}
		if again < len(t.segments) {
			t.transmit(again, true)
			continue
		}
		t.segments = append(t.segments, sentSegment{})
		t.next++
		t.transmit(len(t.segments)-1, false)
	}
}

func (t *tcp) transmit(i int, again bool) {
	if t.flying == 0 {
		t.deliveredAt = t.w.now
	}
	s := &t.segments[i]
	*s = sentSegment{sent: t.w.now, delivered: t.delivered, deliveredAt: t.deliveredAt, flying: true, again: again}
	t.flying++
	t.w.send(&packet{
		size: segment, flow: t.flow, route: t.forward, to: t, what: tcpData, number: t.una + int64(i),
		sent: t.w.now,
	})
	t.arm()
}

func (t *tcp) arm() {
	t.timer++
	t.w.after(t.rto<<min(t.backoff, 6), t, tcpTimer, &packet{id: t.timer})
}

// receive is the receiver's.
func (t *tcp) receive(p *packet) {
	second := int(t.w.now / time.Second)
	for len(t.arrived) <= second {
		t.arrived = append(t.arrived, 0)
	}
	t.arrived[second] += p.size
	inOrder := p.number == t.expect && len(t.beyond) == 0
	if p.number == t.expect {
		t.expect++
		if len(t.beyond) > 0 && t.beyond[0].from <= t.expect {
			t.expect = max(t.expect, t.beyond[0].to)
			t.beyond = t.beyond[1:]
		}
	} else if p.number > t.expect {
		t.keep(p.number)
		t.recent = append(t.recent[max(0, len(t.recent)+1-mostBlocks):], p.number)
	}
	t.unacked++
	if !inOrder || t.unacked >= 2 {
		t.acknowledge()
		return
	}
	t.ackTimer++
	t.w.after(delayedAck, t, tcpAckTimer, &packet{id: t.ackTimer})
}

// keep notes a segment that is beyond a gap.
func (t *tcp) keep(n int64) {
	i, _ := slices.BinarySearchFunc(t.beyond, n, func(s span, n int64) int {
		if s.to < n {
			return -1
		}
		return 1
	})
	switch {
	case i < len(t.beyond) && t.beyond[i].from <= n && n < t.beyond[i].to: // it was there
	case i < len(t.beyond) && t.beyond[i].to == n:
		t.beyond[i].to++
		if i+1 < len(t.beyond) && t.beyond[i+1].from == n+1 {
			t.beyond[i].to = t.beyond[i+1].to
			t.beyond = slices.Delete(t.beyond, i+1, i+2)
		}
	case i < len(t.beyond) && t.beyond[i].from == n+1:
		t.beyond[i].from = n
	default:
		t.beyond = slices.Insert(t.beyond, i, span{n, n + 1})
	}
}

func (t *tcp) acknowledge() {
	t.unacked = 0
	t.ackTimer++
	t.acks++
	p := &packet{size: ackSize, flow: t.flow, route: t.back, to: t, what: tcpAck, number: t.expect}
	for _, n := range slices.Backward(t.recent) { // what came last is told first (RFC 2018, section 4)
		i := slices.IndexFunc(t.beyond, func(s span) bool { return s.from <= n && n < s.to })
		if i >= 0 && !slices.Contains(p.spans, t.beyond[i]) {
			p.spans = append(p.spans, t.beyond[i])
		}
	}
	t.w.send(p)
}

// acknowledged is the sender's.
func (t *tcp) acknowledged(p *packet) {
	a := ack{}
	var newest *sentSegment
	one := func(n int64) {
		if n < t.una || n >= t.next {
			return
		}
		s := &t.segments[n-t.una]
		if s.acked {
			return
		}
		if s.flying {
			t.flying--
		}
		s.acked, s.flying, s.lost = true, false, false
		a.newly++
		t.delivered++
		if newest == nil || s.sent >= newest.sent {
			newest = s
		}
		if !s.again {
			a.rtt = t.w.now - s.sent
		}
	}
	for n := t.una; n < p.number; n++ {
		one(n)
	}
	for _, s := range p.spans {
		for n := s.from; n < s.to; n++ {
			one(n)
		}
	}
	if a.newly > 0 {
		t.newestSent = max(t.newestSent, newest.sent)
		a.delivered = newest.delivered
		took := max(t.w.now-newest.deliveredAt, time.Microsecond)
		if took >= t.leastRTT || t.leastRTT == time.Hour {
			a.rate = float64(t.delivered-newest.delivered) / took.Seconds()
		}
		t.deliveredAt = t.w.now
		t.backoff = 0
		t.measured(a.rtt)
	}
	if n := p.number - t.una; n > 0 {
		t.segments = t.segments[n:]
		t.una = p.number
	}
	lost := t.findLost()
	a.recovery = t.una < t.recover
	if lost && !a.recovery {
		t.recover = t.next
		t.control.lost(t)
		a.recovery = true
	}
	if a.newly > 0 {
		t.control.acked(t, a)
		t.arm()
	}
	t.pump()
	if t.una >= t.limit && !t.idle {
		t.idle = true
		t.w.after(time.Duration(t.w.random.ExpFloat64()*float64(t.Idle)), t, tcpStart, nil)
	}
}

// measured takes in a round trip (RFC 6298).
func (t *tcp) measured(rtt time.Duration) {
	if rtt <= 0 {
		return
	}
	if t.srtt == 0 {
		t.srtt, t.rttvar = rtt, rtt/2
	}
	t.rttvar += ((rtt - t.srtt).Abs() - t.rttvar) / 4
	t.srtt += (rtt - t.srtt) / 8
	t.rto = max(leastRTO, t.srtt+4*t.rttvar)
	t.leastRTT = min(t.leastRTT, rtt)
}

// findLost takes for lost what was sent a quarter of a round trip before something that was acknowledged (RFC 8985,
// section 6.2).
func (t *tcp) findLost() bool {
	found := false
	for i := range t.segments {
		s := &t.segments[i]
		if s.flying && s.sent+t.leastRTT/4 < t.newestSent {
			s.flying, s.lost = false, true
			t.flying--
			found = true
		}
	}
	return found
}

func (t *tcp) timeout() {
	t.backoff++
	for i := range t.segments {
		if s := &t.segments[i]; !s.acked {
			s.flying, s.lost = false, true
		}
	}
	t.flying, t.recover = 0, t.next
	t.control.expired(t)
	t.arm()
	t.pump()
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
	flow    int
	w       *world
	forward []*link
}

func (c *cbr) fire(what int, _ *packet) {
	if what != 0 || c.w.now >= c.Stop {
		return
	}
	c.w.send(&packet{size: c.Size, flow: c.flow, route: c.forward, to: c, what: 1})
	c.w.after(time.Duration(float64(c.Size)*8/c.BitsPerSecond*float64(time.Second)), c, 0, nil)
}
