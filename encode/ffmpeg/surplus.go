//go:build cgo && !noffmpeg

package ffmpeg

const (
	// surplusAim is how much of its rate an encoder should use on average.
	surplusAim = 0.97
	// surplusMost bounds what is requested of it, and so each picture, in shares of the rate.
	surplusMost = 1.15
	// surplusGain is how much of what a picture leaves is added to the request: it is right after about a second.
	surplusGain = 1.0 / 32
	// surplusStep is the smallest change of the request that reaches the encoder.
	surplusStep = 0.01
	// surplusLeast is the size of a picture, in shares, below which its content needs no more.
	surplusLeast = 0.5
)

// surplus has an encoder use its rate. With a buffer of one picture, x264 keeps each picture below its share, so it
// uses 0.8 to 0.9 of the rate. It is asked for as much more as it leaves. The zero value is ready.
type surplus struct {
	more    float64 // the request, in shares of the rate and above 1
	applied float64 // what the encoder has
}

// took learns from a picture, and reports whether the encoder should get another request.
func (s *surplus) took(shares float64) bool {
	if shares < surplusLeast {
		return false
	}
	s.more = max(0, min(s.more+surplusGain*(surplusAim-shares), surplusMost-1))
	return s.more-s.applied >= surplusStep || s.applied-s.more >= surplusStep
}

// request returns the rate to request for a rate.
func (s *surplus) request(rate int64) int64 {
	s.applied = s.more
	return rate + int64(float64(rate)*s.more)
}
