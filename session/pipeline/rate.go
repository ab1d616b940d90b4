package pipeline

import (
	"errors"
	"fmt"
	"image"
	"time"

	"wavryhost/encode"
)

// Rate changes of an encoder for which they have a price: none under a tenth, no raise within two seconds of the
// previous change, and no cut within half a second.
const (
	costlyStep  = 0.1
	costlyRaise = 2 * time.Second
	costlyCut   = 500 * time.Millisecond
)

// share returns the bits that the encoder may use for a picture. It is all that an encoder takes from a bitrate and a
// frame rate: its buffer holds one share, and it spends the rate by the picture.
func (a *activeEncoder) share() int { return a.rate / max(a.rateFPS, 1) }

// fpsStep is the step of frame rates that a rate can afford, so that a rate that moves seldom changes them.
const fpsStep = 5

// affordable returns the frame rate, up to fps, at which each picture of a size gets enough bits for the encoder to
// make one.
func (a *activeEncoder) affordable(rate int, size image.Point, fps int) int {
	f := a.expected()
	if f == nil {
		return fps
	}
	n := f.Profile().Least.Pictures(rate, size.X, size.Y, fps)
	if n == fps || n <= fpsStep {
		return n
	}
	return n / fpsStep * fpsStep
}

// reprice reports whether the encoder should be told another rate. first reports whether its first picture is next.
// Each controller holds back its own targets by the price. But the lowest of several changes with each of them, and
// with each viewer that joins or leaves. A step of the frame rate changes the share of a picture although the rate
// stays. The limits here are wider than a controller's, so that they let the changes of a single viewer pass.
func (a *activeEncoder) reprice(now time.Time, rate, fps int, first bool) bool {
	if rate == a.rate && fps == a.rateFPS {
		return false
	}
	// The first picture of an encoder is a keyframe anyway.
	if a.open.profile.Price == encode.PriceFree || first {
		return true
	}
	since := now.Sub(a.rateAt)
	switch change := float64(rate/fps-a.share()) / float64(max(a.share(), 1)); {
	case change > costlyStep:
		return since >= costlyRaise
	case change < -costlyStep:
		return since >= costlyCut
	default:
		return false
	}
}

// setRate notes the rate that the encoder was told.
func (a *activeEncoder) setRate(now time.Time, rate, fps int) {
	a.rate, a.rateFPS, a.rateAt = rate, fps, now
	a.of.setStatus(func(s *EncodingStatus) { s.BitsPerSecond = rate })
}

// rateWindow compares what was encoded in a second with what was requested: one share of the rate for each picture.
type rateWindow struct {
	since           time.Time
	fps             int // at its beginning
	bits, requested int
	frames          int // without repetitions
	// late and lateRequested are bits and requested without keyframes.
	late, lateRequested int
}

// errRate means that an encoder does not keep its rate.
var errRate = errors.New("pipeline: encoder does not keep its rate")

// A device is at fault whose pictures of a second take more than missedRate times their share of the rate. Keyframes
// do not count. Neither do shares of less than leastBits for each pixel: pictures in motion may need those at the
// coarsest quantizer.
const (
	missedRate = 2
	leastBits  = 0.02
)

// measureRate adds a picture to the current second. It returns errRate if the second before it missed the rate of a
// device.
func (a *activeEncoder) measureRate(now time.Time, au encode.AccessUnit, changed bool, fps int) (err error) {
	w := &a.second
	if now.Sub(w.since) >= time.Second {
		// Only a second that was full of frames shows how well the encoder keeps its rate.
		if w.frames*2 > w.fps && now.Sub(w.since) < 2*time.Second && w.requested > 0 {
			a.of.met.rateRatio.Observe(float64(w.bits) / float64(w.requested))
			enough := float64(a.share()) > leastBits*float64(au.Width*au.Height)
			if a.open.profile.Hardware && enough && w.late > missedRate*w.lateRequested {
				err = fmt.Errorf("%s: %.1f times its rate for a second: %w", a.open.profile.Name,
					float64(w.late)/float64(w.lateRequested), errRate)
			}
		}
		*w = rateWindow{since: now, fps: fps}
	}
	bits := 8 * len(au.Data)
	w.bits += bits
	w.requested += a.share()
	if !au.Key {
		w.late += bits
		w.lateRequested += a.share()
	}
	if changed {
		w.frames++
	}
	return err
}
