package admission

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	// ErrUnknownReservation means that no reservation has that ID. It has expired, was used or was released.
	ErrUnknownReservation = errors.New("admission: unknown reservation")
	// ErrBadReservation means that a place cannot be reserved or used like that.
	ErrBadReservation = errors.New("admission: reservation not possible")
)

// How long a place is kept, by default and at most.
const defaultHold, longestHold = 15 * time.Second, 2 * time.Minute

// Why a reservation ended.
const (
	EndUsed     = "used"
	EndExpired  = "expired"
	EndReleased = "released"
	EndDrained  = "drained"
)

var ends = [...]string{EndUsed, EndExpired, EndReleased, EndDrained}

// Ends lists why reservations end.
func Ends() []string { return ends[:] }

// ReservationRequest asks to keep a place for a session to come.
type ReservationRequest struct {
	// ID is that of a reservation of a former daemon; empty for a new one.
	ID string
	// Display is a display's ID, or "default" for the first one.
	Display string
	// Hold is how long the place is kept, 2 minutes at most. It defaults to 15 s.
	Hold time.Duration
	// MaxBitrate and Weight are for the future session. The host chooses zero ones.
	MaxBitrate, Weight int
	// Region is where the STUN and TURN servers of the session are.
	Region string
	// ExternalID and Labels are the client's own names for the reservation and its session.
	ExternalID string
	Labels     Labels
	// Subject is the name of the viewer that the place is for, as its credential has it; empty for any viewer.
	Subject string
}

// Validate returns an error that names what cannot work.
func (r ReservationRequest) Validate() error {
	if r.Hold < 0 || r.Hold > longestHold {
		return fmt.Errorf("%w: a place is kept for %v at most, not %v", ErrBadReservation, longestHold, r.Hold)
	}
	return nil
}

// Reservation is a place that is kept for a session to come.
type Reservation struct {
	ID         string    `json:"id" doc:"ID of the reservation, for the viewer's offer."`
	Display    string    `json:"display" doc:"ID of the reserved display."`
	Created    time.Time `json:"created" doc:"When the reservation was made."`
	Expires    time.Time `json:"expires" doc:"When the reservation expires, unless a session uses it."`
	MaxBitrate int       `json:"max_bitrate" doc:"The session's maximum bitrate, in bit/s; 0 for the host's maximum."`
	Weight     int       `json:"weight" doc:"The session's share of a scarce resource; a number of 1 to 1000."`
	Region     string    `json:"region,omitempty" doc:"Requested region of the ICE servers."`
	Subject    string    `json:"subject,omitempty" doc:"Name of the viewer that the reservation is for; absent if any viewer may use it."`

	ExternalID string            `json:"external_id,omitempty" doc:"The client's own ID of the reservation and its session."`
	Labels     map[string]string `json:"labels,omitempty" doc:"The client's labels of the reservation and its session."`

	// Session is the ID of the session that used the reservation; empty before.
	Session string `json:"-"`
}

// reservation is a Reservation with the load that is kept for it.
type reservation struct {
	Reservation

	load reservedLoad
}

// Reserve keeps a place for a session to come, which counts as a session until it ends. room is the request for that
// session.
func (a *Admitter) Reserve(r ReservationRequest, room Request, s Snapshot) (Reservation, error) {
	r.Hold = cmp.Or(r.Hold, defaultHold)
	load, err := a.fits(room, s, nil)
	if err != nil {
		return Reservation{}, err
	}
	l := &reservation{Reservation{
		ID: cmp.Or(r.ID, a.newID()), Display: r.Display, Created: s.Now, Expires: s.Now.Add(r.Hold),
		MaxBitrate: r.MaxBitrate, Weight: cmp.Or(r.Weight, room.Weight), Region: r.Region, Subject: r.Subject,
		ExternalID: r.ExternalID, Labels: r.Labels.Map(),
	}, load}
	a.reservations[l.ID] = l
	return l.Reservation, nil
}

// Renew holds a reservation for so long from now on.
func (a *Admitter) Renew(id string, hold time.Duration, now time.Time) (Reservation, error) {
	l := a.reservations[id]
	switch {
	case l == nil || !now.Before(l.Expires):
		return Reservation{}, ErrUnknownReservation
	case hold <= 0 || hold > longestHold:
		return Reservation{}, fmt.Errorf("%w: a place is kept for %v at most, not %v", ErrBadReservation, longestHold, hold)
	}
	l.Expires = now.Add(hold)
	return l.Reservation, nil
}

// usable returns the reservation that a request names.
func (a *Admitter) usable(r Request, now time.Time) (*reservation, error) {
	l := a.reservations[r.Reservation]
	switch {
	case l == nil || !now.Before(l.Expires):
		return nil, ErrUnknownReservation
	case l.Display != r.Display:
		return nil, fmt.Errorf("%w: the place is for %s, not for %s", ErrBadReservation, l.Display, r.Display)
	case l.Subject != "" && l.Subject != r.Owner.Name && r.Guest:
		return nil, fmt.Errorf("%w: the place is for another viewer", ErrBadReservation)
	}
	return l, nil
}

// Reservation returns the one with an ID; ok is false for none.
func (a *Admitter) Reservation(id string) (r Reservation, ok bool) {
	l := a.reservations[id]
	if l == nil {
		return r, false
	}
	return l.Reservation, true
}

// Reservations returns all reservations, the next to expire first.
func (a *Admitter) Reservations() []Reservation {
	list := []Reservation{}
	for _, l := range a.reservations {
		list = append(list, l.Reservation)
	}
	slices.SortFunc(list, func(a, b Reservation) int {
		return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Reserved returns the number of places that are kept.
func (a *Admitter) Reserved() int { return len(a.reservations) }

// Release ends a reservation that was not used.
func (a *Admitter) Release(id string) error {
	l := a.reservations[id]
	if l == nil {
		return ErrUnknownReservation
	}
	a.end(l, EndReleased)
	return nil
}

// Expire ends the reservations that nobody used in time.
func (a *Admitter) Expire(now time.Time) {
	for _, l := range a.reservations {
		if !now.Before(l.Expires) {
			a.end(l, EndExpired)
		}
	}
}

// Drain ends all reservations.
func (a *Admitter) Drain() {
	for _, l := range a.reservations {
		a.end(l, EndDrained)
	}
}

// end ends a reservation.
func (a *Admitter) end(l *reservation, why string) {
	delete(a.reservations, l.ID)
	a.ended(l.Reservation, why)
}
