package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	// ErrUnknownLease means that no reservation has that id: it has expired, was used or given back.
	ErrUnknownLease = errors.New("session: unknown reservation")
	// ErrBadLease means that a place cannot be reserved, or used, like that.
	ErrBadLease = errors.New("session: reservation not possible")
	// ErrKeyReused means that an idempotency key came before with another request.
	ErrKeyReused = errors.New("session: idempotency key was used for something else")
)

// How long a place is kept, and how long and for how many requests idempotency keys are remembered.
const (
	defaultLease, longestLease = 15 * time.Second, 2 * time.Minute
	keepKeys                   = 10 * time.Minute
	mostKeys                   = 4096
	longestKey                 = 128
)

// Reservation asks for a place for a session that is to come.
type Reservation struct {
	// Display is a Display's ID, or "default" for the first one.
	Display string
	// Hold is how long the place is kept, 2 minutes at most. It defaults to 15 s.
	Hold time.Duration
	// MaxBitrate and Weight are the session's to be; see Change. Zero ones are left to the host.
	MaxBitrate, Weight int
	// Region is where the session's STUN and TURN servers are to stand; see Offer.
	Region string
	// Key makes the same request again yield the same lease, for 10 minutes; empty for no such thing. Owner is whose key it is.
	Key, Owner string
}

// Lease is a place that is kept.
type Lease struct {
	ID         string    `json:"id" doc:"What the viewer names when it comes."`
	Display    string    `json:"display" doc:"Id of the display that the place is for."`
	Created    time.Time `json:"created" doc:"When the place was reserved."`
	Expires    time.Time `json:"expires" doc:"When the place is given to others, unless a session has it by then."`
	MaxBitrate int       `json:"max_bitrate" doc:"The session's ceiling, in bit/s; 0 for that of the host."`
	Weight     int       `json:"weight" doc:"The session's share where something is short; a number of 1 to 1000."`
	Region     string    `json:"region,omitempty" doc:"Region of the ICE servers to use, where one was asked for."`
	Session    string    `json:"session,omitempty" doc:"Id of the session that took the place; absent before."`

	expected expected
}

// leases are the places that are kept, and what is remembered of requests. The Manager's mutex guards them.
type leases struct {
	open map[string]*Lease
	keys map[string]*keyed
}

// keyed is the answer to a request with an idempotency key.
type keyed struct {
	at   time.Time
	what Reservation
	id   string
	last Lease // as it was when it was used or expired
}

func newLeases() leases { return leases{open: make(map[string]*Lease), keys: make(map[string]*keyed)} }

// Reserve keeps a place for a session, which the viewer takes by naming it in its Offer. Places that are kept count as sessions.
func (m *Manager) Reserve(ctx context.Context, r Reservation) (Lease, error) {
	l, err := m.lease(ctx, r)
	if err != nil {
		m.refused(err, r.Display)
	}
	return l, err
}

func (m *Manager) lease(ctx context.Context, r Reservation) (Lease, error) {
	if r.Hold == 0 {
		r.Hold = defaultLease
	}
	switch {
	case r.Hold < 0 || r.Hold > longestLease:
		return Lease{}, fmt.Errorf("%w: a place is kept for %v at most, not %v", ErrBadLease, longestLease, r.Hold)
	case len(r.Key) > longestKey:
		return Lease{}, fmt.Errorf("%w: an idempotency key has %d bytes at most", ErrBadLease, longestKey)
	}
	if err := m.checkChange(Change{MaxBitrate: &r.MaxBitrate, Weight: orNil(r.Weight)}); err != nil {
		return Lease{}, err
	}
	d, err := m.display(ctx, r.Display)
	if err != nil {
		return Lease{}, err
	}
	r.Display = d.ID
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	name := r.Owner + "\x00" + r.Key
	if k := m.leases.keys[name]; r.Key != "" && k != nil && now.Sub(k.at) < keepKeys {
		if k.what != r {
			return Lease{}, ErrKeyReused
		}
		if l := m.leases.open[k.id]; l != nil {
			return *l, nil
		}
		return k.last, nil
	}
	expect, err := m.room(d, r.MaxBitrate, m.usual())
	if err != nil {
		return Lease{}, err
	}
	l := &Lease{
		ID: newID(), Display: d.ID, Created: now, Expires: now.Add(r.Hold), MaxBitrate: r.MaxBitrate, Weight: cmp.Or(r.Weight, m.cfg().rule(d.ID).Weight, defaultWeight),
		expected: expect, Region: r.Region,
	}
	m.leases.open[l.ID] = l
	if r.Key != "" {
		m.leases.forget(now)
		m.leases.keys[name] = &keyed{at: now, what: r, id: l.ID, last: *l}
	}
	m.met.leases.Set(float64(len(m.leases.open)))
	event := m.emit(Event{Kind: EventReserved, Display: l.Display, Reservation: l.ID})
	m.log.Info("place reserved", "event", event, "display", l.Display, "hold_seconds", r.Hold.Seconds())
	return *l, nil
}

func orNil(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// forget makes room for another key: those go first that are too old anyway, then the oldest.
func (l *leases) forget(now time.Time) {
	oldest := ""
	for name, k := range l.keys {
		switch {
		case now.Sub(k.at) >= keepKeys:
			delete(l.keys, name)
		case oldest == "" || k.at.Before(l.keys[oldest].at):
			oldest = name
		}
	}
	if len(l.keys) >= mostKeys {
		delete(l.keys, oldest)
	}
}

// Leases returns the places that are kept, the one that expires next in front.
func (m *Manager) Leases() []Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []Lease{}
	for _, l := range m.leases.open {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b Lease) int { return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID)) })
	return list
}

// Release gives a place back.
func (m *Manager) Release(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.leases.open[id]
	if l == nil {
		return ErrUnknownLease
	}
	m.giveUp(l, leaseReleased)
	return nil
}

// giveUp ends a reservation. The caller holds mu.
func (m *Manager) giveUp(l *Lease, why string) {
	delete(m.leases.open, l.ID)
	for _, k := range m.leases.keys {
		if k.id == l.ID {
			k.last = *l
		}
	}
	m.met.leases.Set(float64(len(m.leases.open)))
	m.met.leasesEnded.WithLabelValues(why).Inc()
	event := m.emit(Event{Kind: EventReservationEnded, Session: l.Session, Display: l.Display, Reservation: l.ID, Reason: why})
	m.log.Info("reservation ended", "event", event, "reason", why, "display", l.Display)
}

// expire gives up the places that nobody came for. The caller holds mu.
func (m *Manager) expire(now time.Time) {
	for _, l := range m.leases.open {
		if !now.Before(l.Expires) {
			m.giveUp(l, leaseExpired)
		}
	}
}

// taken is what a session that is being created holds: a place of its own, or that of a lease.
type taken struct {
	lease *Lease // nil without one
	put   func() // gives it back
	// expected is what the session is reckoned with.
	expected expected
	number   uint64 // among those that are being created
}

// made notes that a creation is over. The caller holds mu.
func (m *Manager) made(t taken) {
	m.reserved--
	delete(m.creating, t.number)
}

// take takes a place for a session that is being created, that of a lease where one is named, and an entry in wg. It may return a session instead that has to make room
// for it, if any is to yield.
func (m *Manager) take(o Offer, d Display, codec string, yield bool) (t taken, yields *held, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drain != nil || m.stopped {
		return taken{}, nil, ErrDraining
	}
	if yields, err = m.claim(o, yield); err != nil || yields != nil {
		return t, yields, err
	}
	lease, ceiling := o.Lease, o.MaxBitrate
	switch lease {
	case "":
		if v := m.squatter(o, d, time.Now()); v != nil && yield {
			return t, v, nil
		}
		if t.expected, err = m.room(d, ceiling, codec); err != nil {
			return t, nil, err
		}
	default:
		l := m.leases.open[lease]
		switch {
		case l == nil || !time.Now().Before(l.Expires):
			return t, nil, ErrUnknownLease
		case l.Display != d.ID:
			return t, nil, fmt.Errorf("%w: the place is for %s, not for %s", ErrBadLease, l.Display, d.ID)
		}
		delete(m.leases.open, lease) // two viewers with one lease: the second finds none; nor does it count beside its viewer
		t.lease, t.expected = l, l.expected
		if codec != m.usual() { // the place is kept whatever that takes, but it is reckoned with
			t.expected, _ = m.room(d, cmp.Or(l.MaxBitrate, ceiling), codec)
		}
	}
	m.reserved++
	t.number = m.takes
	m.takes++
	m.creating[t.number] = creation{t.expected, o.Owner}
	m.wg.Add(1)
	t.put = func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.made(t)
		switch {
		case t.lease == nil:
		case m.drain != nil:
			m.giveUp(t.lease, leaseDrained)
		default:
			m.leases.open[lease] = t.lease // the viewer may try again until it expires
		}
	}
	return t, nil, nil
}
