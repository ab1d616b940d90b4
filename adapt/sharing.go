package adapt

import (
	"time"

	"wavryhost/adapt/hold"
	"wavryhost/adapt/path"
	"wavryhost/adapt/tuning"
)

// sharing is the state in which others hold the queue: TCP, which yields to loss alone.
type sharing struct {
	on    bool
	top   time.Duration // the longest queue lately
	cutAt time.Time
	quiet hold.Timer // the queue is gone
	// Others who ignore loss, as BBR does, cause as much of it whatever is cut.
	loss   float64 // at the newest cut
	trials int     // cuts that it has outlasted
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
	return d.fell && now.Sub(d.markAt) > tuning.SharingAfter && now.Sub(d.shortAt) > tuning.SharingAfter
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
	return min(time.Duration(tuning.RoomyFactor*float64(l.sharing.top)), l.accepted())
}

// share shares a queue that others fill, as TCP does: by additive increase and a cut at loss.
func (l *law) share(s *path.Sample, p *path.Path, high time.Duration) {
	r, now := &l.sharing, s.At
	step := l.step(now, 3*p.Interval/2)
	c := p.Lately(now)
	if !s.Kind.Complete() {
		c = p.JustNow(now) // a report covers more time than a cut needs to show
	}
	if c.Packets >= tuning.LossPackets {
		l.fade(now, c.Loss())
	}
	l.sampled = now
	r.top = max(s.Queue, r.top-time.Duration(float64(r.top)*min(1, step/tuning.Lately.Seconds())))
	if s.Fresh && r.quiet.Held(now, s.Queue < high/2, tuning.JudgeAfter) {
		l.sharing = sharing{}
		l.capacity.at = time.Time{} // with the others gone, what is known of the path is out of date
		l.reason = ReasonQueueDelay
		return
	}
	next := l.target
	switch {
	case s.Queue > l.goal():
		if now.Sub(r.cutAt) > p.RTT+tuning.Reaction {
			next, r.cutAt = tuning.YieldShare*l.target, now
		}
	case c.Packets >= tuning.LossPackets && c.Loss() > max(tuning.SharingLoss, l.losses.believed):
		if now.Sub(r.cutAt) > p.RTT+tuning.LossWindow {
			r.cutAt = now
			if !l.outlastShared(now, c.Loss()) {
				next = tuning.NearFrom * l.target
			}
		}
	case l.networkLimited(now, p) && s.Kind != path.NACK:
		round := max(p.RTT+tuning.Reaction, p.Interval).Seconds()
		next += max(path.PacketBits/round/round, tuning.SharingRise*l.target) * step
	}
	if next < l.target {
		l.limits[queueing] = proposal{rate: next, reason: ReasonCompetingTraffic, until: now}
	}
	l.decide(now, next)
	l.reason = ReasonCompetingTraffic
}

// outlastShared takes in that a shared queue loses packets, and reports whether that is to be borne: several cuts in a
// row did not cure it, so that others cause it, and it is believed as a link's own loss is.
func (l *law) outlastShared(now time.Time, loss float64) bool {
	r := &l.sharing
	if loss > tuning.HoldLoss && loss > (1-tuning.HalfShare)*r.loss {
		r.trials++
	} else {
		r.trials = 0
	}
	r.loss = loss
	if r.trials <= tuning.Trials {
		return false
	}
	r.trials = 0
	l.losses.believe(now, loss)
	return loss <= l.losses.believed
}
