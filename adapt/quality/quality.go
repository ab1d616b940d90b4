// Package quality judges a viewer's stream for operators: from what the path and the encoder allow it derives one of
// five states, and the reason for it.
//
// The package is pure: time comes in with each call.
package quality

import (
	"time"

	"wavryhost/adapt/hold"
	"wavryhost/adapt/tuning"
)

// upwardDwell is how long everything must have been better before a state is left upward.
func upwardDwell(from State) time.Duration {
	switch from {
	case Degraded:
		return tuning.UpDegraded
	case Stalled:
		return tuning.UpStalled
	default:
		return tuning.UpDwell
	}
}

// Evidence is what decides the state at one moment.
type Evidence struct {
	// Stalled is set while the viewer does not answer.
	Stalled bool
	// Share is the target over what the picture needs; 1 when the screen, not the network, is the limit.
	Share float64
	// Coarse is set while the picture is coarse, and the network is why it has no more bits.
	Coarse bool
	Queue  time.Duration
	Loss   float64 // 0 to 1
	// Stepped is set while frame rate or size are stepped down, and Floor when they can be stepped down no further.
	Stepped, Floor bool
	// Overload is set when the encoder is why they are stepped down, and Host when the host takes more away than that.
	Overload, Host bool
	// Cause is why the law lowered the rate last.
	Cause Reason
}

// Machine is the state machine.
//
//	good ⇄ constrained ⇄ degraded ⇄ critical      any ─▶ stalled ─▶ degraded
//
// For the worse it may skip states as soon as the evidence is there; for the better it goes to what holds by then. Its
// zero value is ready for use.
type Machine struct {
	// State is the current state, Reason why it was entered, or what was found to be the reason since.
	State  State
	Reason Reason
	// Seq counts the transitions, and Transition is the newest. Step fills in what the machine knows of it, and leaves
	// the figures to the caller.
	Seq        uint64
	Transition Transition

	began, last          time.Time
	share, coarse, delay hold.Timer
	loss2, loss10,
	loss20, delay250,
	better hold.Timer
	suspect Reason     // another reason than the state's,
	doubt   hold.Timer // and for how long it has held
}

// next returns the state and its reason by the evidence alone.
func (m *Machine) next(now time.Time, e *Evidence) (State, Reason) {
	share := m.share.Held(now, e.Share < 1, tuning.ConstrainedDelayFor)
	coarse := m.coarse.Held(now, e.Coarse, tuning.CoarseFor)
	delay := m.delay.Held(now, e.Queue >= tuning.ConstrainedDelay, tuning.ConstrainedDelayFor)
	loss2 := m.loss2.Held(now, e.Loss >= m.lossOf(Constrained, tuning.HoldLoss), tuning.ConstrainedLossFor)
	loss10 := m.loss10.Held(now, e.Loss >= m.lossOf(Degraded, tuning.DegradedLoss), tuning.DegradedLossFor)
	loss20 := m.loss20.Held(now, e.Loss >= m.lossOf(Critical, tuning.BreakLoss), tuning.DegradedLossFor)
	delay250 := m.delay250.Held(now, e.Queue >= tuning.CriticalDelay, tuning.CriticalDelayFor)
	cause := e.Cause
	if cause == ReasonStartup || cause == ReasonProbeOK { // nothing was cut since: the path's rate is still being found
		cause = ReasonStartup
		if now.Sub(m.began) >= tuning.StartupFor {
			cause = ReasonQueueDelay
		}
	}
	waiting := ReasonQueueDelay
	if cause == ReasonCompetingTraffic {
		waiting = cause
	}
	switch {
	case e.Stalled:
		return Stalled, ReasonNoFeedback
	case loss20:
		return Critical, ReasonLoss
	case delay250:
		return Critical, waiting
	case e.Floor && e.Share < tuning.CriticalShare:
		return Critical, cause
	case loss10:
		return Degraded, ReasonLoss
	case e.Host:
		return Degraded, ReasonHostSaturated
	case e.Stepped && e.Overload:
		return Degraded, ReasonEncoderOverload
	case e.Stepped:
		return Degraded, cause
	case delay:
		return Constrained, waiting
	case loss2:
		return Constrained, ReasonLoss
	case share, coarse:
		return Constrained, cause
	default:
		return Good, ReasonRecovered
	}
}

// lossOf returns the loss that makes a state, given the loss that enters it.
func (m *Machine) lossOf(s State, enters float64) float64 {
	if m.State >= s && m.State != Stalled && m.Reason == ReasonLoss {
		return tuning.LossStays * enters
	}
	return enters
}

// Step brings the machine to now, and reports whether the state changed.
func (m *Machine) Step(now time.Time, e Evidence) bool {
	if m.began.IsZero() {
		m.began, m.last = now, now
	}
	to, why := m.next(now, &e)
	if m.State == Stalled && to < Degraded {
		to = Degraded // after an outage the picture must prove itself again
		why = ReasonRecovered
	}
	switch {
	case to == m.State:
		m.better.Reset()
		m.explain(now, why)
		return false
	case to > m.State:
		m.better.Reset()
		if now.Sub(m.last) < tuning.StateEvery && m.Seq > 0 {
			return false
		}
	default:
		// The dwell counts while the evidence is better than the state, whatever better state it speaks for.
		if !m.better.Held(now, true, upwardDwell(m.State)) || m.Reason == ReasonHostSaturated &&
			now.Sub(m.last) < tuning.HostStays {
			return false
		}
		why = ReasonRecovered
	}
	m.better.Reset()
	m.doubt.Reset()
	m.Seq++
	m.Transition = Transition{
		Seq: m.Seq, At: now, From: m.State, To: to, Reason: why, Dwell: now.Sub(m.last), QueueDelay: e.Queue, Loss: e.Loss,
	}
	m.State, m.Reason, m.last = to, why, now
	return true
}

// explain keeps the reason of a state that lasts to what holds now.
func (m *Machine) explain(now time.Time, why Reason) {
	if why == m.Reason || m.State == Good { // a good state has no limit
		m.doubt.Reset()
		return
	}
	if why != m.suspect {
		m.suspect = why
		m.doubt.Reset()
	}
	found := why == ReasonCompetingTraffic || why == ReasonPolicer // these have looked long enough
	if m.doubt.Held(now, true, tuning.UpDwell) || found {
		m.Reason = why
		m.doubt.Reset()
	}
}
