//go:build cgo && !noffmpeg

package ffmpeg

import "testing"

func TestRationIsTimeAtTheRateOfTheOpening(t *testing.T) {
	r := newRation(3_000_000, 30, 1)
	for _, c := range []struct {
		rate, fps int
		want      int64
	}{
		{3_000_000, 30, clock / 30},
		{1_500_000, 30, clock / 60},
		{3_000_000, 15, clock / 15}, // fewer pictures have larger shares
		{30_000_000, 60, clock / 6},
		{1000, 240, 1}, // timestamps rise
	} {
		r.set(c.rate, c.fps)
		if got := r.length(); got != c.want {
			t.Errorf("%d bit/s at %d frames: a picture lasts %d ticks; want %d", c.rate, c.fps, got, c.want)
		}
	}
}

func TestRationIsPaidBack(t *testing.T) {
	r := newRation(3_000_000, 30, 1)
	whole := r.length()
	r.took(r.share / 2)
	if got := r.length(); got != whole {
		t.Errorf("after a small picture the next lasts %d ticks; want %d: nothing is saved up", got, whole)
	}
	r.took(3 * r.share)
	total := int64(0)
	for n := 0; r.length() != whole; n++ {
		if n == 100 {
			t.Fatal("a debt is never paid back")
		}
		got := r.length()
		if got < whole/2 || got > whole {
			t.Fatalf("a picture lasts %d ticks; want from a half to a whole of %d", got, whole)
		}
		total += whole - got
		r.took(int(got * 3)) // what the codec spends in that time
	}
	if bits := int(total * 3); bits < r.share*19/10 || bits > r.share*21/10 {
		t.Errorf("%d bits were given back of two shares of %d", bits, r.share)
	}
	for range 100 {
		r.took(10 * r.share)
	}
	if r.debt != mostDebt*r.share {
		t.Errorf("the debt is %d bits; want %d shares at most", r.debt, mostDebt)
	}
	r.set(300_000, 30)
	if r.debt != mostDebt*r.share {
		t.Errorf("the debt is %d bits at a lower rate; want %d of its shares at most", r.debt, mostDebt)
	}
}

func TestEncoderWithALargerBufferHasNoDebt(t *testing.T) {
	r := newRation(3_000_000, 30, 3)
	whole := r.length()
	r.took(5 * r.share)
	if got := r.length(); got != whole {
		t.Errorf("a picture after a large one lasts %d ticks; want %d", got, whole)
	}
}
