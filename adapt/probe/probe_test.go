package probe

import (
	"testing"
	"time"

	"wavryhost/adapt/path"
)

// probed begins a probe and answers it at a rate.
func probed(t *testing.T, b *Prober, now time.Time, rate float64) (Request, float64) {
	t.Helper()
	v := View{Target: 1e6, Most: 20e6, RTT: 20 * time.Millisecond, Quiet: true, High: 25 * time.Millisecond}
	if got := b.Step(now, &v); got != 0 {
		t.Fatalf("a probe found %v before it began", got)
	}
	r := b.Request(now)
	if r.Bytes == 0 {
		return r, 0
	}
	at, came := now, now
	for left := r.Bytes; left > 0; left -= 1200 {
		at = at.Add(time.Duration(1200 * 8 * float64(time.Second) / float64(r.BitsPerSecond)))
		came = came.Add(time.Duration(1200 * 8 * float64(time.Second) / rate))
		p := path.Packet{Size: 1200, Sent: at, Arrived: came, Padding: true, ProbeID: r.ProbeID}
		b.OnSent(&p)
		b.OnPacket(&p)
	}
	return r, b.Step(came, &v)
}

// A probe finds what it arrived with: its own rate, if the path takes it, or what the path does.
func TestProbeFindsTheRate(t *testing.T) {
	for _, c := range []struct{ path, least, most float64 }{
		{20e6, 2.8e6, 3e6},  // three times the target got through
		{2e6, 1.7e6, 1.9e6}, // the path is slower
	} {
		b := New()
		if _, got := probed(t, &b, time.Unix(1000, 0), c.path); got < c.least || got > c.most {
			t.Errorf("on %v bit/s a probe found %v; want %v to %v", c.path, got, c.least, c.most)
		}
	}
}

// A probe that found nothing makes the next one wait longer each time.
func TestFailedProbesGetRare(t *testing.T) {
	b, now := New(), time.Unix(1000, 0)
	var gaps []time.Duration
	last := now
	for range 4 {
		for {
			r, found := probed(t, &b, now, 1e6)
			if found != 0 {
				t.Fatalf("on a path that is full a probe found %v", found)
			}
			if r.Bytes > 0 {
				break
			}
			now = now.Add(100 * time.Millisecond)
		}
		gaps = append(gaps, now.Sub(last))
		last = now
		now = now.Add(time.Second)
	}
	for i := 2; i < len(gaps); i++ {
		if gaps[i] <= gaps[i-1] {
			t.Errorf("probes that find nothing are %v apart", gaps[1:])
		}
	}
}

// Padding is paid from the media's bytes, and an empty purse buys no probe.
func TestPaddingIsPaid(t *testing.T) {
	b, now := New(), time.Unix(1000, 0)
	b.purse = 0
	if r, _ := probed(t, &b, now, 1e6); r.Bytes != 0 {
		t.Errorf("an empty purse pays %d bytes", r.Bytes)
	}
	for range 1000 {
		b.OnSent(&path.Packet{Size: 1200})
	}
	if r, _ := probed(t, &b, now.Add(time.Minute), 1e6); r.Bytes == 0 || float64(r.Bytes) > 0.015*1_200_000 {
		t.Errorf("1.2 MB of media pay a probe of %d bytes; want 1.5 %% at most", r.Bytes)
	}
}
