package adapt

import "time"

const (
	// changeEvery is the least time between two changes for the worse; what flickers faster says nothing to an
	// operator.
	changeEvery = time.Second
	// The evidence times and thresholds of the states for the worse.
	constrainedDelay, constrainedDelayFor = 50 * time.Millisecond, 500 * time.Millisecond
	constrainedLoss, constrainedLossFor   = 0.02, time.Second
	degradedLoss, degradedLossFor         = 0.10, 2 * time.Second
	criticalLoss, criticalLossFor         = 0.20, 2 * time.Second
	criticalDelay, criticalDelayFor       = 250 * time.Millisecond, time.Second
	criticalShare                         = 0.3
	// lossStays is the share of its threshold that loss must fall under for a state to be left that was entered by
	// it: what 20 to 200 packets of less than a second lose by chance is half as much and half as much again.
	lossStays = 0.5
	// constrainedShareFor keeps one tick under the need from being a state.
	constrainedShareFor = 500 * time.Millisecond
	// reasonFor is how long another reason must hold to take the place of the state's: what takes turns by the second
	// is told as what it began with. As long as the states' own dwell.
	reasonFor = 3 * time.Second
	// startup is how long a low bitrate is the start's and nobody's fault.
	startup = 10 * time.Second
	// hostStays is how long a state lasts at least that the host's load made. A host may lower a stream again as soon
	// as it has raised it: two changes each 20 s are six a minute.
	hostStays = 20 * time.Second
)

// upwardDwell is how long everything must have been better before a state is left upward.
func upwardDwell(from State) time.Duration {
	switch from {
	case Degraded:
		return 5 * time.Second // as long as a viewer needs to trust the smoother picture
	case Stalled:
		return time.Second
	default:
		return 3 * time.Second
	}
}

// evidence is what decides the state at one moment.
type evidence struct {
	stalled  bool
	share    float64 // target over need; 1 when the screen, not the network, is the limit
	queue    time.Duration
	loss     float64
	stepped  bool   // frame rate or size are stepped down
	floor    bool   // and can be stepped down no further
	overload bool   // the encoder is why it is stepped
	host     bool   // the host takes more frames and size away than that
	cause    Reason // why the law cut last
}

// since measures for how long a condition holds.
type since struct {
	at time.Time
	on bool
}

func (s *since) held(now time.Time, on bool, long time.Duration) bool {
	if !on {
		s.on = false
		return false
	}
	if !s.on {
		s.on, s.at = true, now
	}
	return now.Sub(s.at) >= long
}

// quality is the state machine.
//
//	good ⇄ constrained ⇄ degraded ⇄ critical      any ─▶ stalled ─▶ degraded
//
// For the worse it may skip states as soon as the evidence is there; for the better it goes to what holds by then.
type quality struct {
	state         State
	reason        Reason
	began, last   time.Time
	seq           uint64
	transition    Transition
	share, delay  since
	loss2, loss10 since
	loss20, delay250,
	better since
	suspect Reason // another reason than the state's,
	doubt   since  // and for how long it has held
}

// next returns the state and its reason by the evidence alone.
func (q *quality) next(now time.Time, e evidence) (State, Reason) {
	share := q.share.held(now, e.share < 1, constrainedShareFor)
	delay := q.delay.held(now, e.queue >= constrainedDelay, constrainedDelayFor)
	loss2 := q.loss2.held(now, e.loss >= q.lossOf(Constrained, constrainedLoss), constrainedLossFor)
	loss10 := q.loss10.held(now, e.loss >= q.lossOf(Degraded, degradedLoss), degradedLossFor)
	loss20 := q.loss20.held(now, e.loss >= q.lossOf(Critical, criticalLoss), criticalLossFor)
	delay250 := q.delay250.held(now, e.queue >= criticalDelay, criticalDelayFor)
	cause := e.cause
	if cause == ReasonStartup || cause == ReasonProbeOK { // nothing was cut since: the path's rate is still being found
		cause = ReasonStartup
		if now.Sub(q.began) >= startup {
			cause = ReasonQueueDelay
		}
	}
	waiting := ReasonQueueDelay
	if cause == ReasonCompetingTraffic {
		waiting = cause
	}
	switch {
	case e.stalled:
		return Stalled, ReasonNoFeedback
	case loss20:
		return Critical, ReasonLoss
	case delay250:
		return Critical, waiting
	case e.floor && e.share < criticalShare:
		return Critical, cause
	case loss10:
		return Degraded, ReasonLoss
	case e.host:
		return Degraded, ReasonHostSaturated
	case e.stepped && e.overload:
		return Degraded, ReasonEncoderOverload
	case e.stepped:
		return Degraded, cause
	case delay:
		return Constrained, waiting
	case loss2:
		return Constrained, ReasonLoss
	case share:
		return Constrained, cause
	default:
		return Good, ReasonRecovered
	}
}

// lossOf returns the loss that makes a state, given the loss that enters it.
func (q *quality) lossOf(s State, enters float64) float64 {
	if q.state >= s && q.state != Stalled && q.reason == ReasonLoss {
		return lossStays * enters
	}
	return enters
}

// step brings the machine to now. figures is asked for only when the state changes.
func (q *quality) step(now time.Time, e evidence, figures func() Transition) {
	if q.began.IsZero() {
		q.began, q.last = now, now
	}
	to, why := q.next(now, e)
	if q.state == Stalled && to < Degraded {
		to = Degraded // after an outage the picture must prove itself again
		why = ReasonRecovered
	}
	switch {
	case to == q.state:
		q.better.on = false
		q.explain(now, why)
		return
	case to > q.state:
		q.better.on = false
		if now.Sub(q.last) < changeEvery && q.seq > 0 {
			return
		}
	default:
		// The dwell counts while the evidence is better than the state, whatever better state it speaks for.
		if !q.better.held(now, true, upwardDwell(q.state)) || q.reason == ReasonHostSaturated &&
			now.Sub(q.last) < hostStays {
			return
		}
		why = ReasonRecovered
	}
	q.better.on, q.doubt.on = false, false
	q.seq++
	t := figures()
	t.Seq, t.At, t.From, t.To, t.Reason, t.Dwell = q.seq, now, q.state, to, why, now.Sub(q.last)
	q.state, q.reason, q.last, q.transition = to, why, now, t
}

// explain keeps the reason of a state that lasts to what holds now.
func (q *quality) explain(now time.Time, why Reason) {
	if why == q.reason || q.state == Good { // what is good has no limit to tell of
		q.doubt.on = false
		return
	}
	if why != q.suspect {
		q.suspect, q.doubt.on = why, false
	}
	found := why == ReasonCompetingTraffic || why == ReasonPolicer // these have looked long enough
	if q.doubt.held(now, true, reasonFor) || found {
		q.reason, q.doubt.on = why, false
	}
}

// OnLimit implements Controller. What the host takes away changes no target: it is the caller's to hold the stream
// down, which the controller cannot tell from a screen that gives less.
func (l *Loop) OnLimit(limit Limit) { l.limit = rung{limit.FPS, limit.Scale} }

// lowered reports whether the host leaves the stream less than the rung that it is on.
func (l *Loop) lowered() bool {
	host := rung{l.cfg.FPS, 1}
	if l.limit.fps > 0 {
		host.fps = min(host.fps, l.limit.fps)
	}
	if l.limit.scale > 0 {
		host.scale = min(host.scale, l.limit.scale)
	}
	return host.pixels() < l.ladder.now().pixels()
}
