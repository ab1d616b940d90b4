package simulate

import (
	"testing"
	"time"
)

// A buffer has bytes: where the capacity falls, what fits takes longer.
func TestQueueHasBytes(t *testing.T) {
	l := Link{Capacity: Capacity{{0, 4e6}, {time.Second, 1e6}}, Queue: 100 * time.Millisecond}
	if got := l.Room(); got != 50_000 {
		t.Errorf("a queue of 100 ms at 4 Mbit/s has %d bytes; want 50000", got)
	}
	l.Capacity = Constant(1e6)
	l.QueueBytes = 50_000
	_, queues := carry(l, 100, 1000, 0)
	if last := queues[len(queues)-1]; len(queues) != 50 || last < 380*time.Millisecond || last > 400*time.Millisecond {
		t.Errorf("%d packets fit, and the last waits %v; want 50 and 392 ms", len(queues), last)
	}
}

func TestBunchesLeaveTogether(t *testing.T) {
	at, _ := carry(Link{Capacity: Constant(20e6), Queue: time.Second, Bunch: bunches}, 2000, 1250, time.Millisecond)
	if len(at) != 2000 {
		t.Fatalf("%d of 2000 packets arrive", len(at))
	}
	gaps := 0
	for i := 1; i < len(at); i++ {
		switch gap := at[i] - at[i-1]; {
		case gap < 0:
			t.Fatal("packets are reordered")
		case gap > 0:
			gaps++
			if gap < bunches[0]/2 || gap > 2*bunches[1] {
				t.Fatalf("bunches are %v apart; want %v to %v", gap, bunches[0], bunches[1])
			}
		}
	}
	if gaps < 200 || gaps > 400 {
		t.Errorf("2 s have %d bunches; want about 266", gaps)
	}
}

func TestPolicersHaveBurstsInTime(t *testing.T) {
	for _, burst := range []time.Duration{10 * time.Millisecond, 250 * time.Millisecond} {
		at, _ := carry(Link{Capacity: Constant(1e9), Queue: time.Second, Police: 8e6, PoliceFor: burst}, 1000, 1000, 0)
		if want := int(burst / time.Millisecond); len(at) != want {
			t.Errorf("%d packets of 1 ms pass at once; want %d", len(at), want)
		}
	}
}
