package adapt

import (
	"math"
	"time"
)

const (
	// packetBits is one full packet; on slow links its serialization is no queue.
	packetBits = 1200 * 8
	// lowQueue allows the rate to rise, highQueue makes it fall. The jitter of an idle Wi-Fi stays below the first; a
	// person notices the second on top of the rest of the way. lowPackets and highPackets are the same in packets, for
	// links so slow that a single packet takes longer.
	lowQueue, highQueue     = 12 * time.Millisecond, 25 * time.Millisecond
	lowPackets, highPackets = 1.25, 2.5
	// tightFrom is from where both shrink, as the fourth root of the rate: at 16 times as much they are half. A larger flow has more
	// packets in each report, so that the smallest delay of a report says more; a shorter queue is what a desktop is for; and of flows
	// that share a path the largest is the first to give way.
	tightFrom = 1_000_000
	// steep is the growth of the queue, in seconds per second, that a queue above lowQueue need not wait for highQueue with.
	steep = 0.06
	// soaring is a growth that no second report is waited for with: over three reports jitter does not look like it, and where the
	// capacity falls to a third each report of waiting is a report of losses.
	soaring = 0.1
	// sudden is how many times highQueue the end of a report must have met for a cut at once: a frame, which leaves in half its time,
	// makes less at 30 a second.
	sudden = 3
	// thresholdShare: a rate that fell further than to this part of what it was makes no longer packets of the path's.
	thresholdShare = 4
	// overFor is how long a queue above the threshold must be seen: two reports of 100 ms, or three of 50.
	overFor = 140 * time.Millisecond
	// suddenShare is the share of the target that arrives at most where the path has become slower at once.
	suddenShare = 0.5
	// pauseFor is how long after a pause a queue may still be what waited.
	pauseFor = 150 * time.Millisecond
	// reaction is what the viewer and the encoder take on top of a round trip until a cut can show.
	reaction = 50 * time.Millisecond
	// A cut goes below what arrives by cutShare, and further the longer the queue is, so that it empties: all of what
	// arrives would be given up for a queue of emptyQueue, but never more than half.
	cutShare   = 0.95
	emptyQueue = 600 * time.Millisecond
	// lagging is the share of the target below which what arrives calls for another cut at once.
	lagging = 0.7
	// settled is how many reports with a short queue end a drain; the rate then returns to returnShare of the capacity.
	settled     = 2
	returnShare = 0.92
	// Above returnFrom more is given up, as the fourth root of the capacity seen: of flows that share a path the larger one gives the most.
	returnFrom = 4_000_000
	// returnMost bounds it by what arrives at the end of the drain, which is half of the capacity or more where that still is what it was.
	// Where it fell to a tenth, what was learnt first is mostly what arrived before the fall.
	returnMost = 1.5
	// used is the share of the target that must really be sent for the network, not the screen, to be the limit.
	used = 0.75
	// lag is the share of what is sent that must arrive for a queue to be somebody else's.
	lag = 0.9
	// The capacity that was seen at the last overuse counts for capacityFor. Near it, from nearFrom below to three
	// deviations (nearLeast at least, and nearMost at most: a link that has changed leaves a deviation that says nothing) above, the rate is
	// raised carefully: by nearRise per second, and by half a packet each nearEvery, which is a round trip of 100 ms and the reaction, at
	// the least and by a packet at the most. TCP's step per round trip would give the most of a path to whom it is shortest for, and a
	// rise by a share of the rate alone keeps flows as unequal as they are: cuts are a share too. What is added alike brings them together.
	// A rate so large that this takes minutes rises by nearSlowest. nearShared is the part of the rate that the others' share adds to.
	capacityFor  = 30 * time.Second
	capacityGain = 0.3
	nearFrom     = 0.85
	nearLeast    = 0.05
	nearMost     = 0.25
	nearRise     = 0.03
	nearShared   = 0.02
	nearSlowest  = 0.005
	nearEvery    = 120 * time.Millisecond
	// othersRise is added to nearRise for the square of the share of others, as long as there is no queue at all: the smaller
	// flow's rate then grows by more bits per second than the larger one's. Flows that share fairly do it together:
	// othersMost of the path per second is highQueue too much in the 0.7 s that noticing takes.
	othersRise, othersMost = 0.1, 0.1
	// newFor is how long a flow is new. What a new flow is left of a path tells it little of its share, and of those that were there
	// before it knows nothing: until then it rises near the capacity known by othersMost.
	newFor = 15 * time.Second
	// yieldsFrom to yieldsTo is how much less than the most of the last capacityFor must arrive at an overuse, and by more than
	// yieldsSure deviations, for others to have come: a new flow takes a part; where more than that is gone it is the link. Who was
	// there then makes room: it falls to yieldShare of what arrives, though not below yieldLeast of the most, which is what three
	// leave a fourth, and stays there for yieldsFor, in which a new flow takes what is free. When as much as before (yieldTaken)
	// arrives at the next overuse nobody wanted it, and the link itself has become smaller.
	yieldsFrom, yieldsTo, yieldsSure = 0.05, 0.35, 2.0
	yieldShare, yieldLeast           = 0.85, 0.75
	yieldsFor                        = 1500 * time.Millisecond
	yieldTaken                       = 0.95
	// othersGain is that of the share of others. It changes with each who comes or goes, and a cut brings few samples. A train
	// is one as far as it left faster than what arrives, by othersRoom at least, and counts fully from twice that on.
	othersGain = 0.7
	othersRoom = 0.25
	// rampQueue bounds the queue that a ramp may build until it is seen: RFC 8698, section 4.3, QBOUND, with its filter
	// time and half its gain.
	rampQueue  = 50 * time.Millisecond
	rampFilter = 120 * time.Millisecond
	rampMost   = 0.5
	rampStep   = 100 * time.Millisecond
	// roomy is how much faster than the target, and than when the path was full last, frames must arrive for the path to have
	// become wider, and roomyAfter how long the last cut must be ago.
	roomy      = 1.25
	roomyAfter = 500 * time.Millisecond
	// oversizeFor is how long a picture that is larger than was asked for is the likeliest reason of a queue: as long as a second of
	// compare, and the drain after it.
	oversizeFor = time.Second
	// gatedFor is how long after frames were held back it is not the screen that sends little.
	gatedFor = time.Second
	// starvedMost is how far above what is sent the target may be while the encoder leaves much of it, and wants more.
	starvedMost = 2.5
	// returnAfterOutage is what of its rate a path gets back when it is heard again; after a short silence it is mostly the
	// same path, and gets what a cut would have left it.
	returnAfterOutage, returnAfterSilence = 0.6, cutShare
)

// law makes the link's target from what is known of the path.
//
// With transport feedback the standing queue decides: above a threshold the target falls below what arrives, so that the queue
// empties, and returns to just under the capacity seen then; below it the target rises, fast where nothing is known or frames
// get through faster than they must, slowly near the capacity known. Loss without a queue is judged by trying: it is a limit
// when sending less cures it, else the link's own. A queue that others fill is competed in. With receiver reports alone the
// round-trip time takes the place of the queue.
type law struct {
	min, max  int
	fixed     int // the rate, whatever happens; 0 for none
	prefer    Aggressiveness
	target    float64 // bits per second
	cutAt     time.Time
	reported  time.Time // when the report before came
	over      int       // reports in a row with a queue
	overSince time.Time // what the first of them tells of
	under     int       // and without one
	halvedAt  time.Time
	preStall  float64
	lastCause Reason
	// starved is set while the encoder shows that it could use more than it has: then what it leaves of its target, as
	// encoders with small buffers do, is no sign of a quiet screen.
	starved    bool
	oversizeAt time.Time // when the encoder made a picture larger than was asked for, last
	gatedAt    time.Time // when frames were held back for what is on its way, last

	capacity, variance float64 // seen at overuse, in bits per second and its square
	capacityAt         time.Time
	others             float64 // the share of a full path that goes to others, as far as trains tell
	othersAt           time.Time
	full               float64   // at which frames arrived then; other flows' packets are among theirs
	begun              time.Time // when the first report came
	room               room
	drain              drain
	rivals             rivals
	losses             losses
	reports            byReports
}

// room is what is left to others that seem to have come.
type room struct {
	most    float64 // the capacity seen lately, at its highest, at mostAt
	mostAt  time.Time
	yielded float64   // what arrived when room was made, until it is known whether somebody took it
	until   time.Time // when the rate may rise again
}

// drain is the time from a cut until the queue is gone.
type drain struct {
	on      bool
	from    float64 // the target before it
	since   time.Time
	shortAt time.Time // when the queue was below highQueue last
	fell    bool      // the rate is as low as a queue of one's own does not survive
	// mark is the longest queue since it had last become shorter by a step, at markAt.
	mark    time.Duration
	markAt  time.Time
	sudden  bool    // the path had become much slower at once
	fastest float64 // that packets arrived since
	// The capacity as it was known before.
	capacity, variance float64
	capacityAt         time.Time
}

func (l *law) onFeedback(now time.Time, p *path) {
	switch {
	case p.transport():
		l.onTransport(now, p)
	case p.kind == NACK:
		l.onMissing(now, p)
		l.clamp()
		return
	case p.kind == Echo:
		l.onEcho(now, p)
		l.clamp()
		return
	default:
		l.onReceiverReport(now, p)
	}
	l.reported = now
	l.clamp()
}

func (l *law) clamp() {
	l.target = min(max(l.target, float64(l.min)), float64(l.max))
	if l.fixed != 0 {
		l.target = float64(l.fixed)
	}
}

// thresholds returns the queues that let the rate rise and make it fall.
func (l *law) thresholds() (low, high time.Duration) {
	packet := packetBits / max(l.target, l.drain.from/thresholdShare) * float64(time.Second)
	low, high = lowQueue, highQueue
	switch l.prefer {
	case Latency:
		high = 20 * time.Millisecond
	case Quality:
		high = 40 * time.Millisecond
	case Balanced:
	}
	if l.target > tightFrom {
		tight := math.Sqrt(math.Sqrt(tightFrom / l.target))
		low, high = time.Duration(float64(low)*tight), time.Duration(float64(high)*tight)
	}
	return max(low, time.Duration(lowPackets*packet)), max(high, time.Duration(highPackets*packet))
}

func (l *law) onTransport(now time.Time, p *path) {
	if l.begun.IsZero() {
		l.begun = now
	}
	low, high := l.thresholds()
	d, sent := p.queue, p.sentRate(now)
	// What arrives cannot be faster for long than what is sent; a receiver that says so is wrong.
	received := min(p.received(), 2*max(sent, l.target))
	if d > high {
		l.losses.queuedAt = now
	}
	if d > high || d > low && p.slope() > steep {
		if l.over == 0 {
			l.overSince = l.reported
		}
		l.over++
	} else {
		l.over = 0
	}
	if d < low {
		l.under++
	} else {
		l.under = 0
	}
	if l.rivals.on {
		l.compete(now, p, high)
		return
	}
	if l.drain.on {
		if d < highQueue {
			l.drain.shortAt = now
		}
		l.drain.mark = max(l.drain.mark, d)
		if !l.drain.fell && l.target <= max(rivalsShare*l.drain.from, float64(l.min)/rivalsShare) {
			l.drain.fell, l.drain.mark, l.drain.markAt = true, d, now
		}
		if d < time.Duration(drainStep*float64(l.drain.mark)) {
			l.drain.mark, l.drain.markAt = d, now
		}
		l.drain.fastest = max(l.drain.fastest, p.arrivals.newest())
		switch {
		case l.under >= settled && l.drain.sudden && l.drain.fastest >= pauseRate*l.drain.from:
			l.resume()
		case l.under >= settled:
			l.drain.on = false
			back := 1 - (1-returnShare)*max(1, math.Sqrt(math.Sqrt(l.capacity/returnFrom)))
			share := back + (1-back)*l.others // who has little of a path gives up less of it
			if now.Before(l.room.until) {
				share = yieldShare
			}
			l.target = max(l.target, min(share*l.capacity, l.drain.from, returnMost*received))
		case l.rivalsFound(now):
			l.meetRivals(now, d)
			return
		}
	}
	if l.networkLimited(now, p) {
		lately, _ := p.reported.sum(now, rateWindow)
		l.guard(now, float64(lately.lost)/float64(max(1, lately.packets)), lately.packets, received)
	}
	if d := &l.drain; d.on && now.Equal(p.pausedAt) && d.since.After(now.Add(-p.paused-p.rtt-pauseFor)) {
		l.resume()
	}
	switch {
	case l.over >= 2 && now.Sub(l.overSince) >= overFor || l.over == 1 && p.slope() > soaring || d > 2*high || p.late > sudden*high:
		l.overuse(now, p, received, sent)
	case l.onLoss(now, p, received, sent):
	case d <= low && !l.drain.on && l.networkLimited(now, p):
		l.raise(now, p, received, sent, 1-d.Seconds()/low.Seconds())
	}
}

// resume takes a cut back, and what was learnt by it: the queue was what waited while the path paused.
func (l *law) resume() {
	d := &l.drain
	l.target, d.on = max(l.target, d.from), false
	l.capacity, l.capacityAt, l.variance = d.capacity, d.capacityAt, d.variance
}

// pausing reports whether the queue is what waited while the path paused.
func (p *path) pausing(now time.Time) bool {
	return now.Sub(p.pausedAt) < p.rtt+pauseFor && max(p.queue, p.late) < p.paused+lowQueue
}

// overuse cuts the target below what arrives.
func (l *law) overuse(now time.Time, p *path, received, sent float64) {
	if p.pausing(now) {
		return
	}
	if !l.networkLimited(now, p) && received >= lag*sent {
		return // all of the little that is sent arrives: it says nothing of the capacity, and the queue is not ours
	}
	before := drain{capacity: l.capacity, variance: l.variance, capacityAt: l.capacityAt}
	yields := false
	if received > 0 {
		yields = l.othersCame(now, p, received)
		l.learn(now, received)
		if l.capacity > l.room.most || now.Sub(l.room.mostAt) > capacityFor {
			l.room.most, l.room.mostAt = l.capacity, now
		}
		if left, rate, ok := p.trains(now); ok {
			l.divide(now, received, left, rate)
			if l.full == 0 || math.Abs(rate-l.full) > 0.3*l.full {
				l.full = rate
			}
			l.full += capacityGain * (rate - l.full)
		}
	}
	if newest := p.arrivals.newest(); newest > 0 && p.slope() > soaring {
		received = min(received, newest) // what arrived before a sudden fall says nothing of now
	}
	if now.Sub(l.cutAt) < p.rtt+reaction && received >= lagging*l.target {
		return
	}
	if !l.drain.on {
		before.on, before.from, before.since, before.mark, before.markAt = true, l.target, now, p.queue, now
		newest := p.arrivals.newest()
		before.sudden = newest > 0 && newest < suddenShare*l.target
		l.drain = before
	}
	next := nearFrom * l.target
	if received > 0 {
		queue := max(p.queue, p.late/2)
		next = cutShare * received * (1 - min(0.5, queue.Seconds()/emptyQueue.Seconds()))
		if yields {
			next = min(next, max(yieldShare*received, yieldLeast*l.room.most))
			l.room.yielded, l.room.until = received, now.Add(yieldsFor)
		}
	}
	if next < l.target {
		l.target, l.cutAt, l.lastCause = next, now, ReasonQueueDelay
		if !l.oversizeAt.IsZero() && now.Sub(l.oversizeAt) < oversizeFor {
			l.lastCause = ReasonEncoderOvershoot
		}
	}
}

// othersCame tells whether so much less arrives than lately that it is others who have the rest, before it is learnt. It may be one's own rate that is less,
// after a cut: the room that is made then goes to those one shares the path with all the same.
func (l *law) othersCame(now time.Time, p *path, received float64) bool {
	r := &l.room
	if r.yielded > 0 && !l.drain.on {
		taken := received < yieldTaken*r.yielded
		r.yielded = 0
		if !taken {
			r.most = 0
		}
	}
	if r.most == 0 || now.Sub(l.begun) < newFor || p.loss(now) >= holdLoss { // what is lost does not arrive either
		return false
	}
	less := r.most - received
	return less > max(yieldsFrom*r.most, yieldsSure*l.deviation()) && less < yieldsTo*r.most
}

// learn takes in a capacity that was seen. One that is far off the one known replaces it: the link has changed.
func (l *law) learn(now time.Time, rate float64) {
	off := rate - l.capacity
	if l.capacity == 0 || now.Sub(l.capacityAt) > capacityFor || math.Abs(off) > max(l.spread(), 0.2*l.capacity) {
		l.capacity, l.variance = rate, 0
	} else {
		l.capacity += capacityGain * off
		l.variance += capacityGain * (off*off - l.variance)
	}
	l.capacityAt = now
}

// divide learns how much of the full path others have. Trains that leave at a rate s arrive at r: the path serves them and the
// others in turn, so that r/s is c/(s+o), where c is all that it serves and o what others send. While it is full o is c less
// what arrives here, x, and the others' share o/c is (1-x/r)/(1-x/s).
func (l *law) divide(now time.Time, received, left, rate float64) {
	room := 1 - received/left
	if room < othersRoom {
		return
	}
	gain := othersGain * min(1, room/(2*othersRoom))
	if l.othersAt.IsZero() || now.Sub(l.othersAt) > capacityFor {
		gain = 1
	}
	share := min(max((1-received/max(rate, 1))/room, 0), 1)
	l.others += gain * (share - l.others)
	l.othersAt = now
}

func (l *law) deviation() float64 { return math.Sqrt(l.variance) }

// spread is how far around the capacity known what is seen of it lies.
func (l *law) spread() float64 {
	return min(max(3*l.deviation(), nearLeast*l.capacity), nearMost*l.capacity)
}

// raise lets the target rise. free is 1 where there is no queue, and 0 where there is as much as a rise is allowed with.
func (l *law) raise(now time.Time, p *path, received, sent, free float64) {
	step := min(max(now.Sub(l.reported), 0), 250*time.Millisecond)
	if now.Before(l.room.until) {
		return
	}
	gain := min(rampMost, rampQueue.Seconds()/(p.rtt+p.interval+rampFilter).Seconds())
	if now.Before(l.losses.policed) { // frames get through a policer faster than it lets them for long
		l.target += (policedRise*l.target + policedStep) * step.Seconds()
		return
	}
	trainSent, trainReceived, ok := p.trains(now)
	wide := ok && now.Sub(l.cutAt) > roomyAfter && trainReceived >= roomy*l.target
	if l.full > 0 {
		wide = wide && trainReceived >= roomy*l.full
	} else {
		wide = wide && trainReceived >= dispersed*trainSent
	}
	narrow := math.Inf(1) // what the path can do at most, as far as frames tell
	if ok && trainReceived < dispersed*trainSent {
		narrow = trainReceived
	}
	known := l.capacity > 0 && now.Sub(l.capacityAt) < capacityFor
	near := known && !wide && l.target >= nearFrom*l.capacity && l.target <= l.capacity+l.spread()
	if near || l.target >= cutShare*narrow {
		basic := max(min(max(nearRise*l.target, packetBits/2/nearEvery.Seconds()), packetBits/nearEvery.Seconds()), nearSlowest*l.target)
		// Where others have the larger part, more: who has less than they have catches up with them.
		catching := min(basic, nearShared*l.target) + free*othersRise*l.others*l.others*l.target
		if now.Sub(l.begun) < newFor {
			catching = othersMost * l.target
		}
		rise := max(basic, min(catching, othersMost*l.target))
		l.target += rise * step.Seconds()
		return
	}
	next := l.target * (1 + gain/2*step.Seconds()/rampStep.Seconds())
	bound := (1 + gain) * max(received, sent)
	if l.starved {
		bound = max(bound, starvedMost*sent)
	}
	next = min(next, bound, max(l.target, cutShare*narrow))
	if known && !wide && l.target < nearFrom*l.capacity {
		next = min(next, nearFrom*l.capacity*1.01) // from there on carefully
	}
	l.target = max(l.target, next)
}

// networkLimited tells whether about as much is sent as the network was believed to take. A quiet screen says nothing about
// the network, so that the target then stays as it is.
func (l *law) networkLimited(now time.Time, p *path) bool {
	return l.starved || now.Sub(l.gatedAt) < gatedFor || p.sentRate(now) >= used*l.target
}

// onSilence halves the target for as long as the viewer does not answer, and gives part of it back when it does.
func (l *law) onSilence(now time.Time) {
	if l.preStall == 0 {
		l.preStall = l.target
	}
	if now.Sub(l.halvedAt) >= silenceStep {
		l.target, l.halvedAt = l.target/2, now
		l.clamp()
	}
}

func (l *law) onHeardAgain(stalled bool) {
	if l.preStall > 0 {
		share := returnAfterSilence
		if stalled {
			share = returnAfterOutage
		}
		l.target = max(l.target, min(share*l.preStall, float64(l.max)))
		l.preStall = 0
		l.room.most = 0 // the path may be another
		l.drain.on = false
		l.losses.judgeAt = time.Time{}
		l.clamp()
	}
}
