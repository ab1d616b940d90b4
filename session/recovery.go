package session

import (
	"time"

	"wavryhost/adapt"
)

// recoverWithin is the longest time without a report of complete arrival before such a viewer gets a keyframe. With the
// travel time of the keyframe, the picture is whole 5 s after a loss.
const recoverWithin = 4 * time.Second

// recovery decides when a viewer that negotiated neither NACK nor PLI or FIR needs a keyframe. Such a viewer cannot say
// what it misses. Its receiver reports show losses; where reports are rare, time decides. The viewer's ctl guards it.
type recovery struct {
	// deaf: the viewer can ask neither for packets nor for keyframes.
	deaf bool
	// whole is when it last was known to have a whole picture, or was last sent one.
	whole time.Time
}

// reported takes a report, and reports whether it shows a loss.
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
