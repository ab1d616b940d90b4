package session

import (
	"errors"
	"sync"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
)

// moveTimeout is how long a viewer waits for the keyframe of the rung it moves to, before it stays where it is.
const moveTimeout = 3 * time.Second

// errMoved says that a viewer gets its pictures from another rung by now.
var errMoved = errors.New("session: viewer moved to another rung")

// seat is a viewer on a rung. A viewer that moves has two until the new rung gives it a keyframe: up to then it gets the pictures
// of the old one, from then on of the new one alone.
type seat struct {
	*viewer
	on *rung
}

var _ watcher = (*seat)(nil)

// seating is where a viewer sits.
type seating struct {
	mu    sync.Mutex // held while a picture is handed over, so that none of the old rung comes after the first of the new one
	here  *seat
	next  *seat // nil unless it moves
	since time.Time
}

// rung returns the rung that the viewer gets its pictures from.
func (v *viewer) rung() *rung {
	v.seats.mu.Lock()
	defer v.seats.mu.Unlock()
	return v.seats.here.on
}

// nudge makes the encode loops of the viewer's rungs look at it again.
func (v *viewer) nudge() {
	v.seats.mu.Lock()
	defer v.seats.mu.Unlock()
	v.seats.here.on.nudge()
	if v.seats.next != nil {
		v.seats.next.on.nudge()
	}
}

// sit takes the viewer's first seat.
func (v *viewer) sit(on *rung) { v.seats.here = &seat{viewer: v, on: on} }

// join makes the rung know the viewer.
func (v *viewer) join() { v.seats.here.on.join(v.seats.here) }

// leave gives up all seats.
func (v *viewer) leave() {
	v.seats.mu.Lock()
	here, next := v.seats.here, v.seats.next
	v.seats.next = nil
	v.seats.mu.Unlock()
	here.on.leave(here)
	if next != nil {
		next.on.leave(next)
	}
}

// move begins to move the viewer to another rung.
func (s *seat) move(to *rung) {
	v := s.viewer
	v.seats.mu.Lock()
	if v.seats.here != s || v.seats.next != nil || to == s.on {
		v.seats.mu.Unlock()
		return
	}
	next := &seat{viewer: v, on: to}
	v.seats.next, v.seats.since = next, time.Now()
	v.seats.mu.Unlock()
	to.join(next)
	s.on.nudge()
}

// giveUp ends a move that takes too long.
func (v *viewer) giveUp(now time.Time) {
	v.seats.mu.Lock()
	next := v.seats.next
	if next == nil || now.Sub(v.seats.since) < moveTimeout {
		v.seats.mu.Unlock()
		return
	}
	v.seats.next = nil
	v.seats.mu.Unlock()
	next.on.leave(next)
}

// moving tells whether the viewer leaves this seat, and whether it is on its way to it.
func (s *seat) moving() (leaving, arriving bool) {
	v := s.viewer
	v.seats.mu.Lock()
	defer v.seats.mu.Unlock()
	return v.seats.here != s || v.seats.next != nil, v.seats.here != s
}

func (s *seat) ask(now time.Time) ask {
	a := s.viewer.ask(now)
	leaving, arriving := s.moving()
	a.arriving, a.leaving = arriving, leaving && !arriving
	if a.leaving {
		a.key = false // whoever asked is served by the new rung's first picture
	}
	return a
}

func (s *seat) need(now time.Time, why adapt.KeyframeReason) { s.viewer.need(now, why) }

func (s *seat) take(au encode.AccessUnit, what shown) error {
	v := s.viewer
	v.seats.mu.Lock()
	defer v.seats.mu.Unlock()
	switch {
	case s == v.seats.next && au.Key:
		old := v.seats.here
		v.seats.here, v.seats.next = s, nil
		old.on.leave(old)
		v.arrived(old.on, s.on)
	case s != v.seats.here:
		return errMoved
	}
	return v.take(au, what)
}

func (s *seat) applied(a adapt.Applied) {
	if leaving, arriving := s.moving(); !leaving && !arriving {
		s.viewer.applied(a)
	}
}
