package input

import "math"

// roundOff is the tolerance for three thirds that should be a whole.
const roundOff = 1e-3

// remainder keeps the part of a unit that is left on each axis, because a display takes whole units only. What it
// returns adds up to what it gets.
type remainder struct{ x, y float64 }

// whole returns the whole units, with what was left before.
func (r *remainder) whole(dx, dy float64) (x, y int) { return whole(&r.x, dx), whole(&r.y, dy) }

// turned is whole for a wheel. A turn in the other direction drops what is left of the one before, as a mouse's own
// wheel does.
func (r *remainder) turned(dx, dy float64) (x, y int) {
	if r.x*dx < 0 {
		r.x = 0
	}
	if r.y*dy < 0 {
		r.y = 0
	}
	return r.whole(dx, dy)
}

func whole(rest *float64, d float64) int {
	sum := *rest + d
	n := math.Trunc(sum + math.Copysign(roundOff, sum))
	*rest = sum - n
	return int(n)
}
