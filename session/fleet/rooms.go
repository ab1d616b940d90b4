package fleet

import (
	"sync"
	"time"

	"wavryhost/session/fleet/bus"
)

const (
	// roomAge is how long a look at the room counts for further questions.
	roomAge = 100 * time.Millisecond
	// maxRooms and maxHeld bound what is remembered.
	maxRooms, maxHeld = 64, 4096
	// heldFor is how long a host knows which placements it has answered, as idempotency keys of the control API.
	heldFor = 10 * time.Minute
)

// rooms remembers looks at the room, and the placements that the host has answered.
type rooms struct {
	mu   sync.Mutex // guards all following fields
	seen map[bus.Ask]look
	held map[string]placed
}

type look struct {
	room Room
	at   time.Time
}

// placed is a placement that the host has accepted, on a display.
type placed struct {
	display string
	at      time.Time
}

// of returns the room for an Ask; ask looks at the host.
func (r *rooms) of(a bus.Ask, now time.Time, ask func(bus.Ask) Room) Room {
	a.ID, a.Select, a.Share = "", "", 0
	r.mu.Lock()
	l, ok := r.seen[a]
	r.mu.Unlock()
	if ok && now.Sub(l.at) < roomAge {
		return l.room
	}
	room := ask(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil || len(r.seen) >= maxRooms {
		r.seen = make(map[bus.Ask]look)
	}
	r.seen[a] = look{room, now}
	return room
}

// forget makes the next Ask look again.
func (r *rooms) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.seen)
}

// hold remembers a placement that the host has accepted.
func (r *rooms) hold(id, display string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		r.held = make(map[string]placed)
	}
	if len(r.held) >= maxHeld {
		for one, p := range r.held {
			if now.Sub(p.at) > heldFor {
				delete(r.held, one)
			}
		}
	}
	if len(r.held) < maxHeld {
		r.held[id] = placed{display, now}
	}
}

// holds reports whether the host has accepted a placement, and returns its display.
func (r *rooms) holds(id string, now time.Time) (display string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.held[id]
	return p.display, ok && now.Sub(p.at) <= heldFor
}
