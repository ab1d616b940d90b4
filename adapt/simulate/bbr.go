package simulate

import "time"

// The constants of draft-cardwell-iccrg-bbr-congestion-control-00, sections 4.1 to 4.3.
const (
	bbrHigh     = 2.885 // 2/ln 2
	bbrWindow   = 2.0   // bandwidth-delay products in flight
	bbrRounds   = 10    // over which the bandwidth is the highest
	bbrRTTFor   = 10 * time.Second
	bbrProbeRTT = 200 * time.Millisecond
	bbrLeast    = 4.0 // segments
	bbrGrowth   = 1.25
	bbrFull     = 3 // rounds without growth
)

var bbrCycle = [8]float64{1.25, .75, 1, 1, 1, 1, 1, 1}

type bbrState uint8

const (
	bbrStartup bbrState = iota
	bbrDrain
	bbrProbeBW
	bbrProbeRTTState
)

// bbr is BBR version 1.
type bbr struct {
	state     bbrState
	gain      float64 // of the pacing
	rates     [bbrRounds]float64
	round     int
	roundEnd  int64 // in segments delivered
	full      float64
	fullCount int

	least      time.Duration // round trip
	leastAt    time.Duration
	cycle      int
	cycleAt    time.Duration
	lostInThis bool
	probeEnds  time.Duration // of the round trip, 0 until little is in flight
	size       float64
	prior      float64 // before the round trip was probed
}

func newBBR() *bbr { return &bbr{gain: bbrHigh, size: initialWindow, least: time.Hour} }

func (b *bbr) window() float64 { return b.size }

func (b *bbr) pace() float64 {
	rate := b.bandwidth()
	if rate == 0 { // nothing is known yet
		return 0
	}
	return rate * b.gain
}

// bandwidth is the highest rate of the newest rounds, in segments a second.
func (b *bbr) bandwidth() float64 {
	most := 0.0
	for _, r := range b.rates {
		most = max(most, r)
	}
	return most
}

// product is the bandwidth-delay product in segments.
func (b *bbr) product() float64 { return b.bandwidth() * b.least.Seconds() }

func (b *bbr) acked(t *tcp, a ack) {
	now := t.w.now
	round := a.delivered >= b.roundEnd
	if round {
		b.roundEnd = t.delivered
		b.round++
		b.rates[b.round%bbrRounds] = 0
	}
	b.rates[b.round%bbrRounds] = max(b.rates[b.round%bbrRounds], a.rate)
	stale := now-b.leastAt > bbrRTTFor
	if a.rtt > 0 && (a.rtt <= b.least || stale) {
		b.least, b.leastAt = a.rtt, now
	}
	b.advance(t, round)
	if stale && b.state != bbrProbeRTTState && b.bandwidth() > 0 {
		b.state, b.gain, b.probeEnds, b.prior = bbrProbeRTTState, 1, 0, b.size
	}
	b.lostInThis = b.lostInThis && !round
	if b.state == bbrProbeRTTState {
		b.size = min(b.size, bbrLeast)
		b.probeRTT(t)
		return
	}
	want := max(bbrWindow*b.product()+3, bbrLeast) // 3 for acknowledgments that are delayed
	if b.state == bbrStartup || b.state == bbrDrain {
		want = max(bbrHigh*b.product(), initialWindow)
	}
	b.size = min(b.size+float64(a.newly), want)
	b.size = max(b.size, bbrLeast)
}

func (b *bbr) advance(t *tcp, round bool) {
	now := t.w.now
	switch b.state {
	case bbrStartup:
		if !round || b.bandwidth() == 0 {
			return
		}
		if bw := b.bandwidth(); bw >= b.full*bbrGrowth {
			b.full, b.fullCount = bw, 0
			return
		}
		if b.fullCount++; b.fullCount >= bbrFull {
			b.state, b.gain = bbrDrain, 1/bbrHigh
		}
	case bbrDrain:
		if float64(t.flying) <= b.product() {
			b.probeBW(t)
		}
	case bbrProbeBW:
		done := now-b.cycleAt > b.least
		switch gain := bbrCycle[b.cycle]; {
		case gain > 1:
			done = done && (b.lostInThis || float64(t.flying) >= gain*b.product())
		case gain < 1:
			done = done || float64(t.flying) <= b.product()
		}
		if done {
			b.cycle, b.cycleAt, b.lostInThis = (b.cycle+1)%len(bbrCycle), now, false
			b.gain = bbrCycle[b.cycle]
		}
	case bbrProbeRTTState:
	}
}

// probeBW begins with any phase except the draining one.
func (b *bbr) probeBW(t *tcp) {
	b.state, b.cycleAt = bbrProbeBW, t.w.now
	if b.cycle = t.w.random.IntN(len(bbrCycle) - 1); b.cycle > 0 {
		b.cycle++
	}
	b.gain = bbrCycle[b.cycle]
}

// probeRTT keeps little in flight for a while, so that the queue is empty and the round trip the smallest.
func (b *bbr) probeRTT(t *tcp) {
	switch {
	case b.probeEnds == 0 && float64(t.flying) <= bbrLeast:
		b.probeEnds = t.w.now + max(bbrProbeRTT, b.least)
	case b.probeEnds > 0 && t.w.now >= b.probeEnds:
		b.leastAt, b.size = t.w.now, max(b.size, b.prior)
		if b.fullCount >= bbrFull {
			b.probeBW(t)
		} else {
			b.state, b.gain = bbrStartup, bbrHigh
		}
	}
}

func (b *bbr) lost(*tcp) { b.lostInThis = true }

// expired: the window grows again with what is acknowledged.
func (b *bbr) expired(*tcp) { b.size = 1 }
