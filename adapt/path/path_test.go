package path

import (
	"testing"
	"time"

	"wavryhost/adapt/tuning"
)

// Browsers send receiver reports beside transport feedback. They say nothing of the path that the feedback does not
// say, and are no second report of a queue.
func TestReceiverReportBesideFeedbackIsNoEvidence(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	by := Sending{Rate: 1e6, Pacing: 2e6, Frame: 16 * time.Millisecond}
	var p Path
	p.OnSent(&Packet{ID: 1, Size: 1200, Sent: now})
	now = now.Add(50 * time.Millisecond)
	packets := []Packet{{ID: 1, Size: 1200, Sent: now.Add(-50 * time.Millisecond), Arrived: now}}
	if _, news := p.OnFeedback(&Feedback{At: now, Kind: TWCC, Packets: packets}, by); !news {
		t.Fatal("transport feedback is no news")
	}
	before := p
	now = now.Add(20 * time.Millisecond)
	report := Feedback{At: now, Kind: RR, RTT: 60 * time.Millisecond, Jitter: 3 * time.Millisecond, Loss: .5}
	if _, news := p.OnFeedback(&report, by); news {
		t.Error("a receiver report beside transport feedback is news")
	}
	if p.Jitter != 3*time.Millisecond || p.Queue != before.Queue || p.Interval != before.Interval ||
		p.transport.reported != before.transport.reported || !p.Complete() {
		t.Errorf("the report changed more than round trip and jitter: %v, queue %v, interval %v, complete %v",
			p.Jitter, p.Queue, p.Interval, p.Complete())
	}
}

// A path that delivers nothing for a while, and then all that waited, has paused: the rate stays.
func TestPauseIsNoCapacity(t *testing.T) {
	for _, c := range []struct {
		name  string
		after float64 // the rate at which what waited arrives
		want  bool
	}{{"then faster than the stream", 20e6, true}, {"then more slowly", 2e6, false}} {
		var p pause
		proved := false
		at := time.Duration(0)
		for i := range 200 {
			sent := time.Duration(i) * 2 * time.Millisecond // 4.8 Mbit/s
			if at = max(at, sent); i == 100 {
				at += 90 * time.Millisecond
			}
			proved = p.packet(PacketBits/8, sent, at, 4.8e6) || proved
			if i >= 100 {
				at += time.Duration(PacketBits / c.after * float64(time.Second))
			}
		}
		if proved != c.want {
			t.Errorf("nothing for 90 ms, %s: a pause: %v; want %v", c.name, proved, c.want)
		}
	}
}

// After the receiver's clock was set the base is only as good as the round trips of three reports say: the reports of
// the next two seconds make it exact, or a queue that is none would hold the rate for half a minute.
func TestClockThatWasSetLeavesNoQueue(t *testing.T) {
	var p Path
	at := time.Unix(1_000_000, 0)
	report := func(delay, most time.Duration) {
		at = at.Add(100 * time.Millisecond)
		p.onDelay(at, delay, most, 0)
	}
	const base = 20 * time.Millisecond
	for range 10 {
		report(base, 2*time.Millisecond)
	}
	for range tuning.StepReports {
		report(base+2*time.Second, 15*time.Millisecond)
	}
	if p.Queue < 10*time.Millisecond {
		t.Fatalf("the queue is %v; this test is about an apparent queue of 15 ms", p.Queue)
	}
	for i := range tuning.StepSettles {
		report(base+2*time.Second, time.Duration(1+i%5)*3*time.Millisecond)
	}
	if p.Queue > 3*time.Millisecond {
		t.Errorf("two seconds later the queue is %v; want 3ms at most, which a round trip allowed", p.Queue)
	}
	report(base+2*time.Second+40*time.Millisecond, 45*time.Millisecond)
	if p.Queue < 40*time.Millisecond {
		t.Errorf("a queue of 40 ms afterwards is seen as %v", p.Queue)
	}
}

// Reports that come more often than frames see the packets within a frame, which wait for each other; only what stands
// for the time of a frame is a queue.
func TestQueueStandsForAFrame(t *testing.T) {
	var p Path
	at := time.Unix(1_000_000, 0)
	report := func(delay time.Duration) {
		at = at.Add(15 * time.Millisecond)
		p.onDelay(at, delay, time.Second, 33*time.Millisecond)
	}
	for i := range 30 {
		report([]time.Duration{10 * time.Millisecond, 22 * time.Millisecond, 40 * time.Millisecond}[i%3])
		if i > 3 && p.Queue > time.Millisecond {
			t.Fatalf("report %d: what the packets of a frame wait is a queue of %v", i, p.Queue)
		}
	}
	for range 3 {
		report(60 * time.Millisecond)
	}
	if p.Queue < 30*time.Millisecond {
		t.Errorf("60 ms for a frame's time are a queue of %v; want over 30ms", p.Queue)
	}
}

// Over less than slopeOver jitter looks like growth.
func TestSlopeNeedsTime(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		every time.Duration
		n     int
		want  bool
	}{
		{100 * time.Millisecond, 3, true},
		{100 * time.Millisecond, 2, false},
		{25 * time.Millisecond, 4, false},
		{25 * time.Millisecond, 8, true},
	} {
		var p Path
		for i := range c.n {
			p.onDelay(at.Add(time.Duration(i)*c.every), time.Duration(10+i)*time.Millisecond, time.Second, 0)
		}
		if got := p.transport.slope() > 0; got != c.want {
			t.Errorf("%d reports, one each %v, tell that the queue grows: %v; want %v", c.n, c.every, got, c.want)
		}
	}
}
