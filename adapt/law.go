package adapt

import (
	"math"
	"time"

	"wavryhost/adapt/path"
	"wavryhost/adapt/tuning"
)

// sources say what each form of feedback is worth: whether a sample is one round trip, which has the jitter of both
// ways, and the evidence that a fall takes: so many samples in a row, for so long, with such a growth. A drain ends
// after so many samples with a short queue.
var sources = [path.Echo + 1]struct {
	coarse  bool
	samples int
	lasting time.Duration
	growth  float64
	settled int
}{
	path.TWCC: {false, tuning.EvidenceSamples, tuning.EvidenceFor, math.Inf(-1), tuning.EvidenceSamples},
	path.CCFB: {false, tuning.EvidenceSamples, tuning.EvidenceFor, math.Inf(-1), tuning.EvidenceSamples},
	path.RR:   {true, 1, 0, math.Inf(-1), 1},
	path.NACK: {true, 1, 0, math.Inf(-1), 1},
	path.Echo: {true, tuning.EvidenceSamples, 0, tuning.SteepGrowth, 1},
}

// proposal is what one part of the law allows: a rate in bits per second, for a reason, until a time.
type proposal struct {
	rate   float64
	reason Reason
	until  time.Time
}

// part is a part of the law that limits the rate.
type part int

const (
	queueing part = iota // the standing queue
	losing               // lost packets
	resting              // a policer
	breaking             // the circuit breaker
	silent               // a viewer that does not answer
	parts
)

// law makes the target from samples of the path, whatever form of feedback they come from.
//
// Each part of it makes a proposal, and decide takes the least. The standing queue decides first: above a threshold
// the target falls below what arrives, so that the queue empties, and returns to just under the capacity seen then;
// below it the target rises, fast where nothing is known, slowly near the capacity known. Loss without a queue is
// judged by trying: it is congestion, unless several cuts did not cure it. Where others fill the queue, the law shares
// it with them.
type law struct {
	min, max int
	fixed    int // the rate, whatever happens; 0 for none
	prefer   Aggressiveness

	target  float64 // bits per second
	reason  Reason  // of the newest cut
	limits  [parts]proposal
	begun   time.Time // when the first sample came
	sampled time.Time // when the newest one came
	cutAt   time.Time

	over      int       // samples in a row with a queue,
	overSince time.Time // and since when
	under     int       // samples in a row without a queue
	pausedAt  time.Time // when a pause of the path was seen last,
	paused    time.Duration

	capacity capacity
	drain    drain
	sharing  sharing
	losses   losses

	halvedAt time.Time
	preStall float64 // the target before a silence, 0 when there is none
	// starved is set while the encoder shows that it could use more than it has: then what it leaves of its target, as
	// encoders with small buffers do, is no sign of a quiet screen.
	starved    bool
	oversizeAt time.Time // when the encoder last made a picture larger than was asked for
	gatedAt    time.Time // when frames were last held back for what is on its way
}

// drain is the time from a cut until the queue is gone.
type drain struct {
	on      bool
	from    float64 // the target before it
	since   time.Time
	emptyAt time.Time // when the queue will have emptied, where no sample will tell in time; zero otherwise
	shortAt time.Time // when the queue was short last
	fell    bool      // the rate is as low as a queue of one's own does not survive
	// mark is the longest queue since it last became shorter by a step, at markAt.
	mark     time.Duration
	markAt   time.Time
	sudden   bool     // the path had become much slower at once
	fastest  float64  // that packets arrived since
	capacity capacity // as it was known before
}

// onSample is the law: it takes in the news of one report.
func (l *law) onSample(s *path.Sample, p *path.Path) {
	if l.begun.IsZero() {
		l.begun = s.At
	}
	low, high := l.thresholds(s.Kind)
	l.watchQueue(s, low, high)
	if l.sharing.on {
		l.share(s, p, high)
		return
	}
	if back := l.drained(s, p); back > 0 {
		l.decide(s.At, back)
	}
	if l.sharing.on {
		return
	}
	limited := l.networkLimited(s.At, p)
	if limited && s.Kind != path.Echo {
		l.guard(s.At, p.Lately(s.At), s.Arrived)
	}
	up := 0.0
	switch {
	case l.overused(s, high):
		l.overuse(s, p)
	case s.Kind == path.NACK:
	case s.Kind != path.Echo && l.lost(s, p, &up):
	case s.Queue <= low && !l.drain.on && limited:
		up = max(up, l.rise(s, p))
	}
	l.decide(s.At, up)
	l.sampled = s.At
}

// decide writes the target: up, where that is more than it is, but no more than the least of the proposals that hold.
func (l *law) decide(now time.Time, up float64) {
	next := proposal{rate: max(l.target, up), reason: l.reason}
	for _, p := range l.limits {
		if !now.After(p.until) && p.rate < next.rate {
			next = p
		}
	}
	if next.rate < l.target {
		l.reason, l.cutAt = next.reason, now
	}
	l.target = min(max(next.rate, float64(l.min)), float64(l.max))
	if l.fixed != 0 {
		l.target = float64(l.fixed)
	}
}

// step is the time since the sample before, at most so long or a quarter of a second.
func (l *law) step(now time.Time, most time.Duration) float64 {
	return min(max(now.Sub(l.sampled), 0), max(250*time.Millisecond, most)).Seconds()
}

// thresholds returns the queues that let the rate rise and make it fall.
func (l *law) thresholds(kind path.Kind) (low, high time.Duration) {
	rate := l.target
	if l.drain.on || l.sharing.on { // else what others leave at the worst moment would make their queue a short one
		rate = max(rate, l.drain.from)
	}
	packet := path.PacketBits / rate * float64(time.Second)
	queue := float64(tuning.HighQueue)
	switch {
	case sources[kind].coarse || l.prefer == Quality:
		queue *= tuning.CoarseFactor
	case l.prefer == Latency:
		queue *= tuning.LatencyFactor
	}
	if kind.Complete() && l.target > tuning.TightFrom {
		queue *= math.Sqrt(math.Sqrt(tuning.TightFrom / l.target))
	}
	high = time.Duration(max(queue, tuning.HighPackets*packet))
	return high / 2, high
}

// watchQueue collects the evidence for and against a queue.
func (l *law) watchQueue(s *path.Sample, low, high time.Duration) {
	if s.Paused > 0 {
		l.pausedAt, l.paused = s.At, s.Paused
	}
	q := s.Queue
	if q > high {
		l.losses.queuedAt = s.At
	}
	if q > high || q > low && s.Growth > tuning.SteepGrowth {
		if l.over == 0 {
			l.overSince = l.sampled
		}
		l.over++
	} else {
		l.over = 0
	}
	if q < low {
		l.under++
	} else {
		l.under = 0
	}
	d := &l.drain
	if !d.on {
		return
	}
	if q < low {
		d.shortAt = s.At
	}
	d.mark = max(d.mark, q)
	if !d.fell && l.target <= max(tuning.DeepShare*d.from, float64(l.min)/tuning.DeepShare) {
		d.fell, d.mark, d.markAt = true, q, s.At
	}
	if q < time.Duration(tuning.DrainStep*float64(d.mark)) {
		d.mark, d.markAt = q, s.At
	}
	d.fastest = max(d.fastest, s.Newest)
}

// drained ends a drain when the queue is gone, and returns the rate to return to then; 0 when it is not gone.
func (l *law) drained(s *path.Sample, p *path.Path) float64 {
	d := &l.drain
	if !d.on {
		return 0
	}
	settled := l.under >= sources[s.Kind].settled
	paused := s.Paused > 0 && d.since.After(s.At.Add(-s.Paused-p.RTT-tuning.EvidenceFor))
	switch {
	case paused || settled && d.sudden && d.fastest >= tuning.FasterFactor*d.from:
		l.endDrain()
		l.capacity = d.capacity // the queue was what waited while the path paused
		return d.from
	case settled:
		l.endDrain()
		return l.emptied(s.Arrived)
	case l.sharingFound(s.At):
		l.beginSharing(s.At, s.Queue)
	}
	return 0
}

func (l *law) endDrain() {
	l.drain.on, l.drain.emptyAt = false, time.Time{}
	l.limits[queueing] = proposal{}
}

// emptied returns the rate that the path can take after a drain. received is what arrives, 0 when unknown.
func (l *law) emptied(received float64) float64 {
	return min(max(tuning.ReturnShare*l.capacity.rate, tuning.MarginShare*received), l.drain.from)
}

// overused reports whether the evidence for a queue of one's own suffices for a cut.
func (l *law) overused(s *path.Sample, high time.Duration) bool {
	source := &sources[s.Kind]
	switch {
	case s.Kind == path.NACK:
		return s.From.After(l.losses.overflowAt) && s.Count.Apart() >= 2*l.losses.believed && s.Arrived < l.target
	case s.Kind == path.Echo && s.From.Before(l.cutAt):
		return false
	case l.over >= source.samples && s.At.Sub(l.overSince) >= source.lasting && s.Growth > source.growth:
		return s.Kind.Complete() || s.Queue > high
	case !s.Kind.Complete():
		return false
	}
	soars := l.over == 1 && s.Growth > tuning.SoaringGrowth
	return soars || s.Queue > 2*high || s.Tail > time.Duration(tuning.SuddenTail*float64(high))
}

// overuse proposes a rate below what arrives.
func (l *law) overuse(s *path.Sample, p *path.Path) {
	now, received := s.At, s.Arrived
	if now.Sub(l.pausedAt) < p.RTT+tuning.EvidenceFor && max(s.Queue, s.Tail) < l.paused+tuning.HighQueue/2 {
		return // it is what waited while the path paused
	}
	if !l.networkLimited(now, p) && received >= tuning.WholeShare*s.Sent {
		return // all of the little that is sent arrives: it says nothing of the capacity, and the queue is not ours
	}
	before := l.capacity
	if received > 0 {
		l.capacity.learn(now, received)
		if _, rate, ok := p.Trains(now); ok {
			l.capacity.divided(rate)
		}
		if !s.Sure {
			l.capacity.at = time.Time{} // it counts for the return alone
		}
	}
	if s.Newest > 0 && s.Growth > tuning.SoaringGrowth {
		received = min(received, s.Newest) // what arrived before a sudden fall says nothing of now
	}
	if s.Kind.Complete() && now.Sub(l.cutAt) < p.RTT+tuning.Reaction {
		return // it cannot show yet
	}
	if d := &l.drain; !d.on {
		*d = drain{on: true, from: l.target, since: now, mark: s.Queue, markAt: now, capacity: before}
		d.sudden = s.Newest > 0 && s.Newest < tuning.HalfShare*l.target
	}
	if received == 0 {
		received = l.target
	}
	waits := max(s.Queue, s.Tail/2)
	if !s.Kind.Complete() { // what is on its way beyond what the path holds without a queue waits in one
		waits = max(waits, time.Duration(float64(p.Inflight())*8/received*float64(time.Second))-p.MinRTT())
	}
	next := tuning.MarginShare * received * (1 - min(0.5, waits.Seconds()/tuning.EmptyQueue.Seconds()))
	if !s.Kind.Complete() {
		empties := waits.Seconds() / (1 - next/received)
		l.drain.emptyAt = now.Add(time.Duration(min(empties, tuning.Patience.Seconds()) * float64(time.Second)))
	}
	why := ReasonQueueDelay
	switch {
	case s.Kind == path.NACK:
		why, l.losses.overflowAt = ReasonLoss, now
	case !l.oversizeAt.IsZero() && now.Sub(l.oversizeAt) < tuning.RecentFor:
		why = ReasonEncoderOvershoot
	}
	l.limits[queueing] = proposal{rate: min(next, l.target), reason: why, until: now.Add(time.Hour)}
}

// plan is the law between samples: it ends a drain when the queue must have emptied, where a sample that would tell so
// is a second away, and takes the absence of a sample as one.
func (l *law) plan(now time.Time, p *path.Path) {
	if p.Complete() {
		return
	}
	_, high := l.thresholds(path.Echo)
	if s, overdue := p.Overdue(now, high); overdue {
		if !l.drain.on && !l.sharing.on && s.From.After(l.cutAt) && l.networkLimited(now, p) {
			l.losses.queuedAt = now
			l.overuse(&s, p)
			l.decide(now, 0)
		}
		return
	}
	at := l.drain.emptyAt
	if !l.drain.on || at.IsZero() || now.Before(at) || p.Stands(now, high) && now.Sub(l.drain.since) < tuning.Patience {
		return
	}
	p.Queue = 0 // as far as is known; the drain ends with a sample that says so
	l.drain.emptyAt, l.limits[queueing] = time.Time{}, proposal{}
	l.decide(now, l.emptied(0))
}

// networkLimited reports whether about as much is sent as the network was believed to take. A quiet screen says
// nothing about the network, so that the target then stays as it is.
func (l *law) networkLimited(now time.Time, p *path.Path) bool {
	return l.starved || now.Sub(l.gatedAt) < tuning.RecentFor || p.SentRate(now) >= tuning.UsedShare*l.target
}

// onSilence halves the target for as long as the viewer does not answer.
func (l *law) onSilence(now time.Time) {
	if l.preStall == 0 {
		l.preStall = l.target
	}
	if now.Sub(l.halvedAt) >= tuning.SilenceAfter {
		l.halvedAt = now
		l.limits[silent] = proposal{rate: l.target / 2, reason: l.reason, until: now}
		l.decide(now, 0)
	}
}

// onHeardAgain gives part of the rate back when the viewer answers again.
func (l *law) onHeardAgain(now time.Time, stalled bool) {
	share := tuning.MarginShare
	if stalled {
		share = tuning.DeepShare
	}
	back := share * l.preStall
	l.preStall = 0
	l.endDrain()
	l.losses.judgeAt = time.Time{}
	l.limits = [parts]proposal{}
	l.decide(now, back)
}
