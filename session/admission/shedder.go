package admission

import (
	"cmp"
	"slices"
	"time"

	"wavryhost/session/enum"
)

// Level is how far a display's sessions are lowered.
type Level uint8

// The levels, in the order in which they are taken.
const (
	// Whole: nothing is taken away.
	Whole Level = iota
	// HalfRate: half of the frame rate.
	HalfRate
	// Smaller: three quarters of the size, too.
	Smaller
	// Least: a quarter of the frame rate and half of the size.
	Least
	// Dropped: its sessions are ended.
	Dropped
)

func (l Level) String() string { return enum.Name(levels[:], l) }

var levels = [...]string{
	Whole:    "whole",
	HalfRate: "half_rate",
	Smaller:  "smaller",
	Least:    "least",
	Dropped:  "dropped",
}

// Levels lists all levels.
func Levels() []Level { return enum.All[Level](levels[:]) }

// Caps returns what is left of the frame rate and of the size, in each direction.
func (l Level) Caps() (rate, size float64) {
	switch l {
	case HalfRate:
		return 0.5, 1
	case Smaller:
		return 0.5, 0.75
	case Least, Dropped:
		return 0.25, 0.5
	case Whole:
	}
	return 1, 1
}

// When sessions are lowered and raised.
const (
	// lowerAt and raiseAt are parts of the cores in use.
	lowerAt, raiseAt = 0.97, 0.7
	// lowerAfter is how long the host must be saturated before a step, longer than a program takes to start. What a
	// step gave shows within that time.
	lowerAfter = 3 * time.Second
	// raiseAfter is how long there must be room before a step is taken back; it doubles, up to raiseMost, when that
	// saturated the host again.
	raiseAfter, raiseMost = 10 * time.Second, 2 * time.Minute
	// dropAfter is how long the host must be saturated though all are lowered, before the least important are ended.
	dropAfter = 30 * time.Second
)

// Unit is what is lowered together: the sessions of a display, which share its encodes.
type Unit struct {
	ID string
	// Weight is the largest of its sessions'.
	Weight int
	// Cost is what it takes, in cores.
	Cost float64
}

// Step is one change of a level.
type Step struct {
	ID       string
	From, To Level
}

// Shedder decides which units to lower while the host is saturated: the least important first, and the most expensive
// among equals, each as far as it goes before the next. They are raised again in the reverse order. The zero value is
// ready to use.
type Shedder struct {
	levels         map[string]Level
	order          []string // lowered displays, the first one first
	busy, roomy    time.Time
	wait           time.Duration // before a step is taken back
	raised, stepAt time.Time
}

// Level returns how far a unit is lowered.
func (s *Shedder) Level(id string) Level { return s.levels[id] }

// Next returns the step to take now, if any. load is the part of the cores that is in use, from 0 to 1. A step that is
// returned counts as taken.
func (s *Shedder) Next(now time.Time, load float64, units []Unit) (Step, bool) {
	s.forget(units)
	switch {
	case load >= lowerAt:
		s.roomy = time.Time{}
		if s.busy.IsZero() {
			s.busy = now
		}
		return s.lower(now, units)
	case load <= raiseAt:
		s.busy = time.Time{}
		if s.roomy.IsZero() {
			s.roomy = now
		}
		return s.raise(now)
	default:
		s.busy, s.roomy = time.Time{}, time.Time{}
		return Step{}, false
	}
}

func (s *Shedder) lower(now time.Time, units []Unit) (Step, bool) {
	if now.Sub(s.busy) < lowerAfter || now.Sub(s.stepAt) < lowerAfter && !s.stepAt.IsZero() {
		return Step{}, false
	}
	line := slices.Clone(units)
	slices.SortFunc(line, func(a, b Unit) int {
		return cmp.Or(cmp.Compare(a.Weight, b.Weight), cmp.Compare(b.Cost, a.Cost), cmp.Compare(a.ID, b.ID))
	})
	for _, u := range line {
		if s.levels[u.ID] < Least {
			if !s.raised.IsZero() && now.Sub(s.raised) < 3*lowerAfter {
				s.wait = min(2*max(s.wait, raiseAfter), raiseMost)
			}
			return s.take(now, u.ID, s.levels[u.ID]+1), true
		}
	}
	line = slices.DeleteFunc(line, func(u Unit) bool { return s.levels[u.ID] == Dropped }) // they are going
	if len(line) < 2 || now.Sub(s.stepAt) < dropAfter {
		return Step{}, false // the last display is never dropped: nobody would be helped
	}
	return s.take(now, line[0].ID, Dropped), true
}

func (s *Shedder) raise(now time.Time) (Step, bool) {
	if len(s.order) == 0 || now.Sub(s.roomy) < max(s.wait, raiseAfter) || now.Sub(s.stepAt) < max(s.wait, raiseAfter) {
		return Step{}, false
	}
	id := s.order[len(s.order)-1]
	s.raised = now
	return s.take(now, id, s.levels[id]-1), true
}

func (s *Shedder) take(now time.Time, id string, to Level) Step {
	step := Step{ID: id, From: s.levels[id], To: to}
	if s.levels == nil {
		s.levels = make(map[string]Level)
	}
	s.levels[id], s.stepAt = to, now
	if step.From == Whole {
		s.order = append(s.order, id)
	}
	switch to {
	case Whole:
		delete(s.levels, id)
		s.leave(id)
	case Dropped: // it stays so until its sessions are gone
		s.leave(id)
	case HalfRate, Smaller, Least:
	}
	return step
}

func (s *Shedder) leave(id string) {
	s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == id })
}

// forget drops what is known of units that are gone.
func (s *Shedder) forget(units []Unit) {
	for id := range s.levels {
		if !slices.ContainsFunc(units, func(u Unit) bool { return u.ID == id }) {
			delete(s.levels, id)
			s.leave(id)
		}
	}
}
