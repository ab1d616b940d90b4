package adapt

import "time"

const (
	// packetBits is one full packet; on slow links its serialization is no queue.
	packetBits = 1200 * 8
	// lowQueue allows the rate to rise, highQueue makes it fall. The jitter of an idle Wi-Fi stays below the first; a
	// person notices the second on top of the rest of the way.
	lowQueue  = 20 * time.Millisecond
	highQueue = 40 * time.Millisecond
	// holdLoss stops the rate from rising, cutLoss makes it fall: GoogCC's thresholds, below which radio links lose on
	// their own.
	holdLoss, cutLoss = 0.02, 0.10
	// fastRise is with a report each 100 ms, slowRise with one a second, nearRise close to where the link was full lately;
	// all per second. Between two reports the rate may not run far into a queue that nobody has seen yet.
	fastRise, slowRise, nearRise = 0.30, 0.15, 0.03
	// After a cut the rate rises by nearRise at first, then by again, then as ever: a link that is full still shows it
	// soon, one that grew must be found again within seconds.
	again    = 0.10
	nearFor  = 5 * time.Second
	againFor = 10 * time.Second
	// settled is the share of what arrives below which a queue that shrinks is left to empty by itself.
	settled = 0.8
	// Loss that comes without any queue is the link's own up to a bound; the thresholds move up by it. It is learned over
	// about 5 seconds of reports.
	ownLossMax, ownLossGain = 0.06, 0.02
	// used is the share of the target that must really be sent for the network, not the screen, to be the limit.
	used = 0.75
)

// law makes the link's target from what is known of the path: the RTT-and-loss law. With transport feedback the queue is
// measured by one-way delay ten times a second, without it by round-trip time once a second.
type law struct {
	min, max  int
	target    float64 // bits per second
	cutAt     time.Time
	reported  time.Time     // when the report before came
	over      int           // reports in a row with a queue
	queue     time.Duration // of the report before
	ownLoss   float64       // the loss that the link has without a queue
	halvedAt  time.Time
	preStall  float64
	lastCause Reason
	// starved is set while the encoder shows that it could use more than it has: then what it leaves of its target, as
	// encoders with small buffers do, is no sign of a quiet screen.
	starved bool
}

func (l *law) onFeedback(now time.Time, p *path) {
	loss, queue := p.loss(now), p.queue
	serialization := time.Duration(packetBits / l.target * float64(time.Second))
	high := max(highQueue, 5*serialization/2)
	low := max(lowQueue, 5*serialization/4)

	if queue > high {
		l.over++
	} else {
		l.over = 0
	}
	if queue <= low {
		l.ownLoss += (min(loss, ownLossMax) - l.ownLoss) * ownLossGain
	}
	wait := p.rtt + 50*time.Millisecond // until the last cut can show
	if !p.transport() {
		wait = time.Second
	}
	emptying := p.transport() && queue < l.queue && l.target < settled*float64(p.received(now))
	l.queue = queue
	switch {
	case (l.over >= 2 || queue > 2*high || l.over >= 1 && !p.transport()) && now.Sub(l.cutAt) >= wait:
		if !emptying {
			l.cut(now, p, 1-min(0.5, max(0.15, queue.Seconds()/0.5)), ReasonQueueDelay)
		}
	case loss > cutLoss+1.5*l.ownLoss && now.Sub(l.cutAt) >= max(wait, 300*time.Millisecond):
		l.cut(now, p, 1-loss/2, ReasonLoss)
	case queue <= low && loss < holdLoss+2*l.ownLoss && l.networkLimited(now, p):
		l.raise(now, p)
	}
	l.reported = now
	l.target = min(max(l.target, float64(l.min)), float64(l.max))
}

func (l *law) cut(now time.Time, p *path, factor float64, why Reason) {
	next := l.target * factor
	if received := float64(p.received(now)); received > 0 && p.transport() {
		// A queue means that what arrives is what the link can do. Below half of it there is nothing to gain.
		next = min(max(min(next, 0.95*received), received/2), l.target)
	}
	l.target, l.cutAt, l.lastCause = next, now, why
}

func (l *law) raise(now time.Time, p *path) {
	step := now.Sub(l.reported).Seconds()
	rise := slowRise
	if p.transport() {
		rise = fastRise
		step = min(step, 0.25)
	}
	step = min(max(step, 0), 1.5)
	switch {
	case l.cutAt.IsZero():
	case now.Sub(l.cutAt) < nearFor:
		rise = nearRise
	case now.Sub(l.cutAt) < againFor:
		rise = again
	}
	l.target *= 1 + rise*step
}

// networkLimited tells whether about as much is sent as the network was believed to take. A quiet screen says nothing about
// the network, so that the target then stays as it is.
func (l *law) networkLimited(now time.Time, p *path) bool {
	return l.starved || float64(p.sentRate(now)) >= used*l.target
}

// onSilence halves the target for as long as the viewer does not answer, and gives part of it back when it does.
func (l *law) onSilence(now time.Time) {
	if l.preStall == 0 {
		l.preStall = l.target
	}
	if now.Sub(l.halvedAt) >= silenceStep {
		l.target, l.halvedAt = max(l.target/2, float64(l.min)), now
	}
}

func (l *law) onHeardAgain() {
	if l.preStall > 0 {
		l.target = max(l.target, min(0.6*l.preStall, float64(l.max)))
		l.preStall = 0
	}
}
