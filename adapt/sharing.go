package adapt

import (
	"time"

	"wavryhost/adapt/hold"
	"wavryhost/adapt/path"
)

const (
	// sharingAfter is how long a queue must stand after the rate fell to sharingFell of what it was, for others to
	// fill it. Before that it is one's own as well as theirs.
	sharingAfter = 2500 * time.Millisecond
	sharingFell  = 0.6
	// othersGone is how long the queue must be gone for the others to have gone: TCP leaves a trough after each loss.
	othersGone = 1500 * time.Millisecond
	// sharingLoss is the loss at which a shared queue is given way to: a second has a single overflow in it, of few
	// packets.
	sharingLoss = 0.004
	// drainStep is how much shorter a queue must have become to count as emptying. Where other flows have most of a
	// link, a cut of our own empties the queue slowly.
	drainStep = 0.7
	// The queue accepted is sharingQueue times the longest of the last sharingMemory, at most a cap by preference:
	// beyond it a remote desktop is not usable, whatever its rate.
	sharingQueue  = 1.25
	sharingMemory = 2 * time.Second
	// sharingRise is the least rise per second, sharingCut what is left after a loss, and sharingYield after a queue
	// beyond what is accepted.
	sharingRise  = 0.05
	sharingCut   = 0.85
	sharingYield = 0.9
)

// sharing is the state in which others hold the queue: TCP, which yields to loss alone.
type sharing struct {
	on    bool
	top   time.Duration // the longest queue lately
	cutAt time.Time
	quiet hold.Timer // the queue is gone
}

// accepted is the longest queue that is shared.
func (l *law) accepted() time.Duration {
	switch l.prefer {
	case Latency:
		return 150 * time.Millisecond
	case Quality:
		return 600 * time.Millisecond // GoogCC's highest threshold
	case Balanced:
	}
	return 400 * time.Millisecond // SCReAM's, RFC 8298
}

func (l *law) sharingFound(now time.Time) bool {
	d := &l.drain
	return d.fell && now.Sub(d.markAt) > sharingAfter && now.Sub(d.shortAt) > sharingAfter
}

func (l *law) beginSharing(now time.Time, queue time.Duration) {
	l.endDrain()
	l.limits = [parts]proposal{}
	l.sharing = sharing{on: true, top: queue, cutAt: now}
	l.reason = ReasonCompetingTraffic
}

// goal is the queue accepted at the moment, 0 where nothing is shared.
func (l *law) goal() time.Duration {
	if !l.sharing.on {
		return 0
	}
	return min(time.Duration(sharingQueue*float64(l.sharing.top)), l.accepted())
}

// share shares a queue that others fill, as TCP does: by additive increase and a cut at loss.
func (l *law) share(s *path.Sample, p *path.Path, high time.Duration) {
	r, now := &l.sharing, s.At
	step := l.step(now, 3*p.Interval/2)
	l.sampled = now
	r.top = max(s.Queue, r.top-time.Duration(float64(r.top)*min(1, step/sharingMemory.Seconds())))
	if s.Fresh && r.quiet.Held(now, s.Queue < high/2, othersGone) {
		l.sharing = sharing{}
		l.capacity.at = time.Time{} // with the others gone, what is known of the path is out of date
		l.reason = ReasonQueueDelay
		return
	}
	next, c := l.target, p.Lately(now)
	if !s.Kind.Complete() {
		c = p.JustNow(now) // a report covers more time than a cut needs to show
	}
	switch {
	case s.Queue > l.goal():
		if now.Sub(r.cutAt) > p.RTT+reaction {
			next, r.cutAt = sharingYield*l.target, now
		}
	case c.Packets >= path.LossPackets && c.Loss() > max(sharingLoss, l.losses.believed):
		if now.Sub(r.cutAt) > p.RTT+path.LossWindow {
			next, r.cutAt = sharingCut*l.target, now
		}
	case l.networkLimited(now, p) && s.Kind != path.NACK:
		round := max(p.RTT+reaction, p.Interval).Seconds()
		next += max(path.PacketBits/round/round, sharingRise*l.target) * step
	}
	if next < l.target {
		l.limits[queueing] = proposal{rate: next, reason: ReasonCompetingTraffic, until: now}
	}
	l.decide(now, next)
	l.reason = ReasonCompetingTraffic
}
