//go:build cgo && !noffmpeg

package ffmpeg

// clock is the time base of the pictures' timestamps, in ticks a second. Encoders that pace their rate control by
// timestamps need real ones, but for those that a ration is made for.
const clock = 1_000_000

// mostDebt bounds the debt, in shares: a picture that is all new takes a few, and what is beyond that may be lost.
const mostDebt = 8

// ration changes the rate of an encoder that deals it out by time and takes no other once it is open: a picture is said
// to last as long as the rate of the opening needs for the picture's share of the rate in force.
//
// Such a rate control is slow to notice that it spends too much. What pictures took beyond their shares is therefore a
// debt, which those after them pay back by lasting less.
type ration struct {
	opened int // bits per second
	share  int // bits of a picture
	debt   int // bits
}

// newRation returns the ration of an encoder that is opened with a rate.
func newRation(bitsPerSecond, fps int) ration {
	return ration{opened: bitsPerSecond, share: bitsPerSecond / fps}
}

// set changes the rate from the next picture on.
func (r *ration) set(bitsPerSecond, fps int) {
	r.share = bitsPerSecond / fps
	r.debt = min(r.debt, mostDebt*r.share)
}

// length is how long the next picture is said to last, in ticks.
func (r *ration) length() int64 {
	bits := r.share - min(r.debt/4, r.share/2)
	return max(1, int64(bits)*clock/int64(r.opened))
}

// took notes what a picture took.
func (r *ration) took(bits int) {
	r.debt = min(max(0, r.debt+bits-r.share), mostDebt*r.share)
}
