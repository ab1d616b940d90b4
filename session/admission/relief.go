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
	// lowerAfter is how long the host has to be saturated before a step, longer than a program takes to start. What a step gave shows within that time.
	lowerAfter = 3 * time.Second
	// raiseAfter is how long there has to be room before a step is taken back; it doubles, up to raiseMost, when that saturated the host again.
	raiseAfter, raiseMost = 10 * time.Second, 2 * time.Minute
	// dropAfter is how long the host has to be saturated though all are lowered, before the least important are ended.
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

// Step is one change that Relief wants.
type Step struct {
	ID       string
	From, To Level
}

// Relief decides whom to lower when the host saturates: the least important first, and among equals the dearest, as far as it goes before the next. They are raised again in the
// reverse order. The zero value is ready to use.
type Relief struct {
	levels         map[string]Level
	order          []string // those that are lowered, the first one first
	busy, roomy    time.Time
	wait           time.Duration // before a step is taken back
	raised, stepAt time.Time
}

// Level returns how far a unit is lowered.
func (r *Relief) Level(id string) Level { return r.levels[id] }

// Next returns the step to take now, if any. load is the part of the cores that is in use, from 0 to 1. A step that is returned counts as taken.
func (r *Relief) Next(now time.Time, load float64, units []Unit) (Step, bool) {
	r.forget(units)
	switch {
	case load >= lowerAt:
		r.roomy = time.Time{}
		if r.busy.IsZero() {
			r.busy = now
		}
		return r.lower(now, units)
	case load <= raiseAt:
		r.busy = time.Time{}
		if r.roomy.IsZero() {
			r.roomy = now
		}
		return r.raise(now)
	default:
		r.busy, r.roomy = time.Time{}, time.Time{}
		return Step{}, false
	}
}

func (r *Relief) lower(now time.Time, units []Unit) (Step, bool) {
	if now.Sub(r.busy) < lowerAfter || now.Sub(r.stepAt) < lowerAfter && !r.stepAt.IsZero() {
		return Step{}, false
	}
	line := slices.Clone(units)
	slices.SortFunc(line, func(a, b Unit) int {
		return cmp.Or(cmp.Compare(a.Weight, b.Weight), cmp.Compare(b.Cost, a.Cost), cmp.Compare(a.ID, b.ID))
	})
	for _, u := range line {
		if r.levels[u.ID] < Least {
			if !r.raised.IsZero() && now.Sub(r.raised) < 3*lowerAfter {
				r.wait = min(2*max(r.wait, raiseAfter), raiseMost)
			}
			return r.take(now, u.ID, r.levels[u.ID]+1), true
		}
	}
	line = slices.DeleteFunc(line, func(u Unit) bool { return r.levels[u.ID] == Dropped }) // they are going
	if len(line) < 2 || now.Sub(r.stepAt) < dropAfter {
		return Step{}, false // the last display is never dropped: nobody would be helped
	}
	return r.take(now, line[0].ID, Dropped), true
}

func (r *Relief) raise(now time.Time) (Step, bool) {
	if len(r.order) == 0 || now.Sub(r.roomy) < max(r.wait, raiseAfter) || now.Sub(r.stepAt) < max(r.wait, raiseAfter) {
		return Step{}, false
	}
	id := r.order[len(r.order)-1]
	r.raised = now
	return r.take(now, id, r.levels[id]-1), true
}

func (r *Relief) take(now time.Time, id string, to Level) Step {
	s := Step{ID: id, From: r.levels[id], To: to}
	if r.levels == nil {
		r.levels = make(map[string]Level)
	}
	r.levels[id], r.stepAt = to, now
	if s.From == Whole {
		r.order = append(r.order, id)
	}
	switch to {
	case Whole:
		delete(r.levels, id)
		r.leave(id)
	case Dropped: // it stays so until its sessions are gone
		r.leave(id)
	case HalfRate, Smaller, Least:
	}
	return s
}

func (r *Relief) leave(id string) {
	r.order = slices.DeleteFunc(r.order, func(o string) bool { return o == id })
}

// forget drops what is known of units that are gone.
func (r *Relief) forget(units []Unit) {
	for id := range r.levels {
		if !slices.ContainsFunc(units, func(u Unit) bool { return u.ID == id }) {
			delete(r.levels, id)
			r.leave(id)
		}
	}
}
