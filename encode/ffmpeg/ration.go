//go:build cgo && !noffmpeg

package ffmpeg

// clock is the time base of the pictures' timestamps, in ticks per second. Encoders that pace their rate control by
// timestamps need real ones, except encoders with a ration.
const clock = 1_000_000

// mostDebt bounds the debt, in shares. A completely new picture takes a few; anything above may be lost.
const mostDebt = 8

// ration changes the rate of an encoder that paces by time and accepts no other rate once it is open. Each picture gets
// the duration in which the opening rate yields the picture's share of the current rate.
//
// With a buffer of one picture, such a rate control is slow to notice overspending. So bits beyond a picture's share
// are a debt, which the following pictures pay back by shorter durations. With a larger buffer the encoder does that.
type ration struct {
	opened int // bits per second
	share  int // bits of a picture
	most   int // shares of debt
	debt   int // bits
}

// newRation returns the ration of an encoder that is opened with a rate and a buffer of some pictures.
func newRation(bitsPerSecond, fps, buffer int) ration {
	r := ration{opened: bitsPerSecond, share: bitsPerSecond / fps}
	if buffer <= 1 {
		r.most = mostDebt
	}
	return r
}

// set changes the rate from the next picture on.
func (r *ration) set(bitsPerSecond, fps int) {
	r.share = bitsPerSecond / fps
	r.debt = min(r.debt, r.most*r.share)
}

// length is the stated duration of the next picture, in ticks.
func (r *ration) length() int64 {
	bits := r.share - min(r.debt/4, r.share/2)
	return max(1, int64(bits)*clock/int64(r.opened))
}

// took records the size of a picture.
func (r *ration) took(bits int) {
	r.debt = min(max(0, r.debt+bits-r.share), r.most*r.share)
}
