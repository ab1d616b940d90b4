package adapt

import (
	"math"
	"time"

	"wavryhost/adapt/hold"
	"wavryhost/adapt/path"
	"wavryhost/adapt/tuning"
)

// losses judges loss.
type losses struct {
	cutAt, judgeAt time.Time  // judgeAt is zero when nothing is to be judged
	before, at     float64    // the target before the cut, and the loss
	trying         bool       // cuts are being made to find the cause
	trials         int        // cuts that the loss has outlasted
	renewing       bool       // what was believed is being proved again
	events         int        // that the loss came in
	swift          bool       // frames arrived faster than everything did
	after          path.Count // what was reported of packets sent after the cut
	rate           float64    // that arrived then
	random         uint64

	believed    float64 // the loss that is taken for the link's own
	believedAt  time.Time
	excessive   hold.Timer // loss beyond breakLoss
	brokenUntil time.Time  // nothing is believed until then
	smoothUntil time.Time  // frames leave more evenly until then
	heldSince   time.Time  // since when loss holds the rate
	queuedAt    time.Time  // when there was a queue last
	overflowAt  time.Time  // when missing packets showed an overflow last
	policedAt   float64    // what arrived when a policer was found
	policed     time.Time  // until when it is known
}

// lost reacts to loss without a queue and reports whether the rate must not rise. up is the rate to return to, where
// the loss proves to be the link's own.
func (l *law) lost(s *path.Sample, p *path.Path, up *float64) bool {
	now, r := s.At, &l.losses
	// The report covers a queue that overflowed, and was cut for.
	if !s.Kind.Complete() && now.Sub(r.queuedAt) < s.Span+p.RTT {
		p.Excuse()
		r.judgeAt, r.trying, l.limits[losing] = time.Time{}, false, proposal{}
		return false
	}
	lately, just := p.Lately(now), p.JustNow(now)
	loss, rest := apart(lately, tuning.LossPackets), p.RTT+tuning.LossWindow
	if recent := apart(just, tuning.LossPackets/2); recent > tuning.HeavyLoss {
		loss, rest = max(loss, recent), p.RTT+2*tuning.Reaction+p.Interval
	}
	l.fade(now, loss)
	*up = l.judge(now, p, loss)
	if s.From.After(r.cutAt.Add(2 * tuning.Reaction)) {
		r.after.Add(s.Count)
	} else if !r.judgeAt.IsZero() { // what was lost before the cut is still being reported
		r.at, r.events = max(r.at, loss), max(r.events, lately.Events)
	}
	own := r.tolerated(lately.Packets)
	hold := loss > max(tuning.HoldLoss, own)
	if hold && r.queueless(now) {
		r.smoothUntil = now.Add(tuning.BelievedFor)
	}
	if !hold {
		r.heldSince = now
	}
	limit := max(tuning.CutLoss, own)
	if now.Sub(r.heldSince) > tuning.Patience {
		limit = max(tuning.HoldLoss, own) // it is time to know
	}
	policed := now.Before(r.policed)
	if policed && s.Arrived > 0 && s.Arrived < tuning.BreakShare*r.policedAt && loss > tuning.HoldLoss {
		// No policer loses anything that far below its rate.
		policed, r.policed, l.limits[resting] = false, time.Time{}, proposal{}
	}
	if policed && r.queueless(now) {
		limit = tuning.HoldLoss
	}
	// At the floor no further cut can help, and would postpone the judgment forever.
	again := loss > tuning.HeavyLoss+deviations(tuning.HeavyLoss, lately.Packets) && r.believed == 0 && r.trials == 0 &&
		!r.renewing && l.target > float64(l.min)
	if loss > limit && lately.Lost-lately.Runs >= tuning.LeastLost && now.Sub(r.cutAt) > rest &&
		(r.judgeAt.IsZero() || again) {
		if !r.trying {
			r.trying, r.before, r.at = true, l.target, loss
			r.events, r.swift = lately.Events, framesSwift(now, p, s.Arrived)
		}
		next := (1 - min(loss, 0.5)) * tuning.MarginShare * min(l.target, max(s.Sent, float64(l.min)))
		why := ReasonLoss
		if policed { // what is retransmitted counts too
			next, why = tuning.YieldShare*s.Arrived*min(1, l.target/max(s.Sent, 1)), ReasonPolicer
			r.policed = now.Add(tuning.BelievedFor)
			l.limits[resting] = proposal{min(next, l.target), why, now.Add(tuning.Patience)}
		}
		l.cutForLoss(now, p, next, s.Arrived, why)
		return true
	}
	switch {
	case !r.judgeAt.IsZero(): // the cut lasts until it is judged
	case hold:
		l.limits[losing] = proposal{l.target, l.reason, now.Add(2 * p.Interval)}
	default:
		l.limits[losing] = proposal{}
	}
	return hold || !r.judgeAt.IsZero() || now.Before(l.limits[resting].until)
}

// apart returns the loss with each burst counted as two packets; 0 where fewer than least were reported.
func apart(c path.Count, least int) float64 {
	if c.Packets-c.Runs < least {
		return 0
	}
	return c.Apart()
}

// outlast takes in that a cut left loss: the next cut follows, until the loss has outlasted enough of them to be the
// link's own. It returns the rate from before the cuts then, else 0.
func (l *law) outlast(now time.Time, p *path.Path, left float64) float64 {
	r := &l.losses
	if left+deviations(left, r.after.Packets) > (1-tuning.HalfShare)*r.at { // it did not help
		r.trials++
	}
	deep := r.renewing || l.target <= tuning.DeepShare*r.before
	if l.target > float64(l.min) && (r.trials < tuning.Trials || !deep) || now.Before(r.brokenUntil) {
		next := l.target * (1 - tuning.TrialLeast - (tuning.TrialMost-tuning.TrialLeast)*l.chance())
		l.cutForLoss(now, p, next, r.rate, ReasonLoss)
		return 0
	}
	// Sending less did not help: the loss is the link's own, and not a policer's.
	r.believe(now, max(left, min(r.at, 2*left)))
	r.trying, r.trials, r.renewing = false, 0, false
	r.policed, l.limits[resting] = time.Time{}, proposal{}
	return r.before
}

// believe takes loss for the link's own.
func (r *losses) believe(now time.Time, loss float64) {
	r.believed, r.believedAt = min(tuning.OwnFactor*loss+tuning.HoldLoss, tuning.HeavyLoss), now
}

// cutForLoss proposes a cut, and sets when it is judged whether that cured the loss.
func (l *law) cutForLoss(now time.Time, p *path.Path, next, received float64, why Reason) {
	r := &l.losses
	if l.drain.on {
		why = ReasonQueueDelay // a queue that overflows
	}
	r.rate, r.after = received, path.Count{}
	r.cutAt, r.heldSince = now, now
	jitter := time.Duration(l.chance() * float64(tuning.JudgeAfter) / 3)
	r.judgeAt = now.Add(p.RTT + max(tuning.JudgeAfter, tuning.Reaction+p.Interval) + jitter)
	l.limits[losing] = proposal{min(next, l.target), why, r.judgeAt.Add(time.Hour)}
}

// chance returns a number from 0 to 1 that no other flow draws at the same time.
func (l *law) chance() float64 {
	r := &l.losses
	r.random = r.random*6364136223846793005 + uint64(l.target) + uint64(l.sampled.UnixNano()) | 1
	return float64(r.random>>40) / (1 << 24)
}

// guard bounds the target by what arrives, whatever is believed of the loss.
func (l *law) guard(now time.Time, lately path.Count, received float64) {
	r := &l.losses
	loss, packets := lately.Loss(), lately.Packets
	if received == 0 || packets < tuning.LossPackets {
		r.excessive.Reset()
		return
	}
	if r.excessive.Held(now, loss > tuning.BreakLoss+deviations(tuning.BreakLoss, packets), tuning.Lately) {
		l.limits[breaking] = proposal{tuning.BreakShare * received, ReasonLoss, now}
		r.excessive.Reset()
		l.limits[losing] = proposal{}
		r.believed, r.trying, r.trials, r.judgeAt, r.brokenUntil = 0, false, 0, time.Time{}, now.Add(tuning.BelievedFor)
		return
	}
	if loss > r.tolerated(packets)+tuning.ExcessLoss {
		l.limits[breaking] = proposal{tuning.FasterFactor * received / (1 - r.believed), ReasonLoss, now}
	}
}

// tolerated returns the loss among so many packets that is no more than the loss that is believed to be the link's
// own.
func (r *losses) tolerated(packets int) float64 {
	return r.believed + deviations(r.believed, packets)
}

// deviations is what chance adds to a share of so many packets.
func deviations(share float64, packets int) float64 {
	return tuning.Deviations * math.Sqrt(share*(1-share)/float64(max(packets, 1)))
}

// queueless reports whether no queue stood for a while before a moment.
func (r *losses) queueless(at time.Time) bool { return at.Sub(r.queuedAt) > tuning.Lately }

// framesSwift reports whether frames arrive faster than all that arrives. A policer lets through what it does as fast
// as it was sent; what arrives more slowly waits in a queue, if one so short that it overflows before it stands.
func framesSwift(now time.Time, p *path.Path, received float64) bool {
	_, came, ok := p.Trains(now)
	return ok && came >= tuning.RoomyFactor*received
}

// fade forgets what is believed: soon where the loss is gone, else after ownFor. A single cut then suffices to prove
// it again.
func (l *law) fade(now time.Time, loss float64) {
	r := &l.losses
	if r.believed > 0 && loss < r.believed/3 {
		r.believed *= 1 - min(1, max(0, now.Sub(l.sampled).Seconds())/tuning.OwnFades.Seconds())
		if r.believed < tuning.HoldLoss {
			r.believed = 0
		}
	}
	if r.believed > 0 && now.Sub(r.believedAt) > tuning.BelievedFor {
		r.believed, r.renewing, r.trials = 0, true, tuning.Trials-1
	}
	if r.renewing && !r.trying && loss < tuning.HoldLoss {
		r.renewing, r.trials = false, 0
	}
}

// judge looks whether a cut cured the loss that it was made for. It returns the rate to return to, 0 for none.
func (l *law) judge(now time.Time, p *path.Path, loss float64) float64 {
	r := &l.losses
	if r.judgeAt.IsZero() || now.Before(r.judgeAt) ||
		r.after.Packets < tuning.LossPackets && now.Before(r.judgeAt.Add(tuning.Patience)) {
		return 0
	}
	r.judgeAt, l.limits[losing] = time.Time{}, proposal{}
	left := loss
	if r.after.Packets >= tuning.LossPackets {
		left = r.after.Apart()
	}
	if left > min(tuning.HoldLoss, (1-tuning.HalfShare)*r.at) {
		return l.outlast(now, p, left)
	}
	r.trying, r.trials, r.renewing = false, 0, false
	if r.rate > 0 && l.capacity.at.Before(r.cutAt) { // else a queue has told more since
		l.capacity.learn(now, r.rate)
	}
	if !r.queueless(r.cutAt) || !r.queuedAt.Before(r.cutAt) || r.events < tuning.PolicedEvents || !r.swift ||
		float64(r.after.Packets)*r.at < float64(tuning.PolicedEvents) {
		return 0
	}
	if !now.Before(r.policed) {
		r.policedAt = r.rate
	}
	back := min(tuning.YieldShare*r.rate, r.before)
	r.policed, l.reason = now.Add(tuning.BelievedFor), ReasonPolicer
	l.limits[resting] = proposal{max(l.target, back), ReasonPolicer, now.Add(tuning.Patience)}
	return back
}
