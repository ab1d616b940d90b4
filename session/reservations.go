package session

import (
	"context"
	"errors"
	"time"

	"wavryhost/session/admission"
)

// Reservations are the places that are kept for sessions to come, and the room that is left.
type Reservations struct {
	registry *registry
	catalog  *catalog
	refused  func(err error, display string)
}

// Reserve keeps a place for a session, which the viewer takes by naming it in its Offer. Reservations count as
// sessions.
func (r *Reservations) Reserve(ctx context.Context, q admission.ReservationRequest) (admission.Reservation, error) {
	l, err := r.reserve(ctx, q)
	if err != nil {
		r.refused(err, q.Display)
	}
	return l, err
}

func (r *Reservations) reserve(ctx context.Context, q admission.ReservationRequest) (admission.Reservation, error) {
	if err := q.Validate(); err != nil {
		return admission.Reservation{}, err
	}
	if err := r.catalog.conf.get().checkChange(Change{MaxBitrate: &q.MaxBitrate, Weight: orNil(q.Weight)}); err != nil {
		return admission.Reservation{}, err
	}
	d, err := r.catalog.find(ctx, q.Display)
	if err != nil {
		return admission.Reservation{}, err
	}
	l, d, err := r.claim(q, d)
	if err != nil || d.Hold == nil {
		return l, err
	}
	release, err := d.hold(ctx)
	if err != nil {
		_ = r.Release(l.ID) // it may have ended
		return admission.Reservation{}, err
	}
	return r.keep(l, release)
}

// claim keeps a place on a display, or on a member of a group, which it returns.
func (r *Reservations) claim(q admission.ReservationRequest, d Display) (admission.Reservation, Display, error) {
	g := r.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.host.Closed() {
		return admission.Reservation{}, d, ErrDraining
	}
	format := g.capacity.usualFormat()
	now := g.snapshot(format)
	var l admission.Reservation
	chosen, err := g.groups.place(g.admission, d, visitorBy(q.Subject), now, func(one Display) (err error) {
		q.Display = one.ID
		l, err = g.admission.Reserve(q, g.capacity.request(one, q.MaxBitrate, format), now)
		return err
	})
	if err != nil {
		return l, d, err
	}
	g.met.reservations.Set(float64(g.admission.Reserved()))
	t := g.met.labels.tally(g.capacity.conf.get().MetricLabels, q.Labels)
	t.reserve(1)
	g.reserved[l.ID] = t
	event := g.emit(Event{
		Kind: EventReserved, Display: l.Display, Reservation: l.ID, Names: namesOf(l),
	})
	g.log.Info("place "+
		"reserved", "event", event, "display", l.Display, "hold_seconds", l.Expires.Sub(l.Created).Seconds())
	return l, chosen, nil
}

// keep keeps a display running as long as its reservation, whose time begins now. If the reservation has ended, it
// calls release.
func (r *Reservations) keep(l admission.Reservation, release func()) (admission.Reservation, error) {
	g := r.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	l, err := g.admission.Renew(l.ID, l.Expires.Sub(l.Created), time.Now())
	if err != nil {
		release()
		return l, err
	}
	g.groups.holds[l.ID] = release
	return l, nil
}

// Inherit keeps the places that a former daemon of this host has kept, under their IDs, for the rest of their time.
func (r *Reservations) Inherit(ctx context.Context, list []admission.Reservation) (err error) {
	for _, l := range list {
		left := time.Until(l.Expires)
		if left <= 0 {
			continue
		}
		_, failed := r.Reserve(ctx, admission.ReservationRequest{
			ID: l.ID, Display: l.Display, Hold: left, MaxBitrate: l.MaxBitrate, Weight: l.Weight, Region: l.Region,
			ExternalID: l.ExternalID, Labels: namesOf(l).Labels, Subject: l.Subject,
		})
		err = errors.Join(err, failed)
	}
	return err
}

// List returns the unused reservations, in the order of their expiry.
func (r *Reservations) List() []admission.Reservation {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	return r.registry.admission.Reservations()
}

// Reservation returns the unused reservation with an ID.
func (r *Reservations) Reservation(id string) (admission.Reservation, error) {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	if l, ok := r.registry.admission.Reservation(id); ok {
		return l, nil
	}
	return admission.Reservation{}, ErrUnknownReservation
}

// Renew holds a reservation for so long from now on, and returns it.
func (r *Reservations) Renew(id string, hold time.Duration) (admission.Reservation, error) {
	g := r.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	l, err := g.admission.Renew(id, hold, time.Now())
	if err == nil {
		g.log.Debug("reservation renewed", "reservation", id, "hold_seconds", hold.Seconds())
	}
	return l, err
}

// Release ends a reservation that was not used.
func (r *Reservations) Release(id string) error {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	return r.registry.admission.Release(id)
}

// Capacity returns the number of further sessions that fit, for the given profiles or for the usual ones.
func (r *Reservations) Capacity(profiles ...admission.Profile) []admission.Capacity {
	if len(profiles) == 0 {
		profiles = admission.Profiles()
	}
	f, closed := forecastOf(r.registry, Display{})
	return capacities(f, closed, profiles)
}
