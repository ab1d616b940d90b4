package simulate

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

var unseenToo = flag.Bool("unseen", false,
	"play what the controller was not made with: other links, and seeds from 1001 on")

// unseenFirst is the first of the seeds; no case is judged by them.
const unseenFirst = 1001

var unseenSeeds = flag.Int("unseen-seeds", 24, "seeds that the unseen links are played with")

// TestUnseen prints how the controller does on links that are no cases and were not looked at while its constants were
// chosen: go test -run TestUnseen -v ./adapt/simulate -unseen. It fails for none of them. A link that needs a
// better law becomes a case.
func TestUnseen(t *testing.T) {
	cases := unseen()
	n := *unseenSeeds
	if !*unseenToo {
		cases, n = cases[:1], 1
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		if !*unseenToo {
			return
		}
		if _, err := fmt.Fprintf(w, "%v\t%v\t%.4v\t%.4v\t%v\t%v\n", cells...); err != nil {
			t.Error(err)
		}
	}
	row("LINK", "FIGURE", "MEDIAN", "WORST", "WANTED", "")
	table := []string{"| link | median (worst run) |", "| --- | --- |"}
	for _, c := range cases {
		results := make([]*Result, n)
		room := make(chan struct{}, runtime.GOMAXPROCS(0))
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				r, err := Run(c, uint64(unseenFirst+i), Own)
				if err != nil {
					t.Error(err)
				}
				results[i] = r
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		var cells []string
		for _, v := range Judge(c, results) {
			cells = append(cells, tableCell(&v))
			mark := ""
			if !v.OK {
				mark = "missed"
			}
			row(c.Name, v.Name, v.Median, v.Worst, v.Bound(), mark)
		}
		table = append(table, fmt.Sprintf("| %s | %s |", c.Name, strings.Join(cells, ", ")))
	}
	if *unseenToo && *writeTables {
		rewrite(t, "unseen", "\n\n## Recordings", func([]string) []string { return append([]string{""}, table...) })
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
}

func unseen() []Case {
	ms := time.Millisecond
	var all []Case
	single := func(name string, links []Link, f Flow, gates ...Gate) {
		all = append(all, Case{Name: name, Length: f.Stop, Links: links, Flows: []Flow{f}, Gates: gates})
	}
	plain := func() Flow { return flow(desktop(500_000, 20_000_000, 30), 0, 60*sec) }
	steady := []Gate{use(.8, 0, 0, 10*sec, 60*sec), queue("q95 ms", .95, 80, 10*sec, 60*sec), loss(.003, 60*sec)}
	for _, rate := range []float64{.5e6, 1.5e6, 6e6, 12e6} {
		for _, owd := range []time.Duration{5 * ms, 80 * ms, 200 * ms} {
			for _, deep := range []time.Duration{100 * ms, 500 * ms} {
				single(fmt.Sprintf("one-%g-%d-%d", rate/1e6, owd.Milliseconds(), deep.Milliseconds()),
					oneWay(Constant(rate), deep, owd, rfcJitter), plain(), steady...)
			}
		}
	}
	for _, jitter := range []time.Duration{0, 15 * ms} {
		single(fmt.Sprintf("jitter-%d", jitter.Milliseconds()), oneWay(Constant(4e6), rfcQueue, 40*ms, jitter), plain(),
			steady...)
	}
	var saw, walk Capacity
	for at := time.Duration(0); at < 60*sec; at += 200 * ms {
		saw = append(saw, Step{at, 1e6 + 4e6*(at%(12*sec)).Seconds()/12})
	}
	random := newRandom(4711)
	rate := 3e6
	for at := time.Duration(0); at < 60*sec; at += sec {
		rate = min(max(rate*math.Exp(.25*random.NormFloat64()), .6e6), 10e6)
		walk = append(walk, Step{at, rate})
	}
	wild := []Gate{use(.65, 0, 0, 5*sec, 60*sec), queue("q95 ms", .95, 150, 5*sec, 60*sec), loss(.02, 60*sec)}
	single("sawtooth", oneWay(saw, rfcQueue, 30*ms, rfcJitter), plain(), wild...)
	single("random-walk", oneWay(walk, rfcQueue, 30*ms, rfcJitter), plain(), wild...)
	single("phone", oneWay(Cellular(77, 3e6, .5, 6, 60*sec), 400*ms, 30*ms, rfcJitter), plain(), wild...)
	back := func(b Link) []Link {
		return []Link{{Capacity: Constant(3e6), Queue: rfcQueue, Delay: 10 * ms, Jitter: rfcJitter}, b}
	}
	single("back-slow", back(Link{Capacity: Constant(64_000), Queue: rfcQueue, Delay: 10 * ms}), plain(), steady...)
	single("back-far", back(Link{Capacity: Constant(10e6), Queue: rfcQueue, Delay: 200 * ms, Jitter: 20 * ms}), plain(),
		steady...)
	single("back-lossy", back(Link{Capacity: Constant(10e6), Queue: rfcQueue, Delay: 10 * ms, Loss: .1}), plain(),
		steady...)
	slow := plain()
	slow.Feedback.Every = 250 * ms
	single("reports-250", oneWay(Constant(3e6), rfcQueue, 30*ms, rfcJitter), slow, steady...)
	quick := plain()
	quick.Feedback.Every = 25 * ms
	single("reports-25", oneWay(Constant(3e6), rfcQueue, 30*ms, rfcJitter), quick, steady...)
	noisy := plain()
	noisy.Noise = .3
	single("noisy-frames", oneWay(Constant(3e6), rfcQueue, 30*ms, rfcJitter), noisy, steady...)
	over := plain()
	over.Overshoot = 1.4
	single("overshooting", oneWay(Constant(3e6), rfcQueue, 30*ms, rfcJitter), over, steady...)
	for _, l := range []float64{.02, .15} {
		links := oneWay(Constant(4e6), rfcQueue, 40*ms, rfcJitter)
		links[0].Loss = l
		single(fmt.Sprintf("lossy-%g", l*100), links, plain(),
			least("use", .7, func(r *Result) float64 { return r.Use(0, 0, 20*sec, 59*sec) / (1 - l) }))
	}
	for _, p := range []struct {
		rate  float64
		burst int
	}{{1e6, 10_000}, {5e6, 50_000}} {
		links := oneWay(Constant(20e6), rfcQueue, 30*ms, rfcJitter)
		links[0].Police, links[0].PoliceBurst = p.rate, p.burst
		single(fmt.Sprintf("policer-%g", p.rate/1e6), links, plain(), loss(.025, 60*sec),
			least("use", .7, func(r *Result) float64 { return r.Flows[0].Rate(10*sec, 60*sec) / p.rate }))
	}
	for _, long := range []time.Duration{sec, 8 * sec} {
		single(fmt.Sprintf("outage-%d", int(long.Seconds())),
			oneWay(Capacity{{0, 4e6}, {20 * sec, 0}, {20*sec + long, 4e6}}, rfcQueue, 30*ms, rfcJitter), plain(),
			most("s to 90 %", 3, func(r *Result) float64 {
				before := r.Flows[0].SentRate(15*sec, 20*sec)
				for at := 20*sec + long; at < 59*sec; at += 100 * ms {
					if r.Flows[0].SentRate(at, at+sec/2) >= .9*before {
						return (at + sec/4 - 20*sec - long).Seconds()
					}
				}
				return math.NaN()
			}), loss(.01, 60*sec))
	}
	for _, rate := range []float64{1.5e6, 12e6} {
		f := plain()
		f.Screen = bursts(60_000, 3*sec, 20*sec, 50*sec)
		single(fmt.Sprintf("bursts-%g", rate/1e6), oneWay(Constant(rate), rfcQueue, 40*ms, rfcJitter), f,
			use(.6, 0, 0, 50*sec, 53*sec), queue("q95 ms", .95, 80, 50*sec, 53*sec), loss(.003, 60*sec))
	}
	half := plain()
	c := Case{
		Name: "halved-12", Length: 60 * sec, Flows: []Flow{half}, Gates: halvedGates(),
		Links: oneWay(Capacity{{0, 12e6}, {22 * sec, 6e6}, {42 * sec, 12e6}}, 500*ms, 80*ms, rfcJitter),
	}
	all = append(all, c)
	for _, s := range []struct {
		n    int
		rate float64
		owd  time.Duration
	}{{2, 1.5e6, 80 * ms}, {3, 6e6, 20 * ms}, {4, 6e6, 80 * ms}, {5, 12e6, 40 * ms}, {6, 6e6, 40 * ms}} {
		c := Case{
			Name: fmt.Sprintf("flows-%d-%g", s.n, s.rate/1e6), Length: 120 * sec,
			Links: oneWay(Constant(s.rate), rfcQueue, s.owd, rfcJitter),
			Gates: []Gate{
				jain(.9, 70*sec, 120*sec), spread(2, 70*sec, 120*sec), worstQueue(60, 70*sec, 120*sec),
				worstLoss(0.001, 70*sec, 120*sec), total(.9, 70*sec, 120*sec),
			},
		}
		for i := range s.n {
			c.Flows = append(c.Flows, flow(desktop(500_000, 20_000_000, 30), time.Duration(i)*7*sec, 120*sec))
		}
		all = append(all, c)
	}
	all = append(all, lateComer("late-1.5", 1.5e6, 80*ms, 1), lateComer("late-6-2", 6e6, 5*ms, 2),
		lateComer("late-12", 12e6, 40*ms, 1))
	mixed := Case{
		Name: "mixed-rtt", Length: 120 * sec,
		Links: []Link{
			{Capacity: Constant(6e6), Queue: 500 * ms, Jitter: rfcJitter},
			{Capacity: Constant(100e6), Queue: rfcQueue},
		},
		Gates: []Gate{spread(2, 70*sec, 120*sec), worstQueue(60, 70*sec, 120*sec), total(.9, 70*sec, 120*sec)},
	}
	for i, d := range []int{5, 60, 200} {
		mixed.Links = append(mixed.Links, Link{Capacity: Constant(1e9), Queue: rfcQueue, Delay: time.Duration(d) * ms})
		f := flow(desktop(500_000, 20_000_000, 30), time.Duration(i)*10*sec, 120*sec)
		f.Forward, f.Back = []int{0, 2 + i}, []int{1, 2 + i}
		mixed.Flows = append(mixed.Flows, f)
	}
	all = append(all, mixed)
	for _, rate := range []float64{8e6, 20e6} {
		for _, far := range []bool{false, true} {
			c := roundTrips()
			c.Name = fmt.Sprintf("rtts-%g", rate/1e6)
			c.Links[0].Capacity, c.Links[1].Capacity = Constant(rate), Constant(1e9)
			for i := range c.Flows {
				c.Flows[i].Config, c.Flows[i].Lag = desktop(500_000, 50_000_000, 30), 0
			}
			if far {
				c.Name += "-far-first"
				slices.Reverse(c.Links[2:])
			}
			all = append(all, c)
		}
	}
	for _, s := range []struct {
		rate float64
		deep time.Duration
		n    int
	}{{6e6, 300 * ms, 1}, {3e6, 100 * ms, 1}, {3e6, 300 * ms, 2}} {
		c := Case{
			Name: fmt.Sprintf("tcp-%g-%d-%d", s.rate/1e6, s.deep.Milliseconds(), s.n), Length: 120 * sec,
			Links: oneWay(Constant(s.rate), s.deep, 30*ms, rfcJitter),
			Flows: []Flow{flow(desktop(500_000, 20_000_000, 30), 5*sec, 120*sec)},
		}
		for range s.n {
			c.TCP = append(c.TCP, TCP{Stop: 120 * sec, Forward: []int{0}, Back: []int{1}})
		}
		c.Gates = []Gate{
			least("of fair share", .4, func(r *Result) float64 {
				return r.Flows[0].Rate(40*sec, 120*sec) * float64(s.n+1) / s.rate
			}),
			least("TCP of its share", .4, func(r *Result) float64 {
				return r.TCPRate(0, 40*sec, 120*sec) * float64(s.n+1) / s.rate
			}),
		}
		all = append(all, c)
	}
	return slices.Clip(all)
}
