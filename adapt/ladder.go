package adapt

import (
	"math"
	"time"
)

const (
	// classHeld is how long another kind of content must be on the screen before the ladder is another one: a page
	// with a picture in it, scrolled by, is no video.
	classHeld = 3 * time.Second
	// sizeDwell is the least time between changes of the size: each costs a keyframe, and is seen.
	sizeDwell = 10 * time.Second
	// mostRungs is how many rungs a ladder may have.
	mostRungs = 8
)

// rung is a step of the ladder: at most so many frames a second, and a size as a fraction of the picture's in each
// direction.
type rung struct {
	fps   int
	scale float64
}

// pixels is what a rung takes, in pictures of the whole size a second.
func (r rung) pixels() float64 { return float64(r.fps) * r.scale * r.scale }

// scales are the sizes that rungs have.
var scales = [...]float64{1, .75, .5}

// The ladders below the frame rate that was asked for. Text must stay sharp to be read, and moves little: it keeps its
// size and gives up frames. Motion that falls below 30 frames a second stutters, which is seen before softness is: it
// gives up size in between. What is neither gives up some of both in turn.
var ladders = [...][mostRungs - 1]rung{
	Mixed:  {{60, 1}, {30, 1}, {30, .75}, {20, .75}, {20, .5}, {15, .5}, {10, .5}},
	Text:   {{60, 1}, {30, 1}, {20, 1}, {15, 1}, {10, 1}, {5, 1}, {5, 1}},
	Motion: {{60, 1}, {30, 1}, {30, .75}, {30, .5}, {24, .5}, {15, .5}, {15, .5}},
}

// ladder is where a stream stands between what was asked for and what its path, or its encoder, allows.
type ladder struct {
	top   int // frame rate asked for
	class ContentClass
	other since // content of another kind
	seen  ContentClass
	rungs [mostRungs]rung
	n     int
	at    int // 0 is what was asked for
	sized time.Time
}

func newLadder(fps int) ladder {
	l := ladder{top: fps}
	l.build()
	return l
}

// build makes the rungs of the class, each below the one before.
func (l *ladder) build() {
	l.rungs[0], l.n = rung{l.top, 1}, 1
	for _, r := range ladders[l.class] {
		r.fps = min(r.fps, l.top)
		if r != l.rungs[l.n-1] {
			l.rungs[l.n] = r
			l.n++
		}
	}
}

// now returns the rung that the stream is on.
func (l *ladder) now() rung { return l.rungs[l.at] }

func (l *ladder) lowest() bool { return l.at == l.n-1 }

// down and up return the neighbors; at an end they are the rung itself.
func (l *ladder) down() rung { return l.rungs[min(l.at+1, l.n-1)] }
func (l *ladder) up() rung   { return l.rungs[max(l.at-1, 0)] }

// may reports whether a step to r is not too soon after another change of the size.
func (l *ladder) may(now time.Time, r rung) bool {
	return r.scale == l.now().scale || l.sized.IsZero() || now.Sub(l.sized) >= sizeDwell
}

// move goes by so many rungs down, or up where negative.
func (l *ladder) move(now time.Time, by int) {
	before := l.now().scale
	l.at = min(max(l.at+by, 0), l.n-1)
	if l.now().scale != before {
		l.sized = now
	}
}

// watch follows the kind of content. On another ladder the stream continues at the highest rung that takes no more
// than before.
func (l *ladder) watch(now time.Time, class ContentClass) {
	if int(class) >= len(ladders) {
		class = Mixed
	}
	if class != l.seen {
		l.seen, l.other.on = class, false
	}
	if !l.other.held(now, class != l.class, classHeld) {
		return
	}
	before := *l
	l.class = class
	l.build()
	l.at = 0
	for !l.lowest() && l.now().pixels() > before.now().pixels() {
		l.at++
	}
	if l.now().scale == before.now().scale {
		return
	}
	if !before.may(now, l.now()) {
		*l = before // later
		return
	}
	l.sized = now
}

// even returns a side of the picture at a scale, as encoders take it.
func even(side int, scale float64) int {
	return max(16, int(math.Round(float64(side)*scale))&^1)
}
