package bucket

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	rate := Rate{Interval: 100 * time.Millisecond, Burst: 3}
	var b Bucket
	now := time.Unix(1_000_000, 0)
	allowed := func() (n int) {
		for b.Wait(now, rate) == 0 {
			b.Take(now, rate, 1)
			n++
		}
		return n
	}
	if !b.Unused() {
		t.Error("a new bucket is used")
	}
	if n := allowed(); n != 3 {
		t.Errorf("%d events at once; want 3", n)
	}
	if got := b.Wait(now, rate); got != 100*time.Millisecond {
		t.Errorf("the fourth waits %v; want 100ms", got)
	}
	now = now.Add(200 * time.Millisecond)
	if n := allowed(); n != 2 {
		t.Errorf("%d events after 200 ms; want 2", n)
	}
	now = now.Add(time.Hour)
	if n := allowed(); n != 3 || b.Unused() {
		t.Errorf("%d events after an hour; want 3", n)
	}
	b.Take(now, rate, 10)
	if got := b.Wait(now, rate); got != 1100*time.Millisecond {
		t.Errorf("after 10 more events the next waits %v; want 1.1s", got)
	}
}
