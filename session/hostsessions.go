package session

import (
	"cmp"
	"slices"
	"time"

	"wavryhost/session/hoststate"
)

// hostSessions are the sessions of the registry as the host's state sees them. The caller holds the registry's mu.
type hostSessions struct{ registry *registry }

var _ hoststate.Sessions = hostSessions{}

// Present implements hoststate.Sessions.
func (h hostSessions) Present() int {
	return len(h.registry.sessions) + h.registry.admission.Creating()
}

// InOrder implements hoststate.Sessions: the least important sessions go first, and the oldest first among equals.
func (h hostSessions) InOrder() []string {
	list := h.registry.notEnding()
	slices.SortFunc(list, func(a, b *session) int {
		return cmp.Or(cmp.Compare(a.limits.sessionWeight(), b.limits.sessionWeight()),
			a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
	ids := make([]string, 0, len(list))
	for _, s := range list {
		ids = append(ids, s.id)
	}
	return ids
}

// Find implements hoststate.Sessions.
func (h hostSessions) Find(id string) error {
	_, err := h.registry.lookUp(id)
	return err
}

// Move implements hoststate.Sessions.
func (h hostSessions) Move(id string) {
	s := h.registry.sessions[id]
	event := s.emit(Event{Kind: EventMove, Session: s.id, Display: s.sub.display()})
	s.log.Info("session should move to another host", "event", event)
}

// Announce implements hoststate.Sessions.
func (h hostSessions) Announce(id string, end time.Time, postponed time.Duration, reason string) {
	s := h.registry.sessions[id]
	event := s.emit(Event{
		Kind: EventEnding, Session: s.id, Display: s.sub.display(), Reason: reason, To: end.UTC().Format(time.RFC3339),
	})
	s.log.Info("session will end", "event", event, "reason", reason, "at", end, "postponed_seconds", postponed.Seconds())
}

// End implements hoststate.Sessions.
func (h hostSessions) End(id string) { h.registry.beginEnd(h.registry.sessions[id], EndDrained) }

// EndReservations implements hoststate.Sessions.
func (h hostSessions) EndReservations() { h.registry.admission.Drain() }

// Wake implements hoststate.Sessions.
func (h hostSessions) Wake() { h.registry.wakeJanitor() }

// hostEvents are the kinds of events of the host's state.
var hostEvents = [...]EventKind{
	hoststate.EventState:    EventState,
	hoststate.EventDrain:    EventDrain,
	hoststate.EventDrained:  EventDrained,
	hoststate.EventResume:   EventResume,
	hoststate.EventCordon:   EventCordon,
	hoststate.EventUncordon: EventUncordon,
}

// hostEvent returns an event of the host's state as an Event.
func hostEvent(e hoststate.Event) Event {
	return Event{Kind: hostEvents[e.Kind], From: e.From, To: e.To, Reason: e.Reason, Owner: e.Owner, Note: e.Note}
}
