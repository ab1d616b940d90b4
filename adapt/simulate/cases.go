package simulate

import (
	"fmt"
	"math"
	"slices"
	"time"

	"wavryhost/adapt"
)

const (
	rfcJitter = 5 * time.Millisecond // RFC 8868, section 4.2.1
	rfcQueue  = 300 * time.Millisecond
	audioRate = 20_000
)

// rfcVideo is the source of RFC 8867, section 4.3: 150 kbit/s to 1.5 Mbit/s, 30 frames a second, reacts within 100 ms.
func rfcVideo() adapt.Config {
	return adapt.Config{Min: 150_000, Max: 1_500_000, Start: 150_000, FPS: 30, Width: 640, Height: 360}
}

// desktop is a remote desktop's.
func desktop(start, highest, fps int) adapt.Config {
	return adapt.Config{Min: 150_000, Max: highest, Start: start, FPS: fps, Width: 1280, Height: 720}
}

// oneWay is a path of one bottleneck and its way back.
func oneWay(c Capacity, queue, delay, jitter time.Duration) []Link {
	return []Link{
		{Capacity: c, Queue: queue, Delay: delay, Jitter: jitter},
		{Capacity: Constant(100e6), Queue: queue, Delay: delay},
	}
}

func flow(cfg adapt.Config, from, to time.Duration) Flow {
	return Flow{Config: cfg, Start: from, Stop: to, Content: adapt.Text, Forward: []int{0}, Back: []int{1}}
}

// rfcFlow is a source of RFC 8867.
func rfcFlow(from, to time.Duration) Flow {
	f := flow(rfcVideo(), from, to)
	f.Lag = 100 * time.Millisecond
	return f
}

// audio is the sound of RFC 8867, section 4.3: 20 kbit/s, whatever the path does.
func audio(from, to time.Duration) CBR {
	return CBR{Start: from, Stop: to, BitsPerSecond: audioRate, Size: audioSize, Forward: []int{0}}
}

// withAudio gives each flow its sound, on the same way and for the same time: the cases of RFC 8867 have as many sources of audio
// as of video.
func withAudio(c Case) Case {
	for _, f := range c.Flows {
		begun := f.Start
		for i := 0; i <= len(f.Pauses); i += 2 {
			end, again := f.Stop, f.Stop
			if i < len(f.Pauses) {
				end, again = f.Pauses[i], f.Pauses[i+1]
			}
			a := audio(begun, end)
			a.Forward = f.Forward
			c.CBR = append(c.CBR, a)
			begun = again
		}
	}
	return c
}

func queue(name string, p, bound float64, from, to time.Duration) Gate {
	return most(name, bound, func(r *Result) float64 { return r.Flows[0].Queue(p, from, to) })
}

func use(bound float64, flow, link int, from, to time.Duration) Gate {
	return least("use", bound, func(r *Result) float64 { return r.Use(flow, link, from, to) })
}

func loss(bound float64, to time.Duration) Gate {
	return most("loss", bound, func(r *Result) float64 { return r.Flows[0].Loss(0, to) })
}

// total is the sum of all flows' rates, audio among them, over the capacity.
func total(bound float64, from, to time.Duration) Gate {
	return least("total use", bound, func(r *Result) float64 {
		sum := 0.0
		for _, f := range r.Flows {
			sum += f.Rate(from, to)
		}
		for _, a := range r.Case.CBR {
			sum += a.BitsPerSecond * max(0, min(a.Stop, to)-max(a.Start, from)).Seconds() / (to - from).Seconds()
		}
		return sum * (to - from).Seconds() / r.Case.Links[0].Capacity.Bits(from, to, math.Inf(1))
	})
}

func worstQueue(bound float64, from, to time.Duration) Gate {
	return most("q95 ms", bound, func(r *Result) float64 {
		worst := 0.0
		for _, f := range r.Flows {
			worst = max(worst, f.Queue(.95, from, to))
		}
		return worst
	})
}

func worstLoss(bound float64, from, to time.Duration) Gate {
	return most("loss", bound, func(r *Result) float64 {
		worst := 0.0
		for _, f := range r.Flows {
			worst = max(worst, f.Loss(from, to))
		}
		return worst
	})
}

func jain(bound float64, from, to time.Duration) Gate {
	return least("jain", bound, func(r *Result) float64 { return r.Jain(from, to) })
}

func spread(bound float64, from, to time.Duration) Gate {
	return most("max/min", bound, func(r *Result) float64 {
		low, high := math.Inf(1), 0.0
		for _, f := range r.Flows {
			rate := f.Rate(from, to)
			low, high = min(low, rate), max(high, rate)
		}
		return high / low
	})
}

// Cases returns all cases, those of RFC 8867 first.
func Cases() []Case {
	cases := []Case{
		variable(50*time.Millisecond, "5.1", use(0.88, 0, 0, 0, 99*sec), 60, 130, 0.0025, 6),
		variable(100*time.Millisecond, "5.1-100", use(0.85, 0, 0, 0, 99*sec), 60, 130, 0.003, 8),
		withAudio(twoFlows()), withAudio(feedbackCongested()), withAudio(sameAlgorithm()), withAudio(roundTrips()),
		withAudio(longTCP(300 * time.Millisecond)), withAudio(longTCP(1000 * time.Millisecond)), withAudio(shortTCP()),
		withAudio(pauseResume()), withAudio(bottlenecks()),
		step(), idle(), wide(), deepQueue(),
	}
	for _, l := range []struct{ loss, use float64 }{{0.05, 0.80}, {0.10, 0.80}, {0.20, 0.65}} {
		cases = append(cases, randomLoss(l.loss, l.use))
	}
	cases = append(cases, oscillations()...)
	return append(cases, policer(), outage(), keyframes(), scenes(), halved(),
		halvedAnytime("halved-anytime", "6 Mbit/s, halved for 20 s at a moment from 0.5 to 20.5 s", nil),
		halvedAnytime("halved-resting", "the same with a screen that rests for 1.5 s and moves for 2.5 s in turn", resting),
		still(),
		lateComer("late", 3e6, 25*time.Millisecond, 1), lateComer("late-2", 2e6, 10*time.Millisecond, 1), lateComer("late-5", 5e6, 100*time.Millisecond, 1),
		lateComer("late-8", 8e6, 25*time.Millisecond, 1), withAudio(lateComer("late-8-3", 8e6, 50*time.Millisecond, 3)), reordered(), skewed("skewed", "slow", -100), skewed("skewed-fast", "fast", 100),
		stepped("clock-step", 2*sec), stepped("clock-back", -2*sec), hostile(), reportsOnly(),
		frequent(), lte(1), lte(2), burstLoss(), deepest(), sluggish(), background(), workday())
}

func burstLoss() Case {
	links := oneWay(Constant(2e6), rfcQueue, 50*time.Millisecond, rfcJitter)
	links[0].Loss, links[0].Burst = .02, 10
	return Case{
		Name: "burst-loss", About: "2 % lost in bursts of ten packets, on 2 Mbit/s", Length: 60 * sec,
		Links: links, Flows: []Flow{flow(desktop(300_000, 20_000_000, 30), 0, 60*sec)},
		Gates: []Gate{
			least("use", .8, func(r *Result) float64 { return r.Use(0, 0, 20*sec, 59*sec) / .98 }), queue("q95 ms", .95, 80, 10*sec, 60*sec),
		},
	}
}

func deepest() Case {
	c := deepQueue()
	c.Name, c.About = "deep-2000", "2.5, then 1 Mbit/s, with a queue of 2 s"
	c.Links = oneWay(Capacity{{0, 2.5e6}, {20 * sec, 1e6}}, 2*sec, 50*time.Millisecond, rfcJitter)
	return c
}

// sluggish is the slowest of all that the loop is made of.
func sluggish() Case {
	c := deepQueue()
	c.Name, c.About = "sluggish", "2.5, then 1 Mbit/s, reports each 200 ms, an encoder that follows after 300 ms"
	c.Flows[0].Feedback.Every, c.Flows[0].Lag = 200*time.Millisecond, 300*time.Millisecond
	c.Gates = []Gate{
		queue("q95 ms", .95, 150, 20*sec, 40*sec), use(.75, 0, 0, 0, 40*sec),
		most("s to drain", 2.5, func(r *Result) float64 { return r.Flows[0].Drained(20*sec, 40*sec) }),
	}
	return c
}

// background is RFC 8867's other way to make 5.1: the link is 4 Mbit/s all the time, and UDP takes what shall be missing.
func background() Case {
	free := Scaled(1e6, Step{0, 1}, Step{40 * sec, 2.5}, Step{60 * sec, .6}, Step{80 * sec, 1})
	c := Case{
		Name: "5.1-udp", About: "RFC 8867 5.1 as 4 Mbit/s with background UDP: 1, 2.5, 0.6, 1 Mbit/s are left", Length: 100 * sec,
		Links: oneWay(Constant(4e6), rfcQueue, 50*time.Millisecond, rfcJitter), Flows: []Flow{rfcFlow(0, 99*sec)},
		CBR: []CBR{audio(0, 99*sec)},
		Gates: []Gate{
			least("use", .8, func(r *Result) float64 { return r.Flows[0].Rate(0, 99*sec) * 99 / free.Bits(0, 99*sec, 1.5e6) }),
			queue("q95 ms", .95, 80, 0, 99*sec), queue("q99 ms", .99, 130, 0, 99*sec), loss(.0025, 99*sec),
		},
	}
	for i, s := range free {
		end := 99 * sec
		if i+1 < len(free) {
			end = free[i+1].At
		}
		c.CBR = append(c.CBR, CBR{Start: s.At, Stop: end, BitsPerSecond: 4e6 - s.BitsPerSecond, Size: 1200, Forward: []int{0}})
	}
	return c
}

// workday is half an hour of somebody at work: typing, now and then a page, pauses. What probing costs shows in the long run.
func workday() Case {
	f := flow(desktop(1_000_000, 20_000_000, 60), 0, 1800*sec)
	f.Screen = func(at time.Duration) float64 {
		switch in := at % (60 * sec); {
		case in < 35*sec:
			return 120_000 // typing
		case in < 37*sec, in >= 44*sec && in < 45*sec:
			return math.Inf(1) // another page
		default:
			return 10_000 // reading
		}
	}
	return Case{
		Name: "workday", About: "half an hour of typing, turning pages and reading, on 8 Mbit/s", Length: 1800 * sec,
		Links: oneWay(Constant(8e6), rfcQueue, 25*time.Millisecond, rfcJitter), Flows: []Flow{f},
		Gates: []Gate{
			most("padding share", .02, func(r *Result) float64 { return r.Flows[0].Padding() }), loss(0, 1800*sec),
			queue("q99 ms", .99, 80, 0, 1800*sec),
			least("pages' use", .8, func(r *Result) float64 {
				sum := 0.0
				for minute := range 29 {
					from := time.Duration(minute+1)*60*sec + 35*sec
					sum += r.Flows[0].SentRate(from, from+2*sec) / 8e6
				}
				return sum / 29
			}),
		},
	}
}

func variable(owd time.Duration, name string, use Gate, q95, q99, lost, reach float64) Case {
	f := rfcFlow(0, 99*sec)
	return Case{
		Name: name, About: fmt.Sprintf("RFC 8867 5.1: capacity 1, 2.5, 0.6, 1 Mbit/s; one-way delay %v", owd), Length: 100 * sec,
		Links: oneWay(Scaled(1e6, Step{0, 1}, Step{40 * sec, 2.5}, Step{60 * sec, 0.6}, Step{80 * sec, 1}), rfcQueue, owd, rfcJitter),
		Flows: []Flow{f}, CBR: []CBR{audio(0, 99*sec)},
		Gates: []Gate{
			use, queue("q95 ms", .95, q95, 0, 99*sec), queue("q99 ms", .99, q99, 0, 99*sec), loss(lost, 99*sec),
			most("s to 90 %", reach, func(r *Result) float64 { return r.Flows[0].Reach(0.9e6, 0, 40*sec) }),
		},
	}
}

func twoFlows() Case {
	return Case{
		Name: "5.2", About: "RFC 8867 5.2: two flows, capacity 4, 2, 3.5, 1, 2 Mbit/s", Length: 125 * sec,
		Links: oneWay(Scaled(2e6, Step{0, 2}, Step{25 * sec, 1}, Step{50 * sec, 1.75}, Step{75 * sec, .5}, Step{100 * sec, 1}),
			rfcQueue, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{rfcFlow(0, 124*sec), rfcFlow(0, 124*sec)},
		Gates: []Gate{
			total(.93, 75*sec, 100*sec), worstQueue(110, 75*sec, 100*sec), worstLoss(.013, 75*sec, 100*sec),
			jain(.9, 75*sec, 100*sec),
		},
	}
}

func feedbackCongested() Case {
	back := rfcFlow(0, 99*sec)
	back.Forward, back.Back = []int{1}, []int{0}
	links := oneWay(Scaled(1e6, Step{0, 2}, Step{20 * sec, 1}, Step{40 * sec, .5}, Step{60 * sec, 2}), rfcQueue, 50*time.Millisecond, rfcJitter)
	links[1] = links[0]
	links[1].Capacity = Scaled(1e6, Step{0, 2}, Step{35 * sec, .8}, Step{70 * sec, 2})
	return Case{
		Name: "5.3", About: "RFC 8867 5.3: a flow each way, feedback in the other's queue", Length: 100 * sec,
		Links: links, Flows: []Flow{rfcFlow(0, 99*sec), back},
		Gates: []Gate{
			use(.88, 0, 0, 0, 99*sec), use(.88, 1, 1, 0, 99*sec), worstQueue(60, 0, 99*sec),
		},
	}
}

func sameAlgorithm() Case {
	return Case{
		Name: "5.4", About: "RFC 8867 5.4: three flows on 3.5 Mbit/s, from 0, 20 and 40 s", Length: 120 * sec,
		Links: oneWay(Constant(3.5e6), rfcQueue, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{rfcFlow(0, 119*sec), rfcFlow(20*sec, 119*sec), rfcFlow(40*sec, 119*sec)},
		Gates: []Gate{
			total(.93, 80*sec, 119*sec), worstQueue(60, 80*sec, 119*sec), worstLoss(0, 80*sec, 119*sec), jain(.95, 80*sec, 119*sec),
			least("newest's share", .6, func(r *Result) float64 { return r.Flows[2].Rate(80*sec, 119*sec) * 3 / 3.5e6 }),
		},
	}
}

func roundTrips() Case {
	c := Case{
		Name: "5.5", About: "RFC 8867 5.5: five flows on 4 Mbit/s, one-way delays 10 to 150 ms", Length: 300 * sec,
		Links: []Link{{Capacity: Constant(4e6), Queue: rfcQueue, Jitter: rfcJitter}, {Capacity: Constant(100e6), Queue: rfcQueue}},
		Gates: []Gate{worstQueue(60, 180*sec, 299*sec), spread(2, 180*sec, 299*sec)},
	}
	for i, d := range []int{10, 25, 50, 100, 150} {
		c.Links = append(c.Links, Link{Capacity: Constant(1e9), Queue: rfcQueue, Delay: time.Duration(d) * time.Millisecond})
		f := rfcFlow(time.Duration(i)*10*sec, 299*sec)
		f.Forward, f.Back = []int{0, 2 + i}, []int{1, 2 + i}
		c.Flows = append(c.Flows, f)
	}
	return c
}

func longTCP(deep time.Duration) Case {
	c := Case{
		Name: fmt.Sprintf("5.6-%d", deep.Milliseconds()), About: fmt.Sprintf("RFC 8867 5.6: a long TCP flow in a queue of %v on 2 Mbit/s", deep),
		Length: 120 * sec, Links: oneWay(Constant(2e6), deep, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{rfcFlow(5*sec, 119*sec)},
		TCP:   []TCP{{Start: 0, Stop: 119 * sec, Forward: []int{0}, Back: []int{1}}},
	}
	if deep < time.Second {
		c.Gates = []Gate{
			least("kbit/s", 600, func(r *Result) float64 { return r.Flows[0].Rate(40*sec, 119*sec) / 1000 }),
			least("TCP kbit/s", 600, func(r *Result) float64 { return r.TCPRate(0, 40*sec, 119*sec) / 1000 }),
		}
		return c
	}
	c.Gates = []Gate{
		least("target/floor", .95, func(r *Result) float64 {
			lowest := math.Inf(1)
			for _, t := range r.Flows[0].Targets {
				lowest = min(lowest, float64(t.Estimate)/150e3)
			}
			return lowest
		}),
		least("reason given", 1, func(r *Result) float64 {
			for _, t := range r.Flows[0].Targets {
				if t.Reason == adapt.ReasonCompetingTraffic {
					return 1
				}
			}
			return 0
		}),
	}
	return c
}

func shortTCP() Case {
	c := Case{
		Name: "5.7", About: "RFC 8867 5.7: ten short TCP flows and two of ours on 2 Mbit/s", Length: 300 * sec,
		Links: oneWay(Constant(2e6), rfcQueue, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{rfcFlow(5*sec, 299*sec), rfcFlow(5*sec, 299*sec)},
		Gates: []Gate{jain(.9, 60*sec, 299*sec), total(.4, 60*sec, 299*sec)},
	}
	for i := range 10 {
		t := TCP{Stop: 299 * sec, Bytes: 40_000, Idle: 10 * sec, Forward: []int{0}, Back: []int{1}}
		if i >= 2 {
			t.Start = time.Duration(i) * sec
		}
		c.TCP = append(c.TCP, t)
	}
	return c
}

func pauseResume() Case {
	paused := rfcFlow(0, 119*sec)
	paused.Pauses = []time.Duration{40 * sec, 60 * sec}
	return Case{
		Name: "5.8", About: "RFC 8867 5.8: three flows on 3.5 Mbit/s, the second pauses from 40 to 60 s", Length: 120 * sec,
		Links: oneWay(Constant(3.5e6), rfcQueue, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{rfcFlow(0, 119*sec), paused, rfcFlow(0, 119*sec)},
		Gates: []Gate{
			least("resumed's share", .75, func(r *Result) float64 { return r.Flows[1].Rate(60*sec, 70*sec) * 3 / 3.5e6 }),
			worstQueue(90, 60*sec, 70*sec),
		},
	}
}

func bottlenecks() Case {
	c := Case{
		Name: "6.3", About: "RFC 8867 6.3: three flows over three bottlenecks of 2, 8 and 1.5 Mbit/s", Length: 300 * sec,
		Gates: []Gate{least("least kbit/s", 300, func(r *Result) float64 {
			lowest := math.Inf(1)
			for _, f := range r.Flows {
				lowest = min(lowest, f.Rate(60*sec, 299*sec)/1000)
			}
			return lowest
		}), worstQueue(90, 60*sec, 299*sec)},
	}
	for _, ratio := range []float64{1, 4, .75} {
		c.Links = append(c.Links, Link{Capacity: Constant(2e6 * ratio), Queue: rfcQueue, Jitter: rfcJitter})
	}
	for _, d := range []int{100, 40, 40} {
		c.Links = append(c.Links, Link{Capacity: Constant(1e9), Queue: rfcQueue, Delay: time.Duration(d) * time.Millisecond})
	}
	for i, way := range [][]int{{0, 1, 2, 3}, {0, 4}, {2, 5}} {
		f := rfcFlow(0, 299*sec)
		f.Forward, f.Back = way, []int{3 + i}
		c.Flows = append(c.Flows, f)
	}
	return c
}

func step() Case {
	return Case{
		Name: "step", About: "1, 0.3, 1 Mbit/s for 20 s each", Length: 60 * sec,
		Links: oneWay(Capacity{{0, 1e6}, {20 * sec, .3e6}, {40 * sec, 1e6}}, rfcQueue, 25*time.Millisecond, rfcJitter),
		Flows: []Flow{flow(desktop(300_000, 20_000_000, 30), 0, 60*sec)},
		Gates: []Gate{
			use(.85, 0, 0, 0, 60*sec), queue("q95 ms", .95, 90, 0, 60*sec), queue("q99 ms", .99, 140, 0, 60*sec),
			loss(.003, 60*sec),
			most("s to 90 %", 5, func(r *Result) float64 { return r.Flows[0].Reach(.9e6, 40*sec, 60*sec) }),
		},
	}
}

// bursts is a screen that uses a little but for some seconds from each moment.
func bursts(quiet float64, long time.Duration, moments ...time.Duration) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		for _, m := range moments {
			if at >= m && at < m+long {
				return math.Inf(1)
			}
		}
		return quiet
	}
}

func idle() Case {
	f := flow(desktop(1_000_000, 20_000_000, 30), 0, 90*sec)
	f.Screen = bursts(80_000, 3*sec, 30*sec, 75*sec)
	return Case{
		Name: "idle", About: "a screen of 80 kbit/s with bursts of 3 s, on 3 Mbit/s", Length: 90 * sec,
		Links: oneWay(Constant(3e6), rfcQueue, 25*time.Millisecond, rfcJitter), Flows: []Flow{f},
		Gates: []Gate{
			loss(0, 90*sec), queue("q95 ms", .95, 80, 75*sec, 78*sec), use(.7, 0, 0, 75*sec, 78*sec),
			least("use 1st", .7, func(r *Result) float64 { return r.Use(0, 0, 30*sec, 33*sec) }),
		},
	}
}

func wide() Case {
	return Case{
		Name: "wide", About: "20, 8, 20 Mbit/s for 20 s each, 60 fps", Length: 60 * sec,
		Links: oneWay(Capacity{{0, 20e6}, {20 * sec, 8e6}, {40 * sec, 20e6}}, rfcQueue, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{flow(desktop(1_000_000, 25_000_000, 60), 0, 60*sec)},
		Gates: []Gate{
			use(.85, 0, 0, 0, 60*sec), queue("q95 ms", .95, 50, 0, 60*sec), loss(.003, 60*sec),
		},
	}
}

func deepQueue() Case {
	return Case{
		Name: "deep", About: "2.5, then 1 Mbit/s, with a queue of 1 s", Length: 40 * sec,
		Links: oneWay(Capacity{{0, 2.5e6}, {20 * sec, 1e6}}, sec, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{flow(desktop(300_000, 20_000_000, 30), 0, 40*sec)},
		Gates: []Gate{
			queue("q95 ms", .95, 90, 20*sec, 40*sec), use(.8, 0, 0, 0, 40*sec),
			most("s to drain", 1.5, func(r *Result) float64 { return r.Flows[0].Drained(20*sec, 40*sec) }),
		},
	}
}

func randomLoss(rate, bound float64) Case {
	links := oneWay(Constant(2e6), rfcQueue, 50*time.Millisecond, rfcJitter)
	links[0].Loss = rate
	return Case{
		Name: fmt.Sprintf("loss-%g", rate*100), About: fmt.Sprintf("%g %% lost at random, on 2 Mbit/s", rate*100), Length: 60 * sec,
		Links: links, Flows: []Flow{flow(desktop(300_000, 20_000_000, 30), 0, 60*sec)},
		Gates: []Gate{least("use", bound, func(r *Result) float64 { return r.Use(0, 0, 20*sec, 59*sec) / (1 - rate) })},
	}
}

func policer() Case {
	links := oneWay(Constant(10e6), rfcQueue, 50*time.Millisecond, rfcJitter)
	links[0].Police, links[0].PoliceBurst = 2e6, 20_000
	return Case{
		Name: "policer", About: "a policer of 2 Mbit/s and 20 kB before 10 Mbit/s", Length: 60 * sec,
		Links: links, Flows: []Flow{flow(desktop(300_000, 20_000_000, 30), 0, 60*sec)},
		Gates: []Gate{
			loss(.025, 60*sec),
			least("kbit/s", 1400, func(r *Result) float64 { return r.Flows[0].Rate(10*sec, 60*sec) / 1000 }),
		},
	}
}

func outage() Case {
	return Case{
		Name: "outage", About: "2 Mbit/s, nothing from 20 to 23 s", Length: 40 * sec,
		Links: oneWay(Capacity{{0, 2e6}, {20 * sec, 0}, {23 * sec, 2e6}}, rfcQueue, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{flow(desktop(300_000, 20_000_000, 30), 0, 40*sec)},
		Gates: []Gate{
			most("s to 90 %", 1.5, func(r *Result) float64 {
				// By what is sent anew: what waited in the queue meanwhile arrives at once.
				before := r.Flows[0].SentRate(15*sec, 20*sec)
				for at := 23 * sec; at < 39*sec; at += 100 * time.Millisecond {
					if r.Flows[0].SentRate(at, at+sec/2) >= .9*before {
						return (at + sec/4 - 23*sec).Seconds()
					}
				}
				return math.NaN()
			}),
			loss(.002, 40*sec),
			most("freezes", 1, func(r *Result) float64 {
				return float64(r.Flows[0].Freezes(15*sec, 40*sec, 183*time.Millisecond))
			}),
		},
	}
}

func keyframes() Case {
	f := flow(desktop(300_000, 20_000_000, 30), 0, 60*sec)
	f.KeyEvery = 2 * sec
	return Case{
		Name: "keyframes", About: "2 Mbit/s, a keyframe of six times a frame's size each 2 s", Length: 60 * sec,
		Links: oneWay(Constant(2e6), rfcQueue, 50*time.Millisecond, rfcJitter), Flows: []Flow{f},
		Gates: []Gate{queue("q95 ms", .95, 100, 5*sec, 60*sec), loss(0, 60*sec)},
	}
}

// scenes has pictures of two thirds of a second between others, as the switch to another window makes them.
func scenes() Case {
	f := flow(desktop(300_000, 20_000_000, 30), 0, 60*sec)
	f.SceneEvery, f.SceneSize = 3*sec, 20
	return Case{
		Name: "scenes", About: "2 Mbit/s, a picture of 20 times the size each 3 s, larger than the encoder was allowed", Length: 60 * sec,
		Links: oneWay(Constant(2e6), rfcQueue, 25*time.Millisecond, rfcJitter), Flows: []Flow{f},
		Gates: []Gate{
			queue("q95 ms", .95, 50, 5*sec, 60*sec), queue("q99 ms", .99, 80, 5*sec, 60*sec), loss(0, 60*sec), use(.75, 0, 0, 5*sec, 60*sec),
		},
	}
}

// resting is a screen that rests and moves in turn.
func resting(at time.Duration) float64 {
	if at%(4*sec) < 1500*time.Millisecond {
		return 80_000
	}
	return math.Inf(1)
}

func halved() Case {
	c := Case{
		Name: "halved", About: "6, 3, 6 Mbit/s for 20 s each", Length: 60 * sec,
		Links: oneWay(Capacity{{0, 6e6}, {20*sec + 130*time.Millisecond, 3e6}, {40 * sec, 6e6}}, rfcQueue, 25*time.Millisecond, rfcJitter),
		Flows: []Flow{flow(desktop(1_000_000, 20_000_000, 60), 0, 60*sec)},
	}
	c.Gates = halvedGates()
	return c
}

// halvedGates judge a fall of the capacity to a half, and its return: the second and third step of the first link.
func halvedGates() []Gate {
	fall := func(r *Result) (at time.Duration, to float64) {
		s := r.Case.Links[0].Capacity[1]
		return s.At, s.BitsPerSecond
	}
	back := func(r *Result) (at time.Duration, to float64) {
		s := r.Case.Links[0].Capacity[2]
		return s.At, s.BitsPerSecond
	}
	return []Gate{
		most("s until under", .5, func(r *Result) float64 {
			fell, to := fall(r)
			for at := fell; at < fell+10*sec; at += 20 * time.Millisecond {
				if r.Flows[0].SentRate(at, at+200*time.Millisecond) < to {
					return (at - fell).Seconds()
				}
			}
			return math.NaN()
		}),
		most("s to drain", 2, func(r *Result) float64 {
			fell, _ := fall(r)
			again, _ := back(r)
			return r.Flows[0].Drained(fell, again)
		}),
		most("freezes", 1, func(r *Result) float64 {
			fell, _ := fall(r)
			return float64(r.Flows[0].Freezes(fell, fell+10*sec, 200*time.Millisecond))
		}),
		most("s to 90 %", 6, func(r *Result) float64 {
			again, to := back(r)
			return r.Flows[0].Reach(.9*to, again, r.Case.Length)
		}),
		most("overshoot", 1.15, func(r *Result) float64 {
			again, to := back(r)
			worst := 0.0
			for at := again + sec; at < r.Case.Length-sec; at += 100 * time.Millisecond {
				worst = max(worst, r.Flows[0].SentRate(at, at+sec)/to)
			}
			return worst
		}),
	}
}

// halvedAnytime has a capacity that is halved at a moment which differs by seed, from the first half second on, for 20 s. With a screen
// that rests and moves in turn the moment also is one at which little is sent, the path is probed, or the screen begins to move.
func halvedAnytime(name, about string, screen func(time.Duration) float64) Case {
	f := flow(desktop(1_000_000, 20_000_000, 60), 0, 60*sec)
	f.Screen = screen
	c := Case{
		Name: name, About: about, Length: 60 * sec, Flows: []Flow{f}, Gates: halvedGates(),
		Links: oneWay(Capacity{{0, 6e6}, {20 * sec, 3e6}, {40 * sec, 6e6}}, rfcQueue, 25*time.Millisecond, rfcJitter),
		Vary: func(c Case, seed uint64) Case {
			at := sec/2 + time.Duration(newRandom(seed).Float64()*float64(20*sec))
			c.Links = slices.Clone(c.Links)
			c.Links[0].Capacity = Capacity{{0, 6e6}, {at, 3e6}, {at + 20*sec, 6e6}}
			return c
		},
	}
	return c
}

func still() Case {
	f := flow(desktop(1_000_000, 20_000_000, 60), 0, 310*sec)
	f.Screen = func(at time.Duration) float64 {
		if at < 300*sec {
			return 0
		}
		return math.Inf(1)
	}
	return Case{
		Name: "still", About: "five minutes of a still screen on 8 Mbit/s, then motion", Length: 310 * sec,
		Links: oneWay(Constant(8e6), rfcQueue, 25*time.Millisecond, rfcJitter), Flows: []Flow{f},
		Gates: []Gate{
			least("1st second's use", .8, func(r *Result) float64 {
				return r.Flows[0].SentRate(300*sec, 301*sec) / 8e6
			}),
			loss(0, 310*sec),
			most("lowered", 0, func(r *Result) float64 {
				n, before := 0, 0
				for _, t := range r.Flows[0].Targets {
					if t.At < 300*sec && t.Estimate < before {
						n++
					}
					before = t.Estimate
				}
				return float64(n)
			}),
			most("padding kB", 350, func(r *Result) float64 {
				bytes := 0
				for _, p := range r.Flows[0].Packets {
					if p.Padding {
						bytes += p.Size
					}
				}
				return float64(bytes) / 1000
			}),
		},
	}
}

// oscillations are around what the states depend on, of 1.4 Mbit/s that 720p at 30 frames a second asks for: below it a stream is
// constrained, below 0.6 of it frames are given up, and below 0.3 it is critical.
func oscillations() []Case {
	cases := []Case{oscillating("oscillating", sec, 3e6, 1e6)}
	for _, period := range []time.Duration{3333 * time.Millisecond, sec, 333 * time.Millisecond} {
		for _, around := range []struct{ high, low float64 }{{1.8e6, 1.1e6}, {1e6, .65e6}, {.55e6, .3e6}} {
			cases = append(cases, oscillating(fmt.Sprintf("osc-%.1f-%g", 1/period.Seconds(), around.high/1e6), period, around.high, around.low))
		}
	}
	return cases
}

func oscillating(name string, period time.Duration, high, low float64) Case {
	var c Capacity
	for at := time.Duration(0); at < 120*sec; at += period {
		c = append(c, Step{at, high}, Step{at + period/2, low})
	}
	return Case{
		Name: name, About: fmt.Sprintf("%g and %g Mbit/s in turn, each for %v", high/1e6, low/1e6, (period / 2).Round(time.Millisecond)), Length: 120 * sec,
		Links: oneWay(c, rfcQueue, 25*time.Millisecond, rfcJitter),
		Flows: []Flow{flow(desktop(min(1_000_000, int(low)), 20_000_000, 30), 0, 120*sec)},
		Gates: []Gate{
			most("transitions/min", 6, func(r *Result) float64 { return float64(len(r.Flows[0].Transitions)) / 2 }),
			queue("q95 ms", .95, 150, 10*sec, 120*sec), use(.45, 0, 0, 10*sec, 120*sec),
		},
	}
}

// lateComer joins who has the path for half a minute.
func lateComer(name string, capacity float64, delay time.Duration, before int) Case {
	const joins, end = 30 * sec, 60 * sec
	c := Case{
		Name: name, About: fmt.Sprintf("a flow comes 30 s after %d that have %g Mbit/s, one-way delay %v", before, capacity/1e6, delay), Length: end,
		Links: oneWay(Constant(capacity), rfcQueue, delay, rfcJitter),
	}
	for range before {
		c.Flows = append(c.Flows, flow(desktop(1_000_000, 20_000_000, 30), 0, end))
	}
	c.Flows = append(c.Flows, flow(desktop(300_000, 20_000_000, 30), joins, end))
	fair := capacity / float64(before+1)
	c.Gates = []Gate{
		least("share after 10 s", .75, func(r *Result) float64 { return r.Flows[before].Rate(joins+10*sec, joins+15*sec) / fair }),
		most("of fair share", 2, func(r *Result) float64 { return r.Flows[before].Rate(joins+10*sec, end) / fair }),
		worstQueue(80, joins, end), worstLoss(0, joins, end), total(.85, joins, end),
	}
	return c
}

func quick(name, about string, change func(*Case), gates ...Gate) Case {
	c := Case{
		Name: name, About: about, Length: 60 * sec, Links: oneWay(Constant(3e6), rfcQueue, 25*time.Millisecond, rfcJitter),
		Flows: []Flow{flow(desktop(1_000_000, 20_000_000, 30), 0, 60*sec)},
	}
	change(&c)
	if len(gates) == 0 {
		gates = []Gate{use(.8, 0, 0, 10*sec, 60*sec), queue("q95 ms", .95, 80, 10*sec, 60*sec)}
	}
	c.Gates = gates
	return c
}

func reordered() Case {
	return quick("reordered", "5 % of the packets overtaken by 20 ms, reports late and twice", func(c *Case) {
		c.Links[0].Reorder, c.Links[0].ReorderBy = .05, 20*time.Millisecond
		c.Flows[0].Feedback = Feedback{Loss: .05, Twice: .05, Late: .05}
	})
}

func skewed(name, how string, ppm float64) Case {
	return quick(name, "the receiver's clock runs 100 ppm "+how, func(c *Case) { c.Flows[0].Feedback.Skew = ppm })
}

func stepped(name string, by time.Duration) Case {
	return quick(name, fmt.Sprintf("the receiver's clock is set by %v", by), func(c *Case) {
		c.Flows[0].Feedback.Step, c.Flows[0].Feedback.StepBy = 30*sec, by
	})
}

func hostile() Case {
	return quick("hostile", "the receiver acknowledges what was never sent, at any time", func(c *Case) {
		c.Flows[0].Feedback.Hostile = true
	}, most("outside limits", 0, func(r *Result) float64 {
		n := 0
		for _, t := range r.Flows[0].Targets {
			if t.Target < 150_000 || t.Target > 20_000_000 {
				n++
			}
		}
		return float64(n)
	}))
}

func reportsOnly() Case {
	return quick("reports-only", "receiver reports once a second, on 1.5 Mbit/s", func(c *Case) {
		c.Links = oneWay(Constant(1.5e6), rfcQueue, 25*time.Millisecond, rfcJitter)
		c.Flows[0].Config = desktop(300_000, 4_000_000, 30)
		c.Flows[0].Feedback.ReceiverReports = true
	}, use(.6, 0, 0, 10*sec, 60*sec), loss(.03, 60*sec))
}

// frequent reports come more often than frames: most see packets from within a frame alone, behind others of it.
func frequent() Case {
	return quick("frequent", "a report each 25 ms, and a frame each 33", func(c *Case) { c.Flows[0].Feedback.Every = 25 * time.Millisecond })
}

func lte(seed uint64) Case {
	c := Cellular(seed, 4e6, .6, 4, 120*sec)
	links := oneWay(c, 0, 20*time.Millisecond, 0)
	links[0].QueueBytes = 450_000
	f := flow(desktop(1_000_000, 12_000_000, 60), 0, 120*sec)
	f.Lag = 33 * time.Millisecond
	return Case{
		Name: fmt.Sprintf("cellular-%d", seed), About: "our model of a moving phone, 4 Mbit/s in the mean, 450 kB of queue", Length: 120 * sec,
		Links: links, Flows: []Flow{f},
		Gates: []Gate{
			use(.55, 0, 0, 5*sec, 120*sec),
			most("frame p95 ms", 200, func(r *Result) float64 {
				return r.Flows[0].FrameDelay(.95, 5*sec, 120*sec, 20*time.Millisecond)
			}),
		},
	}
}
