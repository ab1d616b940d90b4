package hoststate

import (
	"log/slog"
	"slices"
	"time"
)

// Settings are what can change while the host runs.
type Settings struct {
	// MaxSessions is how many sessions there may be, and ProbationSessions how many during a probation.
	MaxSessions, ProbationSessions int
	// Probation is the time without failures after which a probation is over.
	Probation time.Duration
	// DrainPostpone is for how long in total a viewer may postpone the end of its session by a drain.
	DrainPostpone time.Duration
}

// Config is what a State needs.
type Config struct {
	// Settings is called whenever settings are needed.
	Settings func() Settings
	Sessions Sessions
	// Trouble returns why the host is degraded, empty when it is not.
	Trouble func() string
	// News returns whether a viewer was served, and whether the host failed to serve one, since the last call. served is
	// false if the failure came later.
	News func() (served, failed bool)
	// Emit makes an event known, and returns its ID.
	Emit func(Event) uint64
}

// State is the state of a host.
//
//	probation ──quiet for its time, a viewer connected──▶ active ◀──▶ degraded
//	    any ◀──────────────────────────────────────────▶ cordoned, draining
type State struct {
	cfg Config
	log *slog.Logger
	met *Metrics

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
}

// New returns a State. Begin begins it.
func New(cfg Config, log *slog.Logger, m *Metrics) *State { return &State{cfg: cfg, log: log, met: m} }

// Begin enters the first state: with a probation, if that is set, and with what was ordered of an earlier daemon.
func (h *State) Begin(now time.Time, probation bool, orders Orders) {
	if probation {
		h.beginProbation(now)
	}
	h.restore(orders, now)
	h.update(now, false)
}

// restore takes over what was ordered of an earlier daemon.
func (h *State) restore(s Orders, now time.Time) {
	if c := s.Cordon; c != nil && (c.Until.IsZero() || now.Before(c.Until)) {
		h.cordon = c
		h.log.Warn("still cordoned", "owner", c.Owner, "note", c.Note, "since", c.Begun, "remedy", "wavry-host uncordon")
	}
	if d := s.Drain; d != nil {
		policy := slices.IndexFunc(DrainPolicies(), func(p DrainPolicy) bool { return p.String() == d.Policy })
		h.drain = &drain{
			sessions: h.cfg.Sessions, emit: h.cfg.Emit, log: h.log,
			order: DrainOrder{Policy: DrainPolicy(max(0, policy)), Owner: d.Owner, Note: d.Note}, //nolint:gosec // one of a few
			begun: d.Begun, deadline: d.Deadline, done: now, asked: make(map[string]bool),
		}
		h.log.Warn("still draining", "owner", d.Owner, "note", d.Note, "since", d.Begun,
			"remedy", "wavry-host drain --cancel")
	}
}

// beginProbation begins a probation.
func (h *State) beginProbation(now time.Time) { h.probation, h.quiet, h.served = true, now, false }

// Closed reports whether the host takes no new sessions.
func (h *State) Closed() bool { return h.drain != nil || h.cordon != nil || h.stopped }

// Stop makes the host take no new sessions, because the daemon ends.
func (h *State) Stop() { h.stopped = true }

// Stopped reports whether the daemon ends.
func (h *State) Stopped() bool { return h.stopped }

// Limit returns how many sessions there may be.
func (h *State) Limit() int {
	s := h.cfg.Settings()
	if h.probation {
		return min(s.MaxSessions, s.ProbationSessions)
	}
	return s.MaxSessions
}

// View is what the state shows. Cordon and Drain are nil for none.
type View struct {
	State, Reason string
	Since         time.Time
	Cordon        *CordonStatus
	Drain         *DrainStatus
}

// View returns what the state shows.
func (h *State) View() View {
	v := View{State: h.state, Reason: h.reason, Since: h.since, Cordon: h.cordon}
	if h.drain != nil {
		d := h.drain.status()
		v.Drain = &d
	}
	return v
}

// Ending returns the planned end of a session, nil if none is planned, and whether another daemon accepts the session.
func (h *State) Ending(id string, now time.Time) (end *PlannedEnd, moving bool) {
	if h.drain != nil {
		end = h.drain.ending(id, now)
	}
	return end, h.handedOver
}

// update derives the state, and emits an event when it has changed. ordered says that an operator requests it.
func (h *State) update(now time.Time, ordered bool) {
	served, failed := h.cfg.News()
	if failed {
		h.quiet, h.served = now, false
	}
	h.served = h.served || served
	probation := h.cfg.Settings().Probation
	if h.probation && h.served && now.Sub(h.quiet) >= probation {
		h.probation = false
	}
	from, state := h.state, Active
	trouble := h.cfg.Trouble()
	switch {
	case h.drain != nil || h.stopped:
		state = Draining
	case h.cordon != nil:
		state = Cordoned
	case trouble != "":
		state = Degraded
	case h.probation:
		state = Probation
	}
	reason := h.why(from, state, trouble, ordered)
	if state == from {
		if state == Degraded {
			h.reason = reason
		}
		return
	}
	h.state, h.reason, h.since = state, reason, now
	for _, one := range States() {
		set := 0.0
		if one == state {
			set = 1
		}
		h.met.state.WithLabelValues(one).Set(set)
	}
	if from == "" {
		return
	}
	event := h.cfg.Emit(Event{Kind: EventState, From: from, To: state, Reason: reason})
	h.log.Info("host state changed", "event", event, "from", from, "to", state, "reason", reason)
}

// why returns why the host enters a state.
func (h *State) why(from, to, trouble string, ordered bool) string {
	switch {
	case to == Degraded:
		return trouble
	case to == Draining && h.stopped:
		return Stopping
	case from == "":
		return Started
	case to == Draining || to == Cordoned || ordered:
		return Requested
	case from == Cordoned:
		return Expired
	case from == Degraded:
		return Recovered
	default:
		return Proved
	}
}

// endDrain ends a drain, if there is one.
func (h *State) endDrain() {
	if h.drain == nil {
		return
	}
	h.drain = nil
	h.log.Info("drain ended", "event", h.cfg.Emit(Event{Kind: EventResume}))
	h.cfg.Sessions.Wake()
}

// Tend does what the drain requires by now, and updates the state.
func (h *State) Tend(now time.Time) {
	left, deadline := 0, 0.0
	if h.drain != nil {
		h.drain.step(now)
		left = h.cfg.Sessions.Present()
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
	h.update(now, false)
}

// endCordon ends a cordon, if there is one.
func (h *State) endCordon(why string) {
	if h.cordon == nil {
		return
	}
	h.cordon = nil
	h.log.Info("cordon ended", "event", h.cfg.Emit(Event{Kind: EventUncordon, Reason: why}), "reason", why)
}

// expire ends a cordon whose time is over. The next daemon drops such a cordon, so nothing is kept.
func (h *State) expire(now time.Time) {
	if h.cordon != nil && !h.cordon.Until.IsZero() && !now.Before(h.cordon.Until) {
		h.endCordon(cordonExpired)
	}
}
