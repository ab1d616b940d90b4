package admission

// Admit returns a ticket for a session, or the error that says what is short. If mayReplace is set, it may return the
// ID of a session instead: a session that never connected and must end before the request is repeated.
func (a *Admitter) Admit(r Request, s Snapshot, mayReplace bool) (t *Ticket, replace string, err error) {
	if replace, err = a.checkOwner(r, s, mayReplace); err != nil || replace != "" {
		return nil, replace, err
	}
	t = &Ticket{owner: r.Owner}
	if r.Reservation == "" {
		if id := a.squatter(r, s); id != "" && mayReplace {
			return nil, id, nil
		}
		if t.load, err = a.fits(r, s, nil); err != nil {
			return nil, "", err
		}
	} else {
		if t.from, err = a.usable(r, s.Now); err != nil {
			return nil, "", err
		}
		// Of two viewers with one reservation the second finds none.
		delete(a.reservations, t.from.ID)
		t.load = t.from.load
		if t.load.format != r.Format { // the place is kept whatever the viewer's format takes
			t.load, _ = a.fits(r, s, nil)
		}
	}
	a.tickets[t] = struct{}{}
	return t, "", nil
}

// Use ends a ticket: its session exists.
func (a *Admitter) Use(t *Ticket, session string) {
	delete(a.tickets, t)
	a.sessions[session] = promise{load: t.load}
	if t.from != nil {
		t.from.Session = session
		a.end(t.from, EndUsed)
	}
}

// Cancel ends a ticket whose session was not created. Its reservation can be used again until it expires, unless
// closed is set: a host that drains keeps none.
func (a *Admitter) Cancel(t *Ticket, closed bool) {
	if _, ok := a.tickets[t]; !ok {
		return
	}
	delete(a.tickets, t)
	switch {
	case t.from == nil:
	case closed:
		a.end(t.from, EndDrained)
	default:
		a.reservations[t.from.ID] = t.from
	}
}

// Forget drops what is kept of a session that is gone.
func (a *Admitter) Forget(session string) { delete(a.sessions, session) }

// Move returns the right to move a session to the display of a request, or the error that says what is short. What the
// session takes where it is does not count beside what it will take.
func (a *Admitter) Move(session string, r Request, s Snapshot) (*Move, error) {
	i := s.find(session)
	if i < 0 {
		return nil, ErrFull // it has ended
	}
	load, err := a.fits(r, s, &s.Sessions[i])
	if err != nil {
		return nil, err
	}
	m := &Move{session: session, display: r.Display, before: a.sessions[session]}
	a.sessions[session] = promise{load: load, moved: s.Now}
	a.moves[m] = struct{}{}
	return m, nil
}

// Done ends the right to move: the session is on its way or, with failed set, stays where it was.
func (a *Admitter) Done(m *Move, failed bool) {
	delete(a.moves, m)
	if _, ok := a.sessions[m.session]; failed && ok {
		a.sessions[m.session] = m.before
	}
}
