package pipeline

import (
	"errors"
	"fmt"
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
func (l *encodeLoop) share() int { return l.rate / max(l.rateFPS, 1) }

// reprice reports whether the encoder should be told another rate. Each controller holds back its own targets by the
// price. But the lowest of several changes with each of them, and with each viewer that joins or leaves. A step of the
// frame rate changes the share of a picture although the rate stays. The limits here are wider than a controller's, so
// that they let the changes of a single viewer pass.
func (l *encodeLoop) reprice(now time.Time, rate, fps int) bool {
	if rate == l.rate && fps == l.rateFPS {
		return false
	}
	// The first picture of an encoder is a keyframe anyway.
	if l.encoder.profile.Price == encode.PriceFree || !l.hasPicture {
		return true
	}
	since := now.Sub(l.rateAt)
	switch change := float64(rate/fps-l.share()) / float64(max(l.share(), 1)); {
	case change > costlyStep:
		return since >= costlyRaise
	case change < -costlyStep:
		return since >= costlyCut
	default:
		return false
	}
}

// setRate notes the rate that the encoder was told.
func (l *encodeLoop) setRate(now time.Time, rate, fps int) {
	l.rate, l.rateFPS, l.rateAt = rate, fps, now
	l.setStatus(func(s *EncodingStatus) { s.BitsPerSecond = rate })
}

// The size of the first picture of a viewer: the bits that the path carries in firstShare, but at most firstBits for
// each pixel, at which a page of small text has 42 dB and more (docs/develop/benchmarks.md). The pacer sends it faster
// than the rate, so that it arrives within 77 ms. One share of a picture takes 13 ms, but cannot be read. A viewer
// that joins has waited longer than that for the connection.
const (
	firstShare = 100 * time.Millisecond
	firstBits  = 1
)

// enlarge returns the number of shares that the next keyframe may use. It is more than one for the first picture that
// a viewer sees, if it delays no motion that others see.
func (l *encodeLoop) enlarge(subs []*subscription, now time.Time, to target) int {
	newcomer := false
	for _, s := range subs {
		switch {
		case !s.now.Live || !s.now.Ready:
		case s.synced && now.Sub(l.lastFrame) < quietAfter:
			return 1
		case !s.synced && !s.fellOff && !s.now.Arriving:
			newcomer = true
		}
	}
	if !newcomer {
		return 1
	}
	bits := min(to.rate*int(firstShare/time.Millisecond)/1000, firstBits*l.size.X*l.size.Y)
	return max(bits*to.fps/to.rate, 1)
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

// A device is at fault whose pictures of a second take more than missedRate times their share of the rate. Keyframes do
// not count. Neither do shares of less than leastBits for each pixel: pictures in motion may need those at the coarsest
// quantizer.
const (
	missedRate = 2
	leastBits  = 0.02
)

// measureRate adds a picture to the current second. It returns errRate if the second before it missed the rate of a
// device.
func (l *encodeLoop) measureRate(now time.Time, au encode.AccessUnit, changed bool) (err error) {
	w := &l.second
	if now.Sub(w.since) >= time.Second {
		// Only a second that was full of frames shows how well the encoder keeps its rate.
		if w.frames*2 > w.fps && now.Sub(w.since) < 2*time.Second && w.requested > 0 {
			l.met.rateRatio.Observe(float64(w.bits) / float64(w.requested))
			enough := float64(l.share()) > leastBits*float64(au.Width*au.Height)
			if l.encoder.profile.Hardware && enough && w.late > missedRate*w.lateRequested {
				err = fmt.Errorf("%s: %.1f times its rate for a second: %w", l.encoder.profile.Name,
					float64(w.late)/float64(w.lateRequested), errRate)
			}
		}
		*w = rateWindow{since: now, fps: l.applied.FPS}
	}
	bits := 8 * len(au.Data)
	w.bits += bits
	w.requested += l.share()
	if !au.Key {
		w.late += bits
		w.lateRequested += l.share()
	}
	if changed {
		w.frames++
	}
	return err
}
