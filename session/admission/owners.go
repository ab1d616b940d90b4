package admission

import (
	"time"
)

// keptFrom is the number of places from which on one is kept for operators: they get in while the others are taken.
const keptFrom = 3

// holdings are the sessions of one owner.
type holdings struct {
	all, connecting int
	// waiting is the oldest session that never connected; nil for none.
	waiting *Session
	guest   bool
}

// holdings returns what each owner has.
func (a *Admitter) holdings(s Snapshot) map[Owner]*holdings {
	all := make(map[Owner]*holdings)
	of := func(o Owner) *holdings {
		if all[o] == nil {
			all[o] = &holdings{}
		}
		return all[o]
	}
	for i := range s.Sessions {
		one := &s.Sessions[i]
		h := of(one.Owner)
		h.all++
		h.guest = one.Guest
		if one.Connecting {
			h.connecting++
		}
		if one.waiting() && (h.waiting == nil || one.Created.Before(h.waiting.Created)) {
			h.waiting = one
		}
	}
	for t := range a.tickets {
		h := of(t.owner)
		h.all++
		h.connecting++
	}
	return all
}

// checkOwner checks what the owner of a request may have in addition. It returns the session that must make room,
// or why there is no room. The total of all owners is for fits to check.
func (a *Admitter) checkOwner(r Request, s Snapshot, mayReplace bool) (replace string, err error) {
	reserved := r.Reservation != "" // an operator gave the place
	guest := r.Guest && !reserved
	all := a.holdings(s)
	own := all[r.Owner]
	if own == nil {
		own = &holdings{}
	}
	places, handshakes := kept(s.Limits.Sessions, guest), kept(s.Limits.Handshakes, guest)
	most, connecting := allowance(r, s.Limits), max(1, handshakes/4)
	if guest && (own.all >= most || own.connecting >= connecting) {
		if mayReplace && own.waiting != nil {
			return own.waiting.ID, nil
		}
		return "", refuse(PerOwner, 5*time.Second, "an owner may have %d sessions, %d of them connecting",
			most, min(most, connecting))
	}
	taken, hands := len(s.Sessions)+len(a.tickets)+len(a.reservations), a.handshaking(s)
	full := taken >= places && !reserved
	if !full && hands < handshakes {
		return "", nil
	}
	if v := victim(all, r.Owner, guest, own.all); v != nil && mayReplace {
		return v.ID, nil
	}
	switch {
	case hands >= handshakes:
		return "", refuse(Handshakes, 2*time.Second,
			"%d viewers are connecting; more at a time would slow all of them down", hands)
	case taken < s.Limits.Sessions:
		return "", refuse(Sessions, patience(Sessions), "the last place is kept for operators")
	}
	return "", nil // fits says what is short
}

// handshaking returns the number of sessions that are connecting.
func (a *Admitter) handshaking(s Snapshot) int {
	n := len(a.tickets)
	for i := range s.Sessions {
		if s.Sessions[i].Connecting {
			n++
		}
	}
	return n
}

// victim returns the session that makes room for another owner's: of the guest with the most sessions, the oldest that
// never connected. Guests take places only from owners that have more than they will have.
func victim(all map[Owner]*holdings, o Owner, guest bool, own int) *Session {
	var most *holdings
	for owner, h := range all {
		if owner == o || h.waiting == nil || !h.guest || guest && h.all <= own+1 {
			continue
		}
		if most == nil || h.all > most.all || h.all == most.all && h.waiting.Created.Before(most.waiting.Created) {
			most = h
		}
	}
	if most == nil {
		return nil
	}
	return most.waiting
}

// allowance returns how many sessions the owner of a request may have: its own limit or the host's, but one less than
// guests can have, so that none takes all.
func allowance(r Request, l Limits) int {
	most := l.PerOwner
	if r.MaxSessions > 0 {
		most = r.MaxSessions
	}
	return min(most, max(1, kept(l.Sessions, true)-1))
}

// kept returns how many of so many places a request may have.
func kept(places int, guest bool) int {
	if guest && places >= keptFrom {
		return places - 1
	}
	return places
}
