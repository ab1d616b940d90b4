package simulate

import (
	"testing"
	"time"
)

// live sends n packets of a size at an interval, and returns when each of them arrives.
func live(l *Live, n, size int, every time.Duration) map[byte]time.Duration {
	at := map[byte]time.Duration{}
	take := func(now time.Duration) {
		for {
			next, ok := l.Next()
			if !ok || next > now {
				return
			}
			for _, data := range l.Advance(next) {
				at[data[0]] = next
			}
		}
	}
	for i := range n {
		now := time.Duration(i) * every
		take(now)
		l.Send(now, append([]byte{byte(i)}, make([]byte, size-1)...), 0)
	}
	take(time.Hour)
	return at
}

// A packet leaves when those before it have left, and arrives after the delay.
func TestLiveLinkDelivers(t *testing.T) {
	l := NewLive(Link{Capacity: Constant(8e6), Queue: time.Second, Delay: 30 * time.Millisecond}, 1)
	at := live(l, 10, 1000, 0)
	for i := range 10 {
		if got, want := at[byte(i)], time.Duration(i+1)*time.Millisecond+30*time.Millisecond; got != want {
			t.Errorf("packet %d arrives at %v; want %v", i, got, want)
		}
	}
	if sent, dropped := l.Counts(); sent != 10 || dropped != 0 {
		t.Errorf("%d packets sent and %d dropped; want 10 and 0", sent, dropped)
	}
	if _, ok := l.Next(); ok {
		t.Error("something happens on an empty link")
	}
}

// A late call changes nothing about when packets leave: only the queue's own times count.
func TestLiveLinkForgivesLateCalls(t *testing.T) {
	l := NewLive(Link{Capacity: Constant(8e6), Queue: time.Second, Delay: time.Millisecond}, 1)
	for i := range 10 {
		l.Send(0, append([]byte{byte(i)}, make([]byte, 999)...), 0)
	}
	if got := len(l.Advance(11 * time.Millisecond)); got != 10 {
		t.Errorf("%d packets arrive within 11 ms; want 10", got)
	}
}

func TestLiveLinkDrops(t *testing.T) {
	l := NewLive(Link{Capacity: Constant(8e6), QueueBytes: 5000}, 1)
	at := live(l, 20, 1000, 0)
	sent, dropped := l.Counts()
	if len(at) != 5 || sent != 20 || dropped != 15 {
		t.Errorf("%d packets of %d arrive, and %d are dropped; want 5 of 20, and 15", len(at), sent, dropped)
	}
	if got, want := l.LongestWait(), 4*time.Millisecond; got != want { // the fifth waits for four
		t.Errorf("the longest wait is %v; want %v", got, want)
	}
	if got := l.LongestWait(); got != 0 {
		t.Errorf("the longest wait is %v after it was read; want 0", got)
	}
}
