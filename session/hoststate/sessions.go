package hoststate

import "time"

// Sessions are the sessions of a host as its state sees them. IDs name them.
type Sessions interface {
	// Present returns the number of sessions, including sessions that are being created.
	Present() int
	// InOrder returns the sessions that are not ending, in the order in which they have to go.
	InOrder() []string
	// Find returns an error if there is no such session, or if it is ending.
	Find(id string) error
	// Move makes known that a session should be moved to another host.
	Move(id string)
	// Announce makes the planned end of a session known. reason is one of EndingReasons.
	Announce(id string, end time.Time, postponed time.Duration, reason string)
	// End begins to end a session, because its time in a drain is over.
	End(id string)
	// EndReservations ends all reservations.
	EndReservations()
	// Wake calls for State.Tend at once.
	Wake()
}
