package session

import (
	"log/slog"
	"time"

	"wavryhost/session/lockorder"
	"wavryhost/session/peer"
)

// HostState is the state of the host: whether it takes sessions, and how well it serves them.
//
//	probation ──quiet for its time, a viewer connected──▶ active ◀──▶ degraded
//	    any ◀──────────────────────────────────────────▶ cordoned, draining
type HostState struct {
	conf *live
	log  *slog.Logger
	met  *Metrics
	emit func(Event) uint64
	// trouble returns why the host is degraded, empty when it is not.
	trouble func() string
	lend    func() peer.Loan
	owner   drainable
	news    *news

	// mu is the registry's: a session is admitted, or a drain begins. It guards the rest.
	mu            *lockorder.Mutex[registryLock]
	state, reason string
	since         time.Time
	probation     bool
	// quiet is the time of the last failure during the probation, or its beginning. served: a viewer connected since
	// then.
	quiet   time.Time
	served  bool
	drain   *drain        // nil for none
	cordon  *CordonStatus // nil for none
	stopped bool          // the daemon ends
	// handedOver: another daemon accepts the sessions.
	handedOver bool
	ordered    bool // an operator requests a state just now

	// saving has room for one token: somebody keeps the orders.
	saving chan struct{}
}

// beginProbation begins a probation. The caller holds mu.
func (h *HostState) beginProbation(now time.Time) { h.probation, h.quiet, h.served = true, now, false }

// closed reports whether the host takes no new sessions. The caller holds mu.
func (h *HostState) closed() bool { return h.drain != nil || h.cordon != nil || h.stopped }

// limit returns how many sessions there may be. The caller holds mu.
func (h *HostState) limit() int {
	cfg := h.conf.get()
	if h.probation {
		return min(cfg.MaxSessions, cfg.ProbationSessions)
	}
	return cfg.MaxSessions
}

// update derives the state, and emits an event when it has changed. The caller holds mu.
func (h *HostState) update(now time.Time) {
	served, failed := h.news.take()
	if failed {
		h.quiet, h.served = now, false
	}
	h.served = h.served || served
	probation := h.conf.get().Probation
	if h.probation && h.served && now.Sub(h.quiet) >= probation {
		h.probation = false
	}
	from, state := h.state, hostActive
	trouble := h.trouble()
	switch {
	case h.drain != nil || h.stopped:
		state = hostDraining
	case h.cordon != nil:
		state = hostCordoned
	case trouble != "":
		state = hostDegraded
	case h.probation:
		state = hostProbation
	}
	reason := h.why(from, state, trouble)
	if state == from {
		if state == hostDegraded {
			h.reason = reason
		}
		return
	}
	h.state, h.reason, h.since = state, reason, now
	for _, one := range hostStates {
		set := 0.0
		if one == state {
			set = 1
		}
		h.met.hostState.WithLabelValues(one).Set(set)
	}
	if from == "" {
		return
	}
	event := h.emit(Event{Kind: EventState, From: from, To: state, Reason: reason})
	h.log.Info("host state changed", "event", event, "from", from, "to", state, "reason", reason)
}

// why returns why the host enters a state. The caller holds mu.
func (h *HostState) why(from, to, trouble string) string {
	switch {
	case to == hostDegraded:
		return trouble
	case to == hostDraining && h.stopped:
		return stateStopping
	case from == "":
		return stateStarted
	case to == hostDraining || to == hostCordoned || h.ordered:
		return stateRequested
	case from == hostCordoned:
		return stateExpired
	case from == hostDegraded:
		return stateRecovered
	default:
		return stateProved
	}
}

// beginDrain begins a drain. The caller holds mu.
func (h *HostState) beginDrain(now time.Time, o DrainOrder) {
	d := &drain{
		sessions: h.owner, emit: h.emit, log: h.log,
		order: o, postpone: h.conf.get().DrainPostpone, begun: now, atStart: h.owner.present(),
		asked: make(map[string]bool), ends: make(map[string]planned),
	}
	if o.Postpone != nil {
		d.postpone = *o.Postpone
	}
	if o.Deadline > 0 {
		d.deadline = now.Add(o.Deadline)
	}
	h.drain = d
	event := h.emit(Event{Kind: EventDrain, Reason: o.Policy.String(), Owner: o.Owner, Note: o.Note})
	h.log.Info("drain begun", "event", event, "policy", o.Policy.String(), "sessions", d.atStart,
		"deadline_seconds", o.Deadline.Seconds(), "postpone_seconds", d.postpone.Seconds(), "owner", o.Owner,
		"note", o.Note)
	d.plan()
	h.owner.wakeJanitor()
}

// endDrain ends a drain, if there is one. The caller holds mu.
func (h *HostState) endDrain() {
	if h.drain == nil {
		return
	}
	h.drain = nil
	h.log.Info("drain ended", "event", h.emit(Event{Kind: EventResume}))
	h.owner.wakeJanitor()
}

// tend does what the drain requires by now, and updates the state. The caller holds mu.
func (h *HostState) tend(now time.Time) {
	left, deadline := 0, 0.0
	if h.drain != nil {
		h.drain.step(now)
		left = h.owner.present()
		if last := h.drain.last(); !last.IsZero() {
			deadline = float64(last.Unix())
		}
	}
	h.expire(now)
	cordoned := 0.0
	if h.cordon != nil {
		cordoned = 1
	}
	h.met.cordoned.Set(cordoned)
	h.met.drainLeft.Set(float64(left))
	h.met.drainDeadline.Set(deadline)
	h.update(now)
}

// endCordon ends a cordon, if there is one. The caller holds mu.
func (h *HostState) endCordon(why string) {
	if h.cordon == nil {
		return
	}
	h.cordon = nil
	h.log.Info("cordon ended", "event", h.emit(Event{Kind: EventUncordon, Reason: why}), "reason", why)
}

// expire ends a cordon whose time is over. The next daemon drops such a cordon, so nothing is kept. The caller holds
// mu.
func (h *HostState) expire(now time.Time) {
	if h.cordon != nil && !h.cordon.Until.IsZero() && !now.Before(h.cordon.Until) {
		h.endCordon(cordonExpired)
	}
}

// show returns a session as the control API shows it.
func (h *HostState) show(s *session) Snapshot {
	one := s.snapshot()
	h.mu.Lock()
	defer h.mu.Unlock()
	one.Moving = h.handedOver
	if h.drain == nil {
		return one
	}
	one.Ending = h.drain.ending(s)
	return one
}
