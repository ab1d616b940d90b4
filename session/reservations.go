package session

import (
	"context"
	"time"

	"wavryhost/session/admission"
)

// The errors and values of reservations are those of admission.
var (
	ErrUnknownReservation = admission.ErrUnknownReservation
	ErrBadReservation     = admission.ErrBadReservation
	ErrKeyReused          = admission.ErrKeyReused
)

// Reserve keeps a place for a session, which the viewer takes by naming it in its Offer. Reservations count as sessions.
func (m *Manager) Reserve(ctx context.Context, r admission.ReservationRequest) (admission.Reservation, error) {
	l, err := m.reserve(ctx, r)
	if err != nil {
		m.refused(err, r.Display)
	}
	return l, err
}

func (m *Manager) reserve(ctx context.Context, r admission.ReservationRequest) (admission.Reservation, error) {
	if err := r.Validate(); err != nil {
		return admission.Reservation{}, err
	}
	if err := m.checkChange(Change{MaxBitrate: &r.MaxBitrate, Weight: orNil(r.Weight)}); err != nil {
		return admission.Reservation{}, err
	}
	d, err := m.display(ctx, r.Display)
	if err != nil {
		return admission.Reservation{}, err
	}
	r.Display = d.ID
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed() {
		return admission.Reservation{}, ErrDraining
	}
	codec := m.usual()
	l, fresh, err := m.admission.Reserve(r, m.request(d, r.MaxBitrate, codec), m.loads(time.Now(), codec))
	if err != nil || !fresh {
		return l, err
	}
	m.met.reservations.Set(float64(m.admission.Reserved()))
	event := m.emit(Event{Kind: EventReserved, Display: l.Display, Reservation: l.ID})
	m.log.Info("place reserved", "event", event, "display", l.Display, "hold_seconds", l.Expires.Sub(l.Created).Seconds())
	return l, nil
}

// reservationEnded makes the end of a reservation known. The caller holds mu.
func (m *Manager) reservationEnded(l admission.Reservation, why string) {
	m.met.reservations.Set(float64(m.admission.Reserved()))
	m.met.reservationsEnded.WithLabelValues(why).Inc()
	event := m.emit(Event{
		Kind: EventReservationEnded, Session: l.Session, Display: l.Display, Reservation: l.ID, Reason: why,
	})
	m.log.Info("reservation ended", "event", event, "reason", why, "display", l.Display)
}

// Reservations returns those that are not used yet, the one that expires next first.
func (m *Manager) Reservations() []admission.Reservation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.admission.Reservations()
}

// Release ends a reservation that was not used.
func (m *Manager) Release(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.admission.Release(id)
}

func orNil(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// admit returns a ticket for a session that is to be created, and adds to wg. A session that has to make room is ended
// first.
func (m *Manager) admit(ctx context.Context, o Offer, d Display, codec string) (*admission.Ticket, error) {
	const tries = 3 // each ends a session; others may be faster to take its place
	for try := 1; ; try++ {
		t, replace, err := m.tryAdmit(o, d, codec, try < tries)
		if replace == nil {
			return t, err
		}
		select {
		case <-replace.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryAdmit is admit, except that it returns a session that has to make room and that it began to end.
func (m *Manager) tryAdmit(
	o Offer, d Display, codec string, mayReplace bool,
) (t *admission.Ticket, replace *held, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed() {
		return nil, nil, ErrDraining
	}
	ceiling := o.MaxBitrate
	if l, ok := m.admission.Reservation(o.Reservation); ok && l.MaxBitrate != 0 {
		ceiling = l.MaxBitrate
	}
	r := m.request(d, ceiling, codec)
	r.Reservation, r.Owner, r.Guest, r.MaxSessions = o.Reservation, o.Owner, o.Guest, o.MaxSessions
	t, id, err := m.admission.Admit(r, m.loads(time.Now(), codec), mayReplace)
	switch {
	case err != nil:
		return nil, nil, err
	case id != "":
		replace = m.sessions[id]
		if !replace.ending {
			m.beginEnd(replace, EndReplaced)
		}
		return nil, replace, nil
	default:
		m.wg.Add(1)
		return t, nil, nil
	}
}

// cancel gives back a ticket whose session was not created.
func (m *Manager) cancel(t *admission.Ticket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.admission.Cancel(t, m.drain != nil)
}
