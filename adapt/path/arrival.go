package path

import (
	"time"

	"wavryhost/adapt/tuning"
)

const (
	// digests is how many reports of 25 ms and more deliverySpan and the slope need.
	digests = 32
	// trainSlot times trainSlots is how long trains count: the mean over half a second of them evens out jitter of a
	// few milliseconds, which a single one drowns in.
	trainSlot  = 100 * time.Millisecond
	trainSlots = 6
)

// arrivals follows what arrives, by the receiver's clock: how fast, and how much faster it could. Its times are
// durations since a moment that the path chooses, one of each clock: comparing times for each packet is most of what a
// report costs.
type arrivals struct {
	unix int64 // when the sender's clock is at 0, in nanoseconds

	ring [digests]arrival
	next int // where the next report goes
	kept int
	run  train
	runs [trainSlots]trainSum
}

// arrival is what one report said: bytes that arrived between two moments, and the bytes of the packet at the first of
// them.
type arrival struct {
	from, to          time.Duration
	bytes, firstBytes int
	packets           int
}

// train is the run of packets under way.
type train struct {
	packets             int
	bytes               int // without the first packet, which starts the clock
	firstSent, lastSent time.Duration
	first, last         time.Duration // arrivals
	line                Line
}

// Line sums what the straight lines through the times at which packets left and arrived, over the bytes before them,
// are drawn by. A rate by all packets is steadier than one by the first and the last: the first of a frame waits for
// no other, so that jitter delays it by its mean, and the last by the largest of those before it, which is half of
// what a frame takes.
type Line struct {
	n, x, xx, sent, sentX, received, receivedX float64
}

// Add takes in a packet: the bytes before it, and seconds since the first left and arrived.
func (l *Line) Add(bytes, sent, received float64) {
	l.n++
	l.x += bytes
	l.xx += bytes * bytes
	l.sent += sent
	l.sentX += sent * bytes
	l.received += received
	l.receivedX += received * bytes
}

// Slopes returns the sums of squares around the mean that make the slopes, seconds a byte, of both lines when divided
// by the first.
func (l *Line) Slopes() (squares, sent, received float64) {
	return l.xx - l.x*l.x/l.n, l.sentX - l.sent*l.x/l.n, l.receivedX - l.received*l.x/l.n
}

// trainSum adds up trains that ended within one slot of time.
type trainSum struct {
	slot                    int64
	over                    time.Duration // for which packets left
	squares, sent, received float64       // see Line.Slopes
}

// report takes in one report.
func (a *arrivals) report(v arrival) {
	if v.bytes == 0 {
		return
	}
	a.ring[a.next] = v
	a.next = (a.next + 1) % digests
	a.kept = min(a.kept+1, digests)
}

// rate is the delivered rate in bits per second, 0 when too little arrived lately. The first packet's bytes do not
// count: they came before the time they would be divided by.
func (a *arrivals) rate() float64 {
	if a.kept == 0 {
		return 0
	}
	newest := &a.ring[(a.next+digests-1)%digests]
	horizon, from := newest.to-tuning.DeliverySpan, newest.from
	bytes, first := 0, 0
	for i := range a.kept {
		v := &a.ring[(a.next+2*digests-1-i)%digests]
		if v.to < horizon || v.to > newest.to {
			continue
		}
		bytes += v.bytes
		if v.from <= from {
			from, first = v.from, v.firstBytes
		}
	}
	span := newest.to - from
	if span < tuning.DeliverySpan/20 {
		return 0
	}
	return float64(bytes-first) * 8 / span.Seconds()
}

// newest is the delivered rate of the newest report alone, in bits per second; 0 when it tells too little.
func (a *arrivals) newest() float64 {
	v := &a.ring[(a.next+digests-1)%digests]
	span := v.to - v.from
	if span < tuning.NewestSpan || v.packets < tuning.NewestPackets {
		return 0
	}
	return float64(v.bytes-v.firstBytes) * 8 / span.Seconds()
}

// packet takes in one packet that arrived, in the order of sending. pacing is the pacer's rate in bits per second.
func (a *arrivals) packet(size int, sent, arrived time.Duration, pacing float64) {
	r := &a.run
	gap := sent - r.lastSent
	usual := time.Duration(float64(size) * 8 / pacing * float64(time.Second))
	longest := time.Duration(tuning.TrainGap*float64(usual)) + tuning.TrainSlack
	if r.packets > 0 && gap >= 0 && gap <= longest && arrived >= r.last {
		r.packets++
		r.bytes += size
		r.lastSent, r.last = sent, arrived
		r.line.Add(float64(r.bytes), float64(sent-r.firstSent)/1e9, float64(arrived-r.first)/1e9)
		return
	}
	a.endTrain()
	*r = train{packets: 1, firstSent: sent, lastSent: sent, first: arrived, last: arrived, line: Line{n: 1}}
}

func (a *arrivals) endTrain() {
	r := &a.run
	sent, received := r.lastSent-r.firstSent, r.last-r.first
	if r.packets < tuning.TrainPackets || sent < tuning.TrainSlack || received < 0 || received > time.Minute {
		return
	}
	slot := (a.unix + int64(r.lastSent)) / int64(trainSlot)
	s := &a.runs[((slot%trainSlots)+trainSlots)%trainSlots]
	if s.slot != slot {
		*s = trainSum{slot: slot}
	}
	squares, left, came := r.line.Slopes()
	s.over += sent
	s.squares += squares
	s.sent += left
	s.received += came
}

// trains tells at which rate frames left lately, and at which they arrived, in bits per second. Where they arrive as
// fast as they left, the path takes at least that much; where they do not, they arrive at what the path can do at
// most.
func (a *arrivals) trains(now time.Duration) (sent, received float64, ok bool) {
	var sum trainSum
	slot := (a.unix + int64(now)) / int64(trainSlot)
	for _, s := range a.runs {
		if s.slot > slot-trainSlots && s.slot <= slot {
			sum.over += s.over
			sum.squares += s.squares
			sum.sent += s.sent
			sum.received += s.received
		}
	}
	if sum.over < tuning.TrainEvidence || sum.squares <= 0 || sum.sent <= 0 {
		return 0, 0, false
	}
	// Jitter alone makes them arrive much faster than they left.
	return 8 * sum.squares / sum.sent, 8 * sum.squares / max(sum.received, sum.sent/tuning.TrainFastest), true
}
