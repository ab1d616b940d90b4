package simulate

import (
	"math"
	"testing"
)

// After a change by more than a half a burst comes, and smaller frames until the mean is right again.
func TestTransientKeepsTheMean(t *testing.T) {
	for _, c := range []struct {
		from, to, size float64
		burst          bool
	}{
		{1e6, 1.4e6, 5000, false},
		{1e6, 1.6e6, 5000, true},
		{1e6, 0.4e6, 2000, true},
		{1e6, 8e6, 30_000, true},
	} {
		var tr transient
		if got := tr.frame(c.from, 4000); got != 4000 {
			t.Fatalf("the first frame has %v bytes; want 4000", got)
		}
		var sum, first float64
		for i := range transientFrames {
			size := tr.frame(c.to, c.size)
			if i == 0 {
				first = size
			}
			sum += size
		}
		if burst := first > c.size || c.size >= transientBurst && c.burst; burst != c.burst {
			t.Errorf("from %v to %v bit/s the first frame has %v bytes of %v; a burst: %v", c.from, c.to, first, c.size, c.burst)
		}
		// The least size of a frame keeps small streams above their mean.
		least := transientBurst + (transientFrames-1)*transientLeast*c.size
		if want := math.Max(transientFrames*c.size, least); c.burst && math.Abs(sum-want) > 1 {
			t.Errorf("from %v to %v bit/s %d frames have %v bytes; want %v", c.from, c.to, transientFrames, sum, want)
		}
		if got := tr.frame(c.to, c.size); got != c.size {
			t.Errorf("after the transient a frame has %v bytes; want %v", got, c.size)
		}
	}
}
