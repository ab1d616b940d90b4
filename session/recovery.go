package session

import (
	"time"

	"wavryhost/adapt"
)

// recoverWithin is how long a viewer that can ask for nothing may be without a report that all has arrived, before it gets a keyframe. With
// the keyframe's own way it has a whole picture again 5 s after a loss.
const recoverWithin = 4 * time.Second

// recovery decides when a viewer needs a keyframe that has negotiated neither NACK nor PLI or FIR, and so cannot say what it misses. Its
// receiver reports tell of losses; where they are seldom, time does. The viewer's ctl guards it.
type recovery struct {
	// deaf: the viewer can ask neither for packets nor for keyframes.
	deaf bool
	// whole is when it last was known to have a whole picture, or was last sent one.
	whole time.Time
}

// reported takes a report, and reports whether it tells of a loss.
func (r *recovery) reported(f adapt.Feedback) (lost bool) {
	if !r.deaf || f.Kind != adapt.RR {
		return false
	}
	if f.Loss > 0 {
		return true
	}
	r.whole = f.At
	return false
}

// due reports whether the viewer has been without such a report for too long. It says so once.
func (r *recovery) due(now time.Time) bool {
	if !r.deaf {
		return false
	}
	if r.whole.IsZero() {
		r.whole = now
	}
	if now.Sub(r.whole) < recoverWithin {
		return false
	}
	r.whole = now
	return true
}

// sent notes a keyframe.
func (r *recovery) sent(now time.Time) { r.whole = now }
