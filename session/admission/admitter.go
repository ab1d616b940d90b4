package admission

import (
	"time"

	"wavryhost/encode"
)

// An Admitter answers one question: is there room? It holds what was promised and does not show in the measured load
// yet: tickets of sessions that are being created, reservations, and the load that new sessions will cause. What is
// measured comes in with each question, as a Snapshot.
//
// An Admitter is not safe for concurrent use. Its owner guards it together with the list of its sessions, so that a
// snapshot and the record agree.
type Admitter struct {
	newID func() string
	ended func(Reservation, string)

	tickets      map[*Ticket]struct{}
	moves        map[*Move]struct{}
	sessions     map[string]promise // by session
	reservations map[string]*reservation
}

// New returns an Admitter that has promised nothing. newID makes the IDs of reservations; ended is called when one
// ends, with the reason.
func New(newID func() string, ended func(Reservation, string)) *Admitter {
	return &Admitter{
		newID: newID, ended: ended,
		tickets: make(map[*Ticket]struct{}), moves: make(map[*Move]struct{}), sessions: make(map[string]promise),
		reservations: make(map[string]*reservation),
	}
}

// reservedLoad is the load that is assumed for a session until it shows in what is measured.
type reservedLoad struct {
	Need

	display string
	format  encode.Format
}

// promise is the reserved load of a session that exists.
type promise struct {
	load  reservedLoad
	moved time.Time // last move to another display
}

// Ticket is the right to create one session. It ends by Use or by Cancel.
type Ticket struct {
	owner Owner
	load  reservedLoad
	from  *reservation // nil without one
}

// Reservation returns the reservation that the session uses; ok is false without one.
func (t *Ticket) Reservation() (r Reservation, ok bool) {
	if t.from == nil {
		return r, false
	}
	return t.from.Reservation, true
}

// Move is the right to move one session to another display. It ends by Done.
type Move struct {
	session, display string
	before           promise
}

// Creating returns the number of sessions that are being created.
func (a *Admitter) Creating() int { return len(a.tickets) }
