// Package ladder chooses the frame rate and the size of a stream: it steps down where the path or the encoder has no
// room for more, and up again where there is.
//
// The package is pure: time comes in with each call.
package ladder

import (
	"math"
	"time"

	"wavryhost/adapt/hold"
	"wavryhost/adapt/tuning"
)

// Class is what kind of picture is being sent.
type Class uint8

// The classes of content.
const (
	Mixed Class = iota
	Text
	Motion
)

const (
	// encodeGain is the weight of a new frame in the mean encode time.
	encodeGain = 8
	// mostRungs is how many rungs a ladder may have.
	mostRungs = 8
)

// Rung is a step of the ladder: at most so many frames a second, and a size as a fraction of the picture's in each
// direction.
type Rung struct {
	FPS   int
	Scale float64
}

// Pixels is what a rung takes, in pictures of the whole size a second.
func (r Rung) Pixels() float64 { return float64(r.FPS) * r.Scale * r.Scale }

// Scales are the sizes that rungs have.
var Scales = [...]float64{1, .75, .5}

// The ladders below the frame rate that was asked for. Text must stay sharp to be read, and moves little: it keeps its
// size and gives up frames. Motion that falls below 30 frames a second stutters, which is seen before softness is: it
// gives up size in between. What is neither gives up some of both in turn.
var ladders = [...][mostRungs - 1]Rung{
	Mixed:  {{60, 1}, {30, 1}, {30, .75}, {20, .75}, {20, .5}, {15, .5}, {10, .5}},
	Text:   {{60, 1}, {30, 1}, {20, 1}, {15, 1}, {10, 1}, {5, 1}, {5, 1}},
	Motion: {{60, 1}, {30, 1}, {30, .75}, {30, .5}, {24, .5}, {15, .5}, {15, .5}},
}

// Ladder is where a stream stands between what was asked for and what its path, or its encoder, allows.
type Ladder struct {
	top   int // frame rate asked for
	class Class
	other hold.Timer // content of another kind
	seen  Class
	rungs [mostRungs]Rung
	n     int
	at    int // 0 is what was asked for
	sized time.Time

	stepDown, stepUp, overload hold.Timer
	stepUpDwell                time.Duration
	steppedUpAt                time.Time
	overloaded                 bool
	encodeShare                float64 // mean of encode time over frame time
}

// New returns the ladder of a stream that was asked for with so many frames a second.
func New(fps int) Ladder {
	l := Ladder{top: fps, stepUpDwell: tuning.StepUpFor}
	l.build()
	return l
}

// build makes the rungs of the class, each below the one before.
func (l *Ladder) build() {
	l.rungs[0], l.n = Rung{l.top, 1}, 1
	for _, r := range ladders[l.class] {
		r.FPS = min(r.FPS, l.top)
		if r != l.rungs[l.n-1] {
			l.rungs[l.n] = r
			l.n++
		}
	}
}

// Now returns the rung that the stream is on.
func (l *Ladder) Now() Rung { return l.rungs[l.at] }

// Lowest reports whether the stream is on the lowest rung.
func (l *Ladder) Lowest() bool { return l.at == l.n-1 }

// down and up return the neighbors; at an end they are the rung itself.
func (l *Ladder) down() Rung { return l.rungs[min(l.at+1, l.n-1)] }
func (l *Ladder) up() Rung   { return l.rungs[max(l.at-1, 0)] }

// may reports whether a step to r is not too soon after another change of the size.
func (l *Ladder) may(now time.Time, r Rung) bool {
	return r.Scale == l.Now().Scale || l.sized.IsZero() || now.Sub(l.sized) >= tuning.SizeDwell
}

// move goes by so many rungs down, or up where negative.
func (l *Ladder) move(now time.Time, by int) {
	before := l.Now()
	l.at = min(max(l.at+by, 0), l.n-1)
	if l.Now().Scale != before.Scale {
		l.sized = now
	}
	l.encodeShare *= l.Now().Pixels() / before.Pixels()
	l.stepDown.Reset()
	l.stepUp.Reset()
	l.overload.Reset()
}

// Watch follows the kind of content. On another ladder the stream continues at the highest rung that takes no more
// than before.
func (l *Ladder) Watch(now time.Time, class Class) {
	if int(class) >= len(ladders) {
		class = Mixed
	}
	if class != l.seen {
		l.seen = class
		l.other.Reset()
	}
	if !l.other.Held(now, class != l.class, tuning.ClassHeld) {
		return
	}
	before := *l
	l.class = class
	l.build()
	l.at = 0
	for !l.Lowest() && l.Now().Pixels() > before.Now().Pixels() {
		l.at++
	}
	if l.Now().Scale == before.Now().Scale {
		return
	}
	if !before.may(now, l.Now()) {
		*l = before // later
		return
	}
	l.sized = now
}

// Encoded takes in how long the encoder took for a frame.
func (l *Ladder) Encoded(took time.Duration) {
	share := took.Seconds() * float64(l.Now().FPS)
	l.encodeShare += (min(share, 10) - l.encodeShare) / encodeGain
}

// Stepped reports whether less is sent than was asked for.
func (l *Ladder) Stepped() bool { return l.at > 0 }

// Overloaded reports whether the encoder is why less is sent.
func (l *Ladder) Overloaded() bool { return l.overloaded }

// Above reports whether the stream is on a higher rung than a limit allows, of which 0 takes nothing away.
func (l *Ladder) Above(limit Rung) bool {
	host := Rung{l.top, 1}
	if limit.FPS > 0 {
		host.FPS = min(host.FPS, limit.FPS)
	}
	if limit.Scale > 0 {
		host.Scale = min(host.Scale, limit.Scale)
	}
	return host.Pixels() < l.Now().Pixels()
}

// Room is what the path and the encoder have room for at one moment.
type Room struct {
	// Target and Sent are in bits per second, and so is Whole: what the picture needs at its whole size, for each of
	// its frames a second. Most is what the operator allows.
	Target, Sent, Whole, Most float64
	// Frames were encoded in the last second.
	Frames int
	// Moving is set while the picture moves, Used while about as much is sent as the target allows, and Queued while
	// there is a queue.
	Moving, Used, Queued bool
}

// Need is what the picture needs on a rung, in bits per second.
func (v *Room) Need(r Rung) float64 { return min(v.Whole*r.Pixels(), v.Most) }

// Climb moves on the ladder.
func (l *Ladder) Climb(now time.Time, v *Room) {
	at := l.Now()
	busy := v.Frames >= max(2, at.FPS/tuning.OverloadFrames)
	overload := l.overload.Held(now, busy && l.encodeShare > tuning.OverloadShare, tuning.OverloadFor)
	// A screen that uses less than the network gives has no use for fewer frames, whatever its size would need in
	// motion; nor has a still screen that is being refined, which takes all that there is.
	poor := l.stepDown.Held(now, v.Moving && v.Used && v.Target < tuning.StepDownShare*v.Need(at), tuning.StepDownFor)
	if (overload || poor) && !l.Lowest() {
		if !l.may(now, l.down()) {
			return
		}
		if now.Sub(l.steppedUpAt) < tuning.StepUpFor && !l.steppedUpAt.IsZero() {
			l.stepUpDwell = min(2*l.stepUpDwell, tuning.StepUpMost)
		}
		l.move(now, 1)
		l.overloaded = overload
		return
	}
	if l.at == 0 {
		l.overloaded = false
		return
	}
	up := l.up()
	more := up.Pixels() / at.Pixels()
	enough := min(tuning.StepUpShare*v.Need(up), tuning.StepUpShare*v.Sent*more, v.Most)
	// Few pictures leave the encoder idle, however long each takes. Otherwise a screen that became still would stay soft.
	network, encoder := v.Target >= enough, !busy || l.encodeShare*more < tuning.OverloadShare
	if network != encoder {
		l.overloaded = network // the one of them that has no room for the rung above is why the stream is on this one
	}
	if l.stepUp.Held(now, network && encoder && !v.Queued, l.stepUpDwell) && l.may(now, up) {
		l.move(now, -1)
		l.steppedUpAt = now
	}
}

// Side returns a side of the picture at a scale, as encoders take it.
func Side(side int, scale float64) int {
	return max(16, int(math.Round(float64(side)*scale))&^1)
}
