package session

import (
	"context"

	"wavryhost/encode"
	"wavryhost/session/admission"
)

// admit returns a ticket for a session that is to be created, and its display, and adds to wg. It first ends a session
// that must make room.
func (r *registry) admit(ctx context.Context, o Offer, d Display, format encode.Format) (
	*admission.Ticket, Display, error,
) {
	const tries = 3 // each ends a session; others may be faster to take its place
	for try := 1; ; try++ {
		t, chosen, replace, err := r.tryAdmit(o, d, format, try < tries)
		if replace == nil {
			return t, chosen, err
		}
		select {
		case <-replace.done:
		case <-ctx.Done():
			return nil, d, ctx.Err()
		}
	}
}

// tryAdmit is admit, except that it begins to end the session that must make room, and returns that session.
func (r *registry) tryAdmit(o Offer, d Display, format encode.Format, mayReplace bool) (
	t *admission.Ticket, chosen Display, replace *session, err error,
) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.host.Closed() {
		return nil, d, nil, ErrDraining
	}
	now := r.snapshot(format)
	if o.Probe {
		r.wg.Add(1)
		return &admission.Ticket{}, d.orFirst(), nil, nil
	}
	ceiling := o.MaxBitrate
	if l, ok := r.admission.Reservation(o.Reservation); ok {
		d = d.member(l.Display)
		if l.MaxBitrate != 0 {
			ceiling = l.MaxBitrate
		}
	}
	id := ""
	chosen, err = r.groups.place(r.admission, d, visitorOf(o), now, func(one Display) (err error) {
		q := r.capacity.request(one, ceiling, format)
		q.Reservation, q.Owner, q.Guest, q.MaxSessions = o.Reservation, o.Owner, o.Guest, o.MaxSessions
		t, id, err = r.admission.Admit(q, now, mayReplace)
		return err
	})
	switch {
	case err != nil:
		return nil, d, nil, err
	case id != "":
		replace = r.sessions[id]
		if !replace.ending {
			r.beginEnd(replace, EndReplaced)
		}
		return nil, d, replace, nil
	default:
		r.wg.Add(1)
		return t, chosen, nil, nil
	}
}

// depart makes room for a session on another display, or in another format. undo is to be called once it heads there
// or, with failed set, does not. It returns the display, which is a member of d if d is a group.
func (r *registry) depart(s *session, d Display, ceiling int, format encode.Format) (
	chosen Display, undo func(failed bool), err error,
) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.id] == nil {
		return d, nil, ErrUnknownSession
	}
	now := r.snapshot(format)
	var move *admission.Move
	chosen, err = r.groups.place(r.admission, d, visitorOf(s.offer), now, func(one Display) (err error) {
		move, err = r.admission.Move(s.id, r.capacity.request(one, ceiling, format), now)
		return err
	})
	if err != nil {
		return d, nil, err
	}
	return chosen, func(failed bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.admission.Done(move, failed)
	}, nil
}
