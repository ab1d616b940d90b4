package rival

import (
	"math"
	"testing"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/simulate"
)

// standIn plays a case with a stand-in.
func standIn(t *testing.T, name string, controller simulate.New) *simulate.Result {
	t.Helper()
	r, err := simulate.Run(find(t, name), 1, controller)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// told gives a controller reports each 100 ms of a stream of a rate in bits per second, behind a queue that grows by
// so much a second, and returns the targets after each.
func told(t *testing.T, controller simulate.New, cfg adapt.Config, rate float64, grows time.Duration, loses int,
	reports int,
) (targets []int) {
	t.Helper()
	c, err := controller(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const size = 1200
	every := time.Duration(size * 8 / rate * float64(time.Second))
	begun := time.Unix(1000, 0)
	at, id := begun, uint64(0)
	for i := range reports {
		f := adapt.Feedback{
			At: begun.Add(time.Duration(i+1)*100*time.Millisecond + 40*time.Millisecond), Kind: adapt.TWCC,
			RTT: 50 * time.Millisecond,
		}
		for ; at.Before(f.At.Add(-40 * time.Millisecond)); at = at.Add(every) {
			id++
			p := adapt.Packet{ID: id, Size: size, Sent: at}
			c.OnSent(p)
			if p.Lost = loses > 0 && id%uint64(loses) == 0; !p.Lost {
				p.Arrived = at.Add(20*time.Millisecond + time.Duration(float64(grows)*at.Sub(begun).Seconds()))
			}
			f.Packets = append(f.Packets, p)
		}
		c.OnFeedback(f)
		targets = append(targets, c.Estimate(f.At).Target)
	}
	return targets
}

// The stand-in for GoogCC follows draft-ietf-rmcat-gcc-02: it grows by 8 % a second at most and to 1.5 of what arrives
// (section 5.5), falls to 0.85 of that when the queue grows, holds at 2 to 10 % of loss and falls above (section 6).
func TestGoogCCFollowsItsDraft(t *testing.T) {
	cfg := adapt.Config{Min: 100_000, Max: 20_000_000, Start: 1_000_000}
	up := told(t, NewGoogCC, cfg, 2e6, 0, 0, 41)
	if growth := float64(up[40]) / float64(up[20]); growth < 1.15 || growth > 1.175 {
		t.Errorf("in 2 s the rate grows to %.3f of it; want 1.08², 1.166", growth)
	}
	if last := told(t, NewGoogCC, cfg, 1e6, 0, 0, 200)[199]; last < 1_400_000 || last > 1_600_000 {
		t.Errorf("with 1 Mbit/s arriving the rate is %d; want 1.5 of that", last)
	}
	cfg.Start = 3_000_000
	down := told(t, NewGoogCC, cfg, 2e6, 100*time.Millisecond, 0, 30)
	least := down[0]
	for _, r := range down {
		least = min(least, r)
	}
	// Each second 2 Mbit arrive within 1.1 s.
	if want := .85 * 2e6 / 1.1; math.Abs(float64(least)-want) > .1*want {
		t.Errorf("with a growing queue the rate falls to %d; want 0.85 of what arrives, %.0f", least, want)
	}
	cfg.Start = 1_000_000
	held, fell := told(t, NewGoogCC, cfg, 2e6, 0, 20, 100)[99], told(t, NewGoogCC, cfg, 2e6, 0, 5, 100)[99]
	if held < 1_500_000 || fell > 800_000 {
		t.Errorf("after 10 s of 5 %% of loss the rate is %d, of 20 %% %d; want it held and fallen", held, fell)
	}
}

// The adaptive threshold is there so that loss-based flows do not starve it (section 5.4), and it bears 5 % of loss,
// not 10.
func TestGoogCCBesideTCPAndLoss(t *testing.T) {
	r := standIn(t, "download", NewGoogCC)
	if share := r.Flows[0].Rate(50*time.Second, 120*time.Second) / 5e6; share < .2 || share > 1.5 {
		t.Errorf("beside CUBIC GoogCC has %.2f of its share; want no starvation", share)
	}
	bears, falls := standIn(t, "random-5", NewGoogCC), standIn(t, "random-10", NewGoogCC)
	if a, b := bears.Use(0, 0, 20*time.Second, 90*time.Second),
		falls.Use(0, 0, 20*time.Second, 90*time.Second); a < .7 || b > .3 {
		t.Errorf("GoogCC uses %.2f at 5 %% of loss and %.2f at 10 %%; want it to hold at one and to fall at the other", a, b)
	}
}

// The stand-in for SCReAM follows its draft: a loss event leaves 0.7 of the window, and the queue that it aims at is
// 60 ms.
func TestSCReAMFollowsItsDraft(t *testing.T) {
	c, err := NewSCReAM(adapt.Config{Min: 100_000, Max: 20_000_000, Start: 4_000_000})
	if err != nil {
		t.Fatal(err)
	}
	s := c.(*scream)
	before, now := s.window, time.Unix(1000, 0)
	s.lost = true
	s.reduce(now)
	if got := s.window / before; got < .699 || got > .701 {
		t.Errorf("a loss leaves %.3f of the window; want 0.7", got)
	}
	s.lost = true
	s.reduce(now.Add(s.srtt / 2))
	if got := s.window / before; got < .699 {
		t.Errorf("a second loss in the round trip leaves %.3f of the window; want one reduction", got)
	}
	r := standIn(t, "5.4", NewSCReAM)
	if q := r.Flows[0].Queue(.95, 60*time.Second, 119*time.Second); q > 65 {
		t.Errorf("SCReAM's queue is %.0f ms at the 95th percentile; want about 60 at most", q)
	}
	if j := r.Jain(80*time.Second, 119*time.Second); j < .8 {
		t.Errorf("three flows of SCReAM share with Jain's index %.2f; want 0.8", j)
	}
}
