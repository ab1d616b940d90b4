package pipeline

import (
	"time"

	"wavryhost/encode"
)

const (
	// quietAfter is how long the picture stands still before it is refined, or one and a half times from one frame to
	// the next where that is longer. Content of 24 frames a second and more, and scrolling, change again before that,
	// so that no repetition takes their bits or is in their way.
	quietAfter = 50 * time.Millisecond
	// sharpPictures is how many pictures in a row have to be sharp: rate control moves the quantizer by the picture.
	sharpPictures = 2
	// refineMost bounds the refinement of a picture whose encoder never gets it sharp, or does not say how sharp it
	// is.
	refineMost = 15 * time.Second
	// refineBits is the bits for each pixel after which a picture is taken for sharp when the encoder does not say: a
	// page of small text takes 2 in H.264 until it has 45 dB (docs/develop/benchmarks.md).
	refineBits = 4
)

// sharpQP returns the mean quantizer of a picture in which nothing more can be seen. Pages of text had 45 dB and more
// in luma at it, and 39 dB and more in their worst 48 rows, at 1 to 6 Mbit/s. At 18 x264's mean hides rows of 31 dB.
func sharpQP(codec string) float64 {
	if codec == encode.VP9 {
		return 12 // of libvpx's 63
	}
	return 14
}

// refinement follows how sharp a picture is that stands still. It is encoded again at the frame rate until it is
// sharp: what motion does not need goes to sharpness, by one picture's share of the rate after the other.
type refinement struct {
	began  time.Time // of the picture, or of its newest keyframe
	quiet  time.Time // not before
	bits   int       // since it began
	sharp  int       // pictures in a row that are sharp
	finish bool
}

// next returns when the picture is to be encoded again to get sharper, and whether it is at all.
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

// took notes a picture of a codec: a changed one, or one that was encoded again. Frames come in an interval at the
// soonest.
func (r *refinement) took(now time.Time, au encode.AccessUnit, codec string, changed bool, interval time.Duration) {
	switch {
	case au.Key: // whoever it is for sees nothing else meanwhile
		*r = refinement{began: now}
	case changed:
		*r = refinement{began: now, quiet: now.Add(max(quietAfter, interval*3/2))}
	}
	r.bits += 8 * len(au.Data)
	if au.QP > 0 && au.QP <= sharpQP(codec) {
		r.sharp++
	} else {
		r.sharp = 0
	}
	unsaid := au.QP == 0 && r.bits >= refineBits*au.Width*au.Height
	r.finish = r.finish || r.sharp >= sharpPictures || unsaid || now.Sub(r.began) >= refineMost
}
