package session

import (
	"log/slog"
	"slices"
	"time"

	"wavryhost/session/lockorder"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
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

// drainable is the owner of sessions, as a drain sees it. The methods are called with the mutex held.
type drainable interface {
	// present returns the number of sessions, including sessions that are being created.
	present() int
	// inOrder returns the sessions that are not ending, in the order in which they have to go.
	inOrder() []*session
	// lookUp returns a session that is not ending.
	lookUp(id string) (*session, error)
	// beginEnd begins to end a session.
	beginEnd(s *session, why EndReason)
	// endReservations ends all reservations.
	endReservations()
	// wakeJanitor makes the janitor look at the sessions at once.
	wakeJanitor()
}

// SetProbation begins a probation, or its time anew, or ends it. A drain and a cordon stay.
func (h *HostState) SetProbation(on bool) {
	h.change(func(now time.Time) {
		h.probation = false
		if on {
			h.beginProbation(now)
		}
	})
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

// failure reports whether an event says that the host did not serve a viewer as it should.
func failure(e Event) bool {
	switch e.Kind {
	case EventEncoderFallback, EventDisplayLost:
		// What is full works.
		return e.Reason != pipeline.FallbackFull.String() && e.Reason != pipeline.FallbackSize.String()
	case EventEnded:
		return slices.Contains([]string{
			EndHandshakeFailed.String(), EndConnectTimeout.String(),
			EndICEFailed.String(), EndError.String(),
		}, e.Reason)
	default:
		return false
	}
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

// news sums up the events that the state of the host depends on and has not seen yet: none is ever left out. Events
// are emitted with other locks held, so they cannot take the registry's.
type news struct {
	mu             lockorder.Mutex[newsLock]
	served, failed bool // since the last look; served: after the last failure
}

func (n *news) put(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case e.Kind == EventConnected:
		n.served = true
	case failure(e):
		n.served, n.failed = false, true
	}
}

func (n *news) take() (served, failed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	served, failed = n.served, n.failed
	n.served, n.failed = false, false
	return served, failed
}
