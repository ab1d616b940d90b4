package pacing

import (
	"testing"
	"time"
)

var begun = time.Unix(1000, 0)

func TestBucketHoldsTheRate(t *testing.T) {
	for _, rate := range []int{100_000, 3_000_000, 50_000_000} {
		var b Bucket
		now, bytes := begun, 0
		for now.Sub(begun) < 10*time.Second {
			if wait := b.Wait(now, rate); wait > 0 {
				now = now.Add(wait)
				continue
			}
			b.Spend(1200)
			bytes += 1200
		}
		if got, want := float64(bytes), float64(rate)/8*10; got < .98*want || got > 1.02*want+2400 {
			t.Errorf("at %d bit/s %.0f bytes leave in 10 s; want %.0f", rate, got, want)
		}
	}
	var b Bucket
	b.Wait(begun, 8_000_000)
	b.Empty(begun)
	b.Spend(1000)
	if wait := b.Wait(begun, 8_000_000); wait != time.Millisecond {
		t.Errorf("after a packet of 1 ms from an empty bucket the wait is %v; want 1ms", wait)
	}
}

func TestRetransmissionsGoFirstThenShare(t *testing.T) {
	s := NewShares()
	again, media := 0, 0
	for range 1000 {
		switch s.Turn(true, true, true) {
		case Retransmission:
			s.Retransmitted(1200)
			again++
		case Media:
			s.Sent(1200, 5_000_000)
			media++
		default:
			t.Fatal("neither a retransmission nor media")
		}
		if again < 12 && media > 0 {
			t.Fatalf("media goes before the first %d retransmissions", again)
		}
	}
	if again < 490 || again > 520 {
		t.Errorf("%d of 1000 packets are retransmissions; want half", again)
	}
	if got := s.Turn(true, false, true); got != Retransmission {
		t.Errorf("beside padding the turn is %v; want the retransmission", got)
	}
	if got := s.Turn(false, false, false); got != None {
		t.Errorf("with nothing waiting the turn is %v; want none", got)
	}
}

func TestRetransmissionsHaveAShare(t *testing.T) {
	s := NewShares()
	n := 0
	for ; ; n++ {
		if why, ok := s.Admit(1200, 0); !ok {
			if why != RefusedShare || n != LeastAllowance/1200 {
				t.Errorf("after %d packets the refusal is %v; want share after 50", n, why)
			}
			break
		}
	}
	s.Sent(1200, 5_000_000)
	if _, ok := s.Admit(1200, 0); !ok {
		t.Error("what media has sent may not be retransmitted")
	}
	if why, ok := s.Admit(1, mostWaiting); ok || why != RefusedFull {
		t.Errorf("with %d waiting the refusal is %v; want full", mostWaiting, why)
	}
}

func TestRoomForAPicture(t *testing.T) {
	for _, c := range []struct {
		name                              string
		packets, bytes, before, rate, fps int
		want                              bool
	}{
		{"empty", 0, 0, 0, 1_000_000, 30, true},
		{"a rest of a frame time", 3, 3600, 5, 1_000_000, 30, true},
		{"more than goes out in a frame time", 4, 4400, 5, 1_000_000, 30, false},
		{"slow pictures wait for 50 ms at most", 6, 6500, 9, 1_000_000, 5, false},
		{"two pictures", 6, 600, 5, 10_000_000, 30, false},
	} {
		if got := Room(c.packets, c.bytes, c.before, c.rate, c.fps); got != c.want {
			t.Errorf("%s: room is %t; want %t", c.name, got, c.want)
		}
	}
}
