package simulate

import (
	"fmt"
	"math"
	"slices"
	"time"
)

func burstLoss() Case {
	links := oneWay(Constant(2e6), rfcQueue, 50*time.Millisecond, rfcJitter)
	links[0].Loss, links[0].Burst = .02, 10
	return Case{
		Name: "burst-loss", About: "2 % lost in bursts of ten packets, on 2 Mbit/s", Length: 60 * sec,
		Links: links, Flows: []Flow{flow(desktop(300_000, 20_000_000, 30), 0, 60*sec)},
		Gates: []Gate{
			least("use", .8, func(r *Result) float64 { return r.Use(0, 0, 20*sec, 59*sec) / .98 }),
			queue("q95 ms", .95, 80, 10*sec, 60*sec),
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

// workday is half an hour of somebody at work: typing, now and then a page, pauses. What probing costs shows in the
// long run.
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
		Name: fmt.Sprintf("loss-%g", rate*100), About: fmt.Sprintf("%g %% lost at random, on 2 Mbit/s", rate*100),
		Length: 60 * sec,
		Links:  links, Flows: []Flow{flow(desktop(300_000, 20_000_000, 30), 0, 60*sec)},
		Gates: []Gate{least("use", bound, func(r *Result) float64 { return r.Use(0, 0, 20*sec, 59*sec) / (1 - rate) })},
	}
}

// brokenLink loses more than any link that is of use: the circuit opens whatever the loss does not depend on
// (RFC 8083).
func brokenLink() Case {
	c := randomLoss(.35, 0)
	c.Gates = []Gate{each(most("kbit/s", 600, func(r *Result) float64 {
		return r.Flows[0].SentRate(20*sec, 59*sec) / 1000
	}))}
	return c
}

// lossyScreen loses at random about what the states depend on, on a link that carries all that the screen needs: no
// more than chance changes.
func lossyScreen(rate float64) Case {
	links := oneWay(Constant(20e6), rfcQueue, 20*time.Millisecond, 0)
	links[0].Loss = rate
	one := flow(desktop(1_000_000, 20_000_000, 30), 0, 60*sec)
	one.Screen = func(time.Duration) float64 { return 2e6 }
	return Case{
		Name:  fmt.Sprintf("lossy-screen-%g", rate*100),
		About: fmt.Sprintf("%g %% lost at random, 2 Mbit/s needed of 20", rate*100), Length: 60 * sec,
		Links: links, Flows: []Flow{one},
		Gates: []Gate{
			most("transitions/min", 6, func(r *Result) float64 { return float64(len(r.Flows[0].Transitions)) }),
			least("kbit/s", 1800, func(r *Result) float64 { return r.Flows[0].Rate(20*sec, 60*sec) / (1 - rate) / 1000 }),
		},
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
				for at := 23 * sec; at < 39*sec; at += 100 * time.Millisecond {
					if r.Flows[0].SentRate(at, at+sec/2) >= .9*.95*2e6 {
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
		Name: "scenes", About: "2 Mbit/s, a picture of 20 times the size each 3 s, larger than the encoder was allowed",
		Length: 60 * sec,
		Links:  oneWay(Constant(2e6), rfcQueue, 25*time.Millisecond, rfcJitter), Flows: []Flow{f},
		Gates: []Gate{
			queue("q95 ms", .95, 50, 5*sec, 60*sec), queue("q99 ms", .99, 80, 5*sec, 60*sec), loss(0, 60*sec),
			use(.75, 0, 0, 5*sec, 60*sec),
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
		Links: oneWay(Capacity{{0, 6e6}, {20*sec + 130*time.Millisecond, 3e6}, {40 * sec, 6e6}}, rfcQueue,
			25*time.Millisecond, rfcJitter),
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

// halvedAnytime has a capacity that is halved at a moment which differs by seed, from the first half second on, for
// 20 s. With a screen that rests and moves in turn the moment also is one at which little is sent, the path is probed,
// or the screen begins to move.
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

// tenth is a fall that a queue of a few packets meets: it overflows before it stands, and what fell comes back.
func tenth() Case {
	c := Case{
		Name: "tenth", About: "8, 0.8, 8 Mbit/s for 20 s each, with a queue of 50 ms", Length: 60 * sec,
		Links: oneWay(Capacity{{0, 8e6}, {20 * sec, .8e6}, {40 * sec, 8e6}}, 50*time.Millisecond, 5*time.Millisecond,
			rfcJitter),
		Flows: []Flow{flow(desktop(1_000_000, 20_000_000, 60), 0, 60*sec)},
	}
	for _, g := range halvedGates() {
		if g.Name == "s to 90 %" { // of ten times as much
			g.Most = 8
		}
		if g.Name != "freezes" { // at a tenth of the rate there are as few frames
			c.Gates = append(c.Gates, g)
		}
	}
	return c
}

// wakes is a screen of a rate until a moment, and then one in motion.
func wakes(moment time.Duration, before float64) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		if at < moment {
			return before
		}
		return math.Inf(1)
	}
}

func still() Case {
	f := flow(desktop(1_000_000, 20_000_000, 60), 0, 310*sec)
	f.Screen = wakes(300*sec, 0)
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

// stillWide is still on a path that takes most of the purse to be found.
func stillWide() Case {
	c := still()
	c.Name, c.About = "still-30", "five minutes of a still screen on 30 Mbit/s, then motion"
	c.Links = oneWay(Constant(30e6), rfcQueue, 25*time.Millisecond, rfcJitter)
	c.Flows[0].Config.Max = 40_000_000
	c.Gates = slices.DeleteFunc(c.Gates, func(g Gate) bool { return g.Name == "lowered" })
	c.Gates[0] = least("1st second's use", .8, func(r *Result) float64 {
		return r.Flows[0].SentRate(300*sec, 301*sec) / 30e6
	})
	return c
}

// halvedWide is halved where a frame takes little longer than jitter does.
func halvedWide() Case {
	c := halved()
	c.Name, c.About = "halved-20", "20, 10, 20 Mbit/s for 20 s each"
	c.Links = oneWay(Capacity{{0, 20e6}, {20 * sec, 10e6}, {40 * sec, 20e6}}, rfcQueue, 5*time.Millisecond, rfcJitter)
	c.Flows[0].Config.Max = 40_000_000
	return c
}

// oscillations are around what the states depend on, of 1.4 Mbit/s that 720p at 30 frames a second asks for: below it
// a stream is constrained, below 0.6 of it frames are given up, and below 0.3 it is critical.
func oscillations() []Case {
	cases := []Case{oscillating("oscillating", sec, 3e6, 1e6)}
	for _, period := range []time.Duration{3333 * time.Millisecond, sec, 333 * time.Millisecond} {
		for _, around := range []struct{ high, low float64 }{{1.8e6, 1.1e6}, {1e6, .65e6}, {.55e6, .3e6}} {
			cases = append(cases, oscillating(fmt.Sprintf("osc-%.1f-%g", 1/period.Seconds(), around.high/1e6), period,
				around.high, around.low))
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
		Name: name, About: fmt.Sprintf("%g and %g Mbit/s in turn, each for %v", high/1e6, low/1e6,
			(period / 2).Round(time.Millisecond)), Length: 120 * sec,
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
		Name: name, About: fmt.Sprintf("a flow comes 30 s after %d that have %g Mbit/s, one-way delay %v", before,
			capacity/1e6, delay), Length: end,
		Links: oneWay(Constant(capacity), rfcQueue, delay, rfcJitter),
	}
	for range before {
		c.Flows = append(c.Flows, flow(desktop(1_000_000, 20_000_000, 30), 0, end))
	}
	c.Flows = append(c.Flows, flow(desktop(300_000, 20_000_000, 30), joins, end))
	fair := capacity / float64(before+1)
	highest := 2.0
	if before == 1 { // all of the path is 2
		highest = 1.5
	}
	c.Gates = []Gate{
		least("share after 10 s", .75, func(r *Result) float64 {
			return r.Flows[before].Rate(joins+10*sec, joins+15*sec) / fair
		}),
		most("of fair share", highest, func(r *Result) float64 { return r.Flows[before].Rate(joins+10*sec, end) / fair }),
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

// frequent reports come more often than frames: most see packets from within a frame alone, behind others of it.
func frequent() Case {
	return quick("frequent", "a report each 25 ms, and a frame each 33", func(c *Case) {
		c.Flows[0].Feedback.Every = 25 * time.Millisecond
	})
}

func lte(seed uint64) Case {
	c := Cellular(seed, 4e6, .6, 4, 120*sec)
	links := oneWay(c, 0, 20*time.Millisecond, 0)
	links[0].QueueBytes = 450_000
	f := flow(desktop(1_000_000, 12_000_000, 60), 0, 120*sec)
	f.Lag = 33 * time.Millisecond
	return Case{
		Name:  fmt.Sprintf("cellular-%d", seed),
		About: "our model of a moving phone, 4 Mbit/s in the mean, 450 kB of queue", Length: 120 * sec,
		Links: links, Flows: []Flow{f},
		Gates: []Gate{
			use(.55, 0, 0, 5*sec, 120*sec),
			most("frame p95 ms", 200, func(r *Result) float64 {
				return r.Flows[0].FrameDelay(.95, 5*sec, 120*sec, 20*time.Millisecond)
			}),
		},
	}
}
