//go:build cgo && !noffmpeg

package ffmpeg

import (
	"math"
	"testing"
)

// An encoder that leaves a tenth of what is requested uses its rate after a while. It is asked for no more when it
// leaves nothing, or when its content needs little.
func TestSurplus(t *testing.T) {
	const rate = 1_000_000
	for _, c := range []struct{ uses, want, request float64 }{
		{0.9, 0.97, 1.078}, {0.97, 0.97, 1}, {1, 1, 1}, {0.7, 0.805, surplusMost}, {0.4, 0.4, 1},
	} {
		var s surplus
		request, told := s.request(rate), 0
		used := 0.0
		for range 300 {
			used = c.uses * float64(request) / rate
			if s.took(used) {
				request = s.request(rate)
				told++
			}
		}
		if math.Abs(used-c.want) > 0.015 || math.Abs(float64(request)/rate-c.request) > 0.015 {
			t.Errorf("an encoder that uses %.2f of its request is asked for %d and uses %.3f; want %.3f and %.3f",
				c.uses, request, used, c.request, c.want)
		}
		if told > 20 {
			t.Errorf("an encoder that uses %.2f of its request was told %d rates", c.uses, told)
		}
	}
}
