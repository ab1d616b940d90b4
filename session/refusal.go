package session

import (
	"errors"
	"time"

	"wavryhost/session/admission"
)

// RefusalError says why there is no room for a session. It is an ErrFull.
type RefusalError = admission.RefusalError

// refusals lets one event of each reason through in a second: a flood of requests must not push all others out of the journal.
type refusals map[string]time.Time

func (r refusals) tell(now time.Time, reason string) bool {
	if now.Sub(r[reason]) < time.Second {
		return false
	}
	r[reason] = now
	return true
}

// refused makes known that a session, or a place for one, was refused.
func (m *Manager) refused(err error, display string) {
	reason := refusedBecause(err)
	m.met.refused.WithLabelValues(reason).Inc()
	m.mu.Lock()
	tell := m.refusals.tell(time.Now(), reason)
	m.mu.Unlock()
	if !tell {
		return
	}
	detail := reason
	if r, ok := errors.AsType[*RefusalError](err); ok {
		detail = r.Resource
	}
	event := m.emit(Event{Kind: EventRefused, Display: known(m, display), Reason: reason, Err: err})
	m.log.Info("session refused", "event", event, "reason", detail, "err", err)
}

// known returns the display's id where there is such a display: what a client asked for is not repeated.
func known(m *Manager, display string) string {
	if m.pool.Open(display) {
		return display
	}
	return ""
}

// ResourceOwner is the limit on the sessions of one owner, as a RefusalError names it.
const ResourceOwner = string(admission.PerOwner)
