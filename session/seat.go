package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/guard"
)

// moveTimeout is how long a viewer waits for the keyframe of the rung it moves to, before it stays where it is.
const moveTimeout = 3 * time.Second

// errMoved says that a viewer gets its pictures from another rung by now.
var errMoved = errors.New("session: viewer moved to another rung")

// seat is a viewer on a rung. A viewer that moves has two until the new rung gives it a keyframe: up to then it gets the pictures
// of the old one, from then on of the new one alone.
type seat struct {
	*viewer
	stage *openStage
	on    *rung
	hold  bool // whoever sits here is a user of the stage; guarded by the seating's mu
}

var _ watcher = (*seat)(nil)

// seating is where a viewer sits.
type seating struct {
	// mu is held while a picture is handed over, so that none of the old rung comes after the first of the new one. The viewer's ctl is taken with it held,
	// and so never the other way round.
	mu    sync.Mutex
	here  *seat
	next  *seat // nil unless it moves
	since time.Time
	left  bool

	// shown is here again, to be read with any lock held: a controller's events name the display.
	shown atomic.Pointer[seat]
	// heading is next again, to be read with any lock held.
	heading atomic.Pointer[seat]
}

// seat returns where the viewer gets its pictures from. It takes no lock.
func (v *viewer) seat() *seat { return v.seats.shown.Load() }

// rung returns the rung that the viewer gets its pictures from.
func (v *viewer) rung() *rung { return v.seat().on }

// showing returns the id of the display that the viewer sees.
func (v *viewer) showing() string { return v.seat().stage.display.ID }

// heading returns the id of the display that the viewer is about to see, empty for none.
func (v *viewer) heading() string {
	if to := v.seats.heading.Load(); to != nil {
		return to.stage.display.ID
	}
	return ""
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

// sit takes the viewer's first seat, and takes over a hold of the stage.
func (v *viewer) sit(st *openStage, on *rung) {
	v.seats.here = &seat{viewer: v, stage: st, on: on, hold: true}
	v.seats.shown.Store(v.seats.here)
}

// join makes the rung know the viewer.
func (v *viewer) join() { v.seats.here.on.join(v.seats.here) }

// leave gives up all seats but keeps their holds; see vacate. There are no moves after it.
func (v *viewer) leave() {
	v.seats.mu.Lock()
	v.seats.left = true
	here, next := v.seats.here, v.seats.next
	v.seats.mu.Unlock()
	here.on.leave(here)
	if next != nil {
		next.on.leave(next)
	}
}

// vacate gives back the holds of a viewer that left.
func (v *viewer) vacate() {
	v.seats.mu.Lock()
	defer v.seats.mu.Unlock()
	for _, s := range []*seat{v.seats.here, v.seats.next} {
		if s != nil && s.hold {
			s.hold = false
			v.giveBack(s.stage)
		}
	}
}

// move begins to move the viewer to another rung of the same display.
func (s *seat) move(to *rung) { s.moveTo(s.stage, to, false) }

// moveTo begins to move the viewer to a rung, with a hold of its stage where that is another one. It tells whether it did; a viewer
// makes one move at a time.
func (v *viewer) moveTo(st *openStage, to *rung, hold bool) bool {
	if to == nil {
		return false
	}
	v.seats.mu.Lock()
	defer v.seats.mu.Unlock()
	here := v.seats.here
	if v.seats.left || v.seats.next != nil || to == here.on || !hold && st != here.stage {
		return false
	}
	next := &seat{viewer: v, stage: st, on: to, hold: hold}
	v.seats.next, v.seats.since = next, time.Now()
	v.seats.heading.Store(next)
	to.join(next) // with the mutex held: whoever leaves next finds it joined
	here.on.nudge()
	return true
}

// giveUp ends a move that takes too long.
func (v *viewer) giveUp(now time.Time) {
	v.seats.mu.Lock()
	next := v.seats.next
	if next == nil || v.seats.left || now.Sub(v.seats.since) < moveTimeout {
		v.seats.mu.Unlock()
		return
	}
	v.seats.next = nil
	v.seats.heading.Store(nil)
	held := next.hold
	v.seats.mu.Unlock()
	next.on.leave(next)
	if held {
		v.giveBack(next.stage)
	}
}

// moving tells whether the viewer leaves this seat, and whether it is on its way to it.
func (s *seat) moving() (leaving, arriving bool) {
	v := s.viewer
	v.seats.mu.Lock()
	defer v.seats.mu.Unlock()
	return v.seats.here != s || v.seats.next != nil, v.seats.here != s
}

// The encode loop calls what follows, for all viewers of its rung: a panic that is one viewer's own must not stop the others.

func (s *seat) ask(now time.Time) ask {
	defer s.guard.Recover(partSession)
	a := s.viewer.ask(now)
	if s.limits != (encode.DecoderLimits{}) {
		p := s.stage.picture()
		a.bound(s.limits, p.X, p.Y)
	}
	leaving, arriving := s.moving()
	a.arriving, a.leaving = arriving, leaving && !arriving
	if a.leaving {
		a.key = false // whoever asked is served by the new rung's first picture
	}
	return a
}

func (s *seat) need(now time.Time, why adapt.KeyframeReason) {
	defer s.guard.Recover(partSession)
	s.viewer.need(now, why)
}

func (s *seat) take(au encode.AccessUnit, what shown) (err error) {
	v := s.viewer
	defer func() {
		if _, panicked := errors.AsType[*guard.PanicError](err); panicked {
			v.crashed(err)
		}
	}()
	defer v.guard.Catch(partSession, &err)
	v.seats.mu.Lock()
	defer v.seats.mu.Unlock()
	switch {
	case v.seats.left:
		return errMoved
	case s == v.seats.next && au.Key:
		old := v.seats.here
		v.seats.here, v.seats.next = s, nil
		v.seats.shown.Store(s)
		v.seats.heading.Store(nil)
		old.on.leave(old)
		if s.hold {
			v.giveBack(old.stage)
		}
		s.hold = true // else it takes over the old seat's
		v.arrived(old, s)
	case s != v.seats.here:
		return errMoved
	}
	return v.take(au, what)
}

func (s *seat) applied(a adapt.Applied) {
	defer s.guard.Recover(partSession)
	if leaving, arriving := s.moving(); !leaving && !arriving {
		s.viewer.applied(a)
	}
}
