package simulate

import (
	"math"
	"slices"
	"testing"
	"time"
)

// watch plays TCP flows, and looks at the first each 10 ms.
func watch(t *testing.T, c Case, look func(now time.Duration, one *tcp)) (*Result, []*tcp) {
	t.Helper()
	if !enforced {
		t.Skip("a run has one goroutine, and takes ten times as long under the race detector")
	}
	var flows []*tcp
	r, err := playWatched(c, 1, Own, false, func(w *world, list []*tcp) {
		flows = list
		if look != nil {
			w.after(0, &watcher{w: w, every: 10 * time.Millisecond, look: func() { look(w.now, list[0]) }}, 0, nil)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, flows
}

type watcher struct {
	w     *world
	every time.Duration
	look  func()
}

func (o *watcher) fire(int, *packet) {
	o.look()
	o.w.after(o.every, o, 0, nil)
}

// beside is TCP flows on a link of a rate with a queue of bandwidth-delay products and a round trip of 40 ms.
func beside(rate, products float64, long time.Duration, controls ...Control) Case {
	links := oneWay(Constant(rate), 0, 20*time.Millisecond, 0)
	links[0].QueueBytes = int(products * rate / 8 * .04)
	links[1].Queue = rfcQueue
	c := Case{Name: "tcp", Length: long, Links: links}
	for _, k := range controls {
		c.TCP = append(c.TCP, TCP{Control: k, Stop: long, Forward: []int{0}, Back: []int{1}})
	}
	return c
}

func TestTCPFillsALink(t *testing.T) {
	for name, c := range map[string]struct {
		control  Control
		products float64
		least    float64
	}{
		// NewReno halves its window and needs a queue of one bandwidth-delay product, CUBIC of 3/7 for its 0.7.
		"NewReno": {NewReno, 1.1, .95}, "CUBIC": {Cubic, .6, .95}, "CUBIC, deep": {Cubic, 4, .98}, "BBR": {BBR, 1, .9},
		"BBR, deep": {BBR, 4, .9},
	} {
		r, _ := watch(t, beside(10e6, c.products, 60*sec, c.control), nil)
		if use := r.TCPRate(0, 20*sec, 60*sec) / 10e6; use < c.least || use > 1.001 {
			t.Errorf("%s uses %.3f of a link with a queue of %g products; want %g", name, use, c.products, c.least)
		}
	}
}

func TestTCPFlowsShare(t *testing.T) {
	for name, control := range map[string]Control{"NewReno": NewReno, "CUBIC": Cubic, "BBR": BBR} {
		r, _ := watch(t, beside(10e6, 1, 180*sec, control, control), nil)
		a, b := r.TCPRate(0, 60*sec, 180*sec), r.TCPRate(1, 60*sec, 180*sec)
		if a+b < 9e6 || min(a, b) < .3*(a+b) {
			t.Errorf("%s: two flows have %.1f and %.1f Mbit/s of 10; want all of it, and neither under 0.3", name, a/1e6, b/1e6)
		}
	}
}

// The window falls to 0.7, and is where it was after K = ∛(0.3 · W / 0.4) s (RFC 9438, sections 4.2 and 4.6).
func TestCubicFollowsItsFunction(t *testing.T) {
	c := beside(20e6, 1, 120*sec, Cubic)
	c.Links[0].Delay, c.Links[1].Delay = 50*time.Millisecond, 50*time.Millisecond
	c.Links[0].QueueBytes = int(20e6 / 8 * .1)
	type cut struct {
		at                time.Duration
		from, to, plateau float64
		back              time.Duration
	}
	var cuts []cut
	last := 0.0
	watch(t, c, func(now time.Duration, one *tcp) {
		size := one.control.window()
		if size < last && now > 20*sec {
			cuts = append(cuts, cut{at: now, from: last, to: size, plateau: one.control.(*cubic).most})
		}
		if n := len(cuts); n > 0 && cuts[n-1].back == 0 && size >= .99*cuts[n-1].plateau {
			cuts[n-1].back = now - cuts[n-1].at
		}
		last = size
	})
	if len(cuts) < 4 {
		t.Fatalf("%d cuts in 100 s; want some", len(cuts))
	}
	measured := 0
	for i, x := range cuts[:len(cuts)-1] {
		if ratio := x.to / x.from; math.Abs(ratio-.7) > .01 {
			t.Errorf("cut %d is to %.3f of the window; want 0.7", i, ratio)
		}
		if x.plateau > x.from+1 || x.plateau < .84*x.from {
			t.Errorf("cut %d from %.0f has its plateau at %.0f; want it there, or at 0.85 of it", i, x.from, x.plateau)
		}
		if x.back == 0 { // the queue overflowed before
			continue
		}
		measured++
		// The last hundredth takes ∛(0.01 W / C).
		k, near := math.Cbrt((x.plateau-x.to)/.4), math.Cbrt(.01*x.plateau/.4)
		if got := x.back.Seconds(); math.Abs(got-(k-near)) > .4 {
			t.Errorf("after a cut from %.0f to %.0f, %.0f are back after %.2f s; want about %.2f s", x.from, x.to, x.plateau,
				got, k-near)
		}
	}
	if measured < 2 {
		t.Errorf("the window came back to where it was after %d cuts of %d", measured, len(cuts))
	}
}

// BBR sends at 1.25 and 0.75 of the bandwidth for a round trip in eight, and each 10 s keeps four segments in flight
// for 200 ms.
func TestBBRCyclesAndProbes(t *testing.T) {
	gains := map[float64]int{}
	var least []time.Duration // times with at most four in flight
	var began time.Duration
	var queue []float64
	c := beside(10e6, 4, 65*sec, BBR)
	r, _ := watch(t, c, func(now time.Duration, one *tcp) {
		if now < 3*sec {
			return
		}
		b := one.control.(*bbr)
		if b.state == bbrProbeBW {
			gains[b.gain]++
		}
		switch low := b.state == bbrProbeRTTState; {
		case low && began == 0:
			began = now
		case !low && began > 0:
			least = append(least, now-began)
			began = 0
		}
		queue = append(queue, float64(one.flying)/b.product())
	})
	all := gains[1.25] + gains[.75] + gains[1]
	if up, down := float64(gains[1.25])/float64(all), float64(gains[.75])/float64(all); up < .08 || up > .25 ||
		down < .04 || down > .2 {
		t.Errorf("BBR spends %.2f of its time at 1.25 and %.2f at 0.75; want about an eighth", up, down)
	}
	if n := len(least); n < 5 || n > 7 {
		t.Errorf("in 62 s the round trip is probed %d times; want each 10 s", n)
	}
	for _, d := range least {
		if d < 200*time.Millisecond || d > 400*time.Millisecond {
			t.Errorf("the round trip is probed for %v; want 200 ms and what drains", d)
		}
	}
	slices.Sort(queue)
	if m := queue[len(queue)/2]; m < .8 || m > 1.3 {
		t.Errorf("BBR has %.2f bandwidth-delay products in flight; want about one, however deep the queue is", m)
	}
	if rate := r.TCPRate(0, 5*sec, 65*sec); rate < 9e6 {
		t.Errorf("BBR has %.1f Mbit/s of 10", rate/1e6)
	}
}

// Random loss ends CUBIC and leaves BBR as it is (Cardwell et al., ACM Queue 14(5), 2016, figure 8: CUBIC under a
// tenth at 1 %).
func TestRandomLossAndTCP(t *testing.T) {
	for control, bounds := range map[Control][2]float64{Cubic: {0, .35}, BBR: {.8, 1}} {
		c := beside(100e6, 1, 60*sec, control)
		c.Links[0].Loss = .01
		r, _ := watch(t, c, nil)
		if use := r.TCPRate(0, 20*sec, 60*sec) / 100e6; use < bounds[0] || use > bounds[1] {
			t.Errorf("control %d uses %.2f of a link that loses 1 %%; want %.2f to %.2f", control, use, bounds[0], bounds[1])
		}
	}
}

// BBR takes more than its share in short queues and less in deep ones (Hock, Bless, Zitterbart, ICNP 2017; Ware et
// al., IMC 2019).
func TestBBRBesideCubic(t *testing.T) {
	share := func(products float64) float64 {
		r, _ := watch(t, beside(10e6, products, 180*sec, BBR, Cubic), nil)
		return r.TCPRate(0, 60*sec, 180*sec) / 10e6
	}
	short, deep := share(.5), share(16)
	if short < .6 || deep > .5 || deep < .05 {
		t.Errorf("beside CUBIC BBR has %.2f in half a product and %.2f in 16; want more than its share, and less", short,
			deep)
	}
}

func TestAcknowledgmentsAreDelayed(t *testing.T) {
	r, flows := watch(t, beside(10e6, 4, 30*sec, NewReno), nil)
	segments := 0
	for _, n := range r.TCP[0] {
		segments += n / segment
	}
	if share := float64(flows[0].acks) / float64(segments); share < .49 || share > .56 {
		t.Errorf("%d acknowledgments for %d segments; want one for two", flows[0].acks, segments)
	}
}

// A download behind an AQM: CoDel holds the queue at about its target, PIE at its own, fq_codel shares evenly whatever
// the round trips.
func TestQueueManagement(t *testing.T) {
	wait := func(aqm AQM) (float64, float64) {
		c := beside(10e6, 20, 60*sec, Cubic)
		c.Links[0].AQM = aqm
		f := flow(desktop(150_000, 150_000, 30), 0, 60*sec) // to measure with
		c.Flows = []Flow{f}
		r, _ := watch(t, c, nil)
		return r.Flows[0].Queue(.5, 10*sec, 60*sec), r.TCPRate(0, 10*sec, 60*sec) / 10e6
	}
	for name, x := range map[string]struct {
		aqm         AQM
		least, most float64
	}{"drop-tail": {DropTail, 300, 800}, "CoDel": {CoDel, 1, 12}, "PIE": {PIE, 5, 25}, "fq_codel": {FQCoDel, 0, 3}} {
		median, use := wait(x.aqm)
		if median < x.least || median > x.most || use < .85 {
			t.Errorf("%s: packets wait %.1f ms and CUBIC uses %.2f; want %g to %g ms, and 0.85", name, median, use, x.least,
				x.most)
		}
	}
	c := beside(10e6, 20, 60*sec, Cubic, Cubic)
	c.Links[0].AQM = FQCoDel
	c.Links = append(c.Links, Link{Capacity: Constant(1e9), Queue: rfcQueue, Delay: 60 * time.Millisecond})
	c.TCP[1].Forward = []int{0, 2}
	r, _ := watch(t, c, nil)
	if a, b := r.TCPRate(0, 20*sec, 60*sec), r.TCPRate(1, 20*sec, 60*sec); a/b > 1.25 || b/a > 1.25 {
		t.Errorf("behind fq_codel flows with 40 and 100 ms of round trip have %.1f and %.1f Mbit/s; want the same", a/1e6,
			b/1e6)
	}
}
