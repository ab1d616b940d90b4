package session

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"wavryhost/session/pipeline"
)

// ErrBadState means that a host cannot be put into that state.
var ErrBadState = errors.New("session: no such state")

// The defaults of a probation.
const (
	defaultProbation         = 10 * time.Minute
	defaultProbationSessions = 2
)

// standing is how the host is doing. The Manager's mutex guards it.
//
//	probation ──quiet for its time, a viewer connected──▶ active ◀──▶ degraded
//	    any ◀──────────────────────────────────────────▶ draining
type standing struct {
	state, reason string
	since         time.Time
	probation     bool
	// quiet is when the last trouble of the probation was, or its beginning; served that a viewer connected since then.
	quiet  time.Time
	served bool
}

// SetState puts the host into a state: "active" ends a drain and a probation, "draining" begins a drain without a deadline where there is none, "probation"
// begins a probation. "degraded" is found out, not set.
func (m *Manager) SetState(state string) error {
	switch state {
	case hostActive:
		m.mu.Lock()
		m.standing.probation = false
		m.mu.Unlock()
		m.Resume()
	case hostDraining:
		m.mu.Lock()
		if m.drain == nil { // one that there is has a deadline, maybe
			m.beginDrain(DrainOrder{})
		}
		m.mu.Unlock()
	case hostProbation:
		m.Resume()
		m.mu.Lock()
		m.probate(time.Now())
		m.mu.Unlock()
	default:
		return fmt.Errorf("%w: %.40q; it can be set to %s, %s or %s", ErrBadState, state, hostActive, hostDraining, hostProbation)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.judge(time.Now())
	return nil
}

// probate begins a probation. The caller holds mu.
func (m *Manager) probate(now time.Time) {
	m.standing.probation, m.standing.quiet, m.standing.served = true, now, false
}

// limit returns how many sessions there may be. The caller holds mu.
func (m *Manager) limit() int {
	if m.standing.probation {
		return min(m.cfg().MaxSessions, m.cfg().ProbationSessions)
	}
	return m.cfg().MaxSessions
}

// failure tells whether an event says that the host did not serve somebody as it should.
func failure(e Event) bool {
	switch e.Kind {
	case EventEncoderFallback, EventDisplayLost:
		return e.Reason != pipeline.FallbackFull.String() && e.Reason != pipeline.FallbackSize.String() // what is full works
	case EventEnded:
		return slices.Contains([]string{EndHandshakeFailed.String(), EndConnectTimeout.String(), EndICEFailed.String(), EndError.String()}, e.Reason)
	default:
		return false
	}
}

// judge finds out the state, and makes a change of it known. The caller holds mu.
func (m *Manager) judge(now time.Time) {
	s := &m.standing
	served, failed := m.news.take()
	if failed {
		s.quiet, s.served = now, false
	}
	s.served = s.served || served
	if s.probation && s.served && now.Sub(s.quiet) >= m.cfg().Probation {
		s.probation = false
	}
	state, reason := hostActive, ""
	trouble := m.pool.Health().String()
	switch {
	case m.drain != nil || m.stopped:
		state = hostDraining
	case trouble != "":
		state, reason = hostDegraded, trouble
	case s.probation:
		state, reason = hostProbation, "until a viewer was served and nothing failed for "+m.cfg().Probation.String()
	}
	if state == s.state {
		s.reason = reason
		return
	}
	from := s.state
	s.state, s.reason, s.since = state, reason, now
	for _, one := range hostStates {
		set := 0.0
		if one == state {
			set = 1
		}
		m.met.hostState.WithLabelValues(one).Set(set)
	}
	if from == "" {
		return
	}
	event := m.emit(Event{Kind: EventState, From: from, To: state, Reason: trouble})
	m.log.Info("host state changed", "event", event, "from", from, "to", state, "reason", reason)
}

// news is what standing has not seen yet of the events that it is about. They come in while other locks are held, and are summed up: none is
// ever left out.
type news struct {
	mu             sync.Mutex
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
