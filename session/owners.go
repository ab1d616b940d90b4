package session

import (
	"context"
	"fmt"
	"time"

	"wavryhost/session/admission"
)

// ResourceOwner is the limit on the sessions of one owner.
const ResourceOwner = "owner"

// From so many places on, one is kept for operators: they get in while the others are taken.
const keptFrom = 3

// creation is a session that is being created.
type creation struct {
	expected
	owner Owner
}

// possessions are the sessions of an owner.
type possessions struct {
	all, connecting int
	// waiting is the oldest one that never connected; nil for none.
	waiting *held
	guest   bool
}

// possessed returns what each owner has, and how many sessions are not ending. The caller holds mu.
func (m *Manager) possessed() map[Owner]*possessions {
	all := make(map[Owner]*possessions)
	of := func(o Owner) *possessions {
		if all[o] == nil {
			all[o] = &possessions{}
		}
		return all[o]
	}
	for _, h := range m.sessions {
		p := of(h.offer.Owner)
		p.all++
		p.guest = h.offer.Guest
		h.mu.Lock()
		connecting, never := h.life.state == stateConnecting, h.connected.IsZero()
		h.mu.Unlock()
		if connecting {
			p.connecting++
		}
		if never && !h.ending && (p.waiting == nil || h.created.Before(p.waiting.created)) {
			p.waiting = h
		}
	}
	for _, c := range m.creating {
		p := of(c.owner)
		p.all++
		p.connecting++
	}
	return all
}

// enter takes a place for a session that is to be created; see take. A session that has to make room for it is ended first.
func (m *Manager) enter(ctx context.Context, o Offer, d Display, codec string) (taken, error) {
	const tries = 3 // each ends a session; others may be faster to take its place
	for try := 1; ; try++ {
		t, yields, err := m.take(o, d, codec, try < tries)
		if yields == nil {
			return t, err
		}
		m.mu.Lock()
		if !yields.ending {
			m.beginEnd(yields, EndReplaced)
		}
		m.mu.Unlock()
		select {
		case <-yields.done:
		case <-ctx.Done():
			return taken{}, ctx.Err()
		}
	}
}

// claim checks what the owner of an offer may have beside the others. It returns the session that has to make room for it, which never connected, or nil, or why there
// is no room. What all owners together may have is for room to say. The caller holds mu.
func (m *Manager) claim(o Offer, yield bool) (*held, error) {
	guest := o.Guest && o.Lease == "" // a reserved place was given by an operator
	all := m.possessed()
	mine := all[o.Owner]
	if mine == nil {
		mine = &possessions{}
	}
	places, handshakes := kept(m.limit(), guest), kept(m.cfg().MaxHandshakes, guest)
	if most, connecting := m.allowance(o), max(1, handshakes/4); guest && (mine.all >= most || mine.connecting >= connecting) {
		if yield && mine.waiting != nil {
			return mine.waiting, nil
		}
		return nil, &RefusalError{
			Resource: ResourceOwner, RetryAfter: jitter(5 * time.Second), text: fmt.Sprintf("whoever opens sessions may have %d at a time, %d of them connecting", most, min(most, connecting)),
		}
	}
	taken, hands := len(m.sessions)+m.reserved+len(m.leases.open), m.handshaking()
	full := taken >= places && o.Lease == ""
	if !full && hands < handshakes {
		return nil, nil //nolint:nilnil // there is room
	}
	if v := victim(all, o, guest, mine.all); v != nil && yield {
		return v, nil
	}
	switch {
	case hands >= handshakes:
		return nil, &RefusalError{
			Resource: ResourceHandshakes, RetryAfter: jitter(2 * time.Second), text: fmt.Sprintf("%d viewers are connecting; more at a time would slow all of them down", hands),
		}
	case taken < m.limit():
		return nil, &RefusalError{Resource: string(admission.Sessions), RetryAfter: jitter(patienceFor(admission.Sessions)), text: "the last place is kept for operators"}
	}
	return nil, nil //nolint:nilnil // room says what is short
}

// victim returns the session that makes room for an offer of an owner with so many of its own: of the guest who holds most, the oldest that never connected. Guests take
// places from those alone who have more than they will have.
func victim(all map[Owner]*possessions, o Offer, guest bool, mine int) *held {
	var most *possessions
	for owner, p := range all {
		if owner == o.Owner || p.waiting == nil || !p.guest || guest && p.all <= mine+1 {
			continue
		}
		if most == nil || p.all > most.all || p.all == most.all && p.waiting.created.Before(most.waiting.created) {
			most = p
		}
	}
	if most == nil {
		return nil
	}
	return most.waiting
}

// allowance is how many sessions the owner of an offer may have: what its credential or the configuration says, but one less than guests can have, so that none takes all.
func (m *Manager) allowance(o Offer) int {
	most := m.cfg().MaxPerOwner
	if o.MaxSessions > 0 {
		most = o.MaxSessions
	}
	return min(most, max(1, kept(m.limit(), true)-1))
}

// kept is how many of so many places there are for who comes.
func kept(places int, guest bool) int {
	if guest && places >= keptFrom {
		return places - 1
	}
	return places
}
