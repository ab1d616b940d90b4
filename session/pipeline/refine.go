package pipeline

import (
	"time"

	"wavryhost/encode"
)

const (
	// quietAfter is how long the picture must stand still before it is refined, or one and a half times the interval
	// between frames if that is longer. Scrolling, and content of 24 frames a second and more, changes again before
	// that, so that repetitions neither take its bits nor delay it.
	quietAfter = 50 * time.Millisecond
	// stillBefore is how long a picture must have stood still for its next change to be refined at once, or twice the
	// interval between frames. That is the next slide or page, or a letter. If motion begins, one repetition is in its
	// way.
	stillBefore = 300 * time.Millisecond
	// sharpPictures is the number of successive pictures that must be sharp: rate control moves the quantizer with
	// each picture.
	sharpPictures = 2
	// refineMost limits the refinement if the encoder never reaches a sharp picture, or does not report how sharp it
	// is.
	refineMost = 15 * time.Second
	// refineBits is the number of bits for each pixel after which a picture counts as sharp if the encoder does not
	// report it. A page of small text takes 2 in H.264 until it has 45 dB (docs/develop/benchmarks.md).
	refineBits = 4
	// sharpQP is the mean quantizer of a picture at which no difference is visible, on H.264's scale. Pages of text had
	// 45 dB and more in luma at it, and 39 dB and more in their worst 48 rows, at 1 to 6 Mbit/s. At 18, x264's mean
	// hides rows of 31 dB.
	sharpQP = 14
)

// refinement tracks how sharp a still picture is. It is encoded again at the frame rate until it is sharp. The bits
// that motion does not need go into sharpness, one share of the rate after the other.
type refinement struct {
	began   time.Time // of the picture, or of its newest keyframe
	changed time.Time // when the picture changed last
	quiet   time.Time // not before
	bits    int       // since it began
	sharp   int       // pictures in a row that are sharp
	finish  bool
}

// next returns when to encode the picture again to refine it. It reports false once that is done.
func (r *refinement) next(last time.Time, interval time.Duration) (at time.Time, more bool) {
	if r.finish {
		return time.Time{}, false
	}
	at = last.Add(interval)
	if r.quiet.After(at) {
		at = r.quiet
	}
	return at, true
}

// took notes a picture: a changed one, or a repetition. interval is the shortest time between frames.
func (r *refinement) took(now time.Time, au encode.AccessUnit, changed bool, interval time.Duration) {
	before := r.changed
	switch {
	case au.Key: // its viewer sees nothing else meanwhile
		*r = refinement{began: now, changed: before}
	case changed && now.Sub(before) >= max(stillBefore, 2*interval):
		*r = refinement{began: now}
	case changed:
		*r = refinement{began: now, quiet: now.Add(max(quietAfter, interval*3/2))}
	}
	if changed {
		r.changed = now
	}
	r.bits += 8 * len(au.Data)
	if au.QP > 0 && au.QP <= sharpQP {
		r.sharp++
	} else {
		r.sharp = 0
	}
	unsaid := au.QP == 0 && r.bits >= refineBits*au.Width*au.Height
	r.finish = r.finish || r.sharp >= sharpPictures || unsaid || now.Sub(r.began) >= refineMost
}
