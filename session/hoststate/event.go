package hoststate

// Kind is what happened. The set is closed.
type Kind uint8

// The kinds of events.
const (
	// EventState: the state changed.
	EventState Kind = iota
	// EventDrain: the host takes no new sessions, and the others end or move.
	EventDrain
	// EventDrained: the last session of a host that drains is gone.
	EventDrained
	// EventResume: a drain was ended.
	EventResume
	// EventCordon: the host takes no new sessions.
	EventCordon
	// EventUncordon: a cordon was ended, or its time is over.
	EventUncordon
)

// Event is what happened to the host.
type Event struct {
	Kind Kind
	// From and To are states, of EventState.
	From, To string
	// Reason is one of Reasons or a fault of the host for EventState, a policy for EventDrain, and one of CordonEnds for
	// EventUncordon.
	Reason string
	// Owner is the operator who ordered it, Note the reason for people.
	Owner, Note string
}
