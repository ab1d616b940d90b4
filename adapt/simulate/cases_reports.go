package simulate

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// reporter is a flow whose receiver sends receiver reports alone. Its round trip is measured by ICE, as in sessions.
func reporter(start int, from, to time.Duration) Flow {
	f := flow(desktop(start, 20_000_000, 30), from, to)
	f.Feedback.Reports, f.Feedback.Echo = ReceiverReports, 250*time.Millisecond
	return f
}

// reportCases have receivers that send receiver reports alone.
func reportCases() []Case {
	ms := time.Millisecond
	return []Case{
		reportsOnly(),
		reportsFall("reports-halved", "receiver reports, 6 Mbit/s, halved for 20 s at a moment from 10 to 30 s", 6e6, 3e6,
			rfcQueue, 1, 3, nil),
		reportsFall("reports-quarter", "receiver reports, 4 Mbit/s, cut to a quarter in the same way, a queue of 100 ms",
			4e6, 1e6, 100*ms, 1.2, 3, nil),
		reportsFall("reports-quarter-300", "the same with a queue of 300 ms", 4e6, 1e6, 300*ms, 1.2, 3, nil),
		reportsFall("reports-quarter-1000", "the same with a queue of 1 s", 4e6, 1e6, sec, 1.2, 4, nil),
		reportsFall("reports-quarter-plain", "a queue of 300 ms, and no echoes", 4e6, 1e6, 300*ms, 1.5, 3, func(f *Flow) {
			f.Feedback.Echo = 0
		}),
		reportsFall("reports-quarter-mute", "a queue of 300 ms, and a receiver that asks for nothing again", 4e6, 1e6,
			300*ms, 2, 3.5,
			func(f *Flow) { f.Feedback.Mute = true }),
		reportsFall("reports-quarter-bare", "neither, so that reports are all there is", 4e6, 1e6, 300*ms, 2.5, 4,
			func(f *Flow) { f.Feedback.Mute, f.Feedback.Echo = true, 0 }),
		reportsFall("reports-5s", "4 to 1 Mbit/s, a queue of 300 ms, a report each 5 s", 4e6, 1e6, 300*ms, 1.5, 4,
			func(f *Flow) { f.Feedback.ReportEvery = 5 * sec }),
		reportsFall("reports-lost", "the same each second, a third of them lost", 4e6, 1e6, 300*ms, 1.5, 4, func(f *Flow) {
			f.Feedback.Loss = 1. / 3
		}),
		reportsFall("reports-late", "the same, a third of them late by half a second", 4e6, 1e6, 300*ms, 1.5, 4,
			func(f *Flow) { f.Feedback.Late = 1. / 3 }),
		reportsFallLossy(),
		reportsLossy("reports-lossy-1", 3e6, .01), reportsLossy("reports-lossy-2", 3e6, .02),
		reportsLossy("reports-lossy-5", 3e6, .05), reportsLossy("reports-lossy-slow", .6e6, .03),
		reportsLate(), reportsStill(), reportsTCP(), reportsBursts(),
		reportsPolicer(1), reportsPolicer(4), reportsFallInBytes(30_000, DropTail), reportsFallInBytes(250_000, DropTail),
		reportsFallInBytes(2_000_000, DropTail), reportsFallInBytes(2_000_000, CoDel),
	}
}

func reportsOnly() Case {
	return quick("reports-only", "receiver reports once a second, on 1.5 Mbit/s", func(c *Case) {
		c.Links = oneWay(Constant(1.5e6), rfcQueue, 25*time.Millisecond, rfcJitter)
		c.Flows[0].Config = desktop(300_000, 4_000_000, 30)
		c.Flows[0].Feedback.Reports = ReceiverReports
	}, use(.85, 0, 0, 10*sec, 60*sec), queue("q95 ms", .95, 80, 10*sec, 60*sec), loss(.01, 60*sec))
}

// reportsFall has a capacity that falls for 20 s at a moment which differs by seed.
func reportsFall(name, about string, high, low float64, queued time.Duration, stands, drained float64,
	change func(*Flow),
) Case {
	f := reporter(1_000_000, 0, 80*sec)
	if change != nil {
		change(&f)
	}
	const keeps = 20 * sec
	steps := func(at time.Duration) Capacity { return Capacity{{0, high}, {at, low}, {at + keeps, high}} }
	fell := func(r *Result) time.Duration { return r.Case.Links[0].Capacity[1].At }
	return Case{
		Name: name, About: about, Length: 80 * sec, Flows: []Flow{f},
		Links: oneWay(steps(20*sec), queued, 25*time.Millisecond, rfcJitter),
		Vary: func(c Case, seed uint64) Case {
			c.Links = slices.Clone(c.Links)
			c.Links[0].Capacity = steps(10*sec + time.Duration(newRandom(seed).Float64()*float64(20*sec)))
			return c
		},
		Gates: []Gate{
			// What is repaired by retransmissions that wait behind the queue is shown late.
			most("stands s", stands, func(r *Result) float64 { return r.Flows[0].Stands(fell(r)-sec, fell(r)+15*sec) }),
			most("s until under", stands, func(r *Result) float64 {
				for at := fell(r); at < fell(r)+keeps; at += 20 * time.Millisecond {
					if r.Flows[0].SentRate(at, at+500*time.Millisecond) < low {
						return (at - fell(r)).Seconds()
					}
				}
				return math.NaN()
			}),
			most("s to drain", drained, func(r *Result) float64 { return r.Flows[0].Drained(fell(r), fell(r)+keeps) }),
			least("use low", .8, func(r *Result) float64 { return r.Use(0, 0, fell(r)+5*sec, fell(r)+keeps) }),
			most("loss low", .01, func(r *Result) float64 { return r.Flows[0].Loss(fell(r)+5*sec, fell(r)+keeps) }),
			least("use high", .7, func(r *Result) float64 { return r.Use(0, 0, fell(r)+keeps, 80*sec) }),
			most("q95 ms", 100, func(r *Result) float64 { return r.Flows[0].Queue(.95, fell(r)+5*sec, 80*sec) }),
		},
	}
}

// reportsFallLossy loses packets of its own while it falls.
func reportsFallLossy() Case {
	const lost = .02
	c := reportsFall("reports-quarter-lossy", "4 to 1 Mbit/s, a queue of 100 ms, and 2 % lost at random", 4e6, 1e6,
		100*time.Millisecond, 1.5, 3, nil)
	c.Links[0].Loss = lost
	for i, g := range c.Gates { // several cuts tell loss of the link from that of the queue
		switch g.Name {
		case "loss low":
			c.Gates[i].Most += 3 * lost
		case "use low":
			c.Gates[i].Least -= .05
		}
	}
	return c
}

func reportsLossy(name string, capacity, rate float64) Case {
	links := oneWay(Constant(capacity), rfcQueue, 25*time.Millisecond, rfcJitter)
	links[0].Loss = rate
	return Case{
		Name: name, About: fmt.Sprintf("receiver reports, %g %% lost at random, on %g Mbit/s", rate*100, capacity/1e6),
		Length: 90 * sec,
		Links:  links, Flows: []Flow{reporter(1_000_000, 0, 90*sec)},
		Gates: []Gate{
			least("use", .85, func(r *Result) float64 { return r.Use(0, 0, 20*sec, 89*sec) / (1 - rate) }),
			queue("q95 ms", .95, 80, 10*sec, 90*sec),
			most("transitions/min", 6, func(r *Result) float64 { return float64(len(r.Flows[0].Transitions)) / 1.5 }),
		},
	}
}

// reportsLate is one by reports that joins another.
func reportsLate() Case {
	const joins, end = 30 * sec, 90 * sec
	late := func(from, to time.Duration) Gate {
		return least("share", .5, func(r *Result) float64 { return r.Flows[1].Rate(from, to) / 1.5e6 })
	}
	return Case{
		Name: "reports-join", About: "a flow by receiver reports comes 30 s after another one, on 3 Mbit/s", Length: end,
		Links: oneWay(Constant(3e6), rfcQueue, 25*time.Millisecond, rfcJitter),
		Flows: []Flow{reporter(1_000_000, 0, end), reporter(300_000, joins, end)},
		Gates: []Gate{
			late(joins+20*sec, end), worstQueue(100, joins+10*sec, end), worstLoss(.01, joins+10*sec, end),
			total(.9, joins+10*sec, end),
		},
	}
}

func reportsStill() Case {
	f := reporter(1_000_000, 0, 90*sec)
	f.Screen = wakes(60*sec, 20_000)
	return Case{
		Name: "reports-still", About: "receiver reports, a minute of a still screen on 4 Mbit/s, then motion",
		Length: 90 * sec,
		Links:  oneWay(Constant(4e6), rfcQueue, 25*time.Millisecond, rfcJitter), Flows: []Flow{f},
		Gates: []Gate{
			loss(0, 90*sec), queue("q95 ms", .95, 80, 60*sec, 90*sec), use(.8, 0, 0, 70*sec, 90*sec),
			least("1st second's kbit/s", 800, func(r *Result) float64 { return r.Flows[0].SentRate(60*sec, 61*sec) / 1000 }),
		},
	}
}

func reportsTCP() Case {
	return Case{
		Name: "reports-tcp", About: "receiver reports beside a TCP flow on 3 Mbit/s", Length: 120 * sec,
		Links: oneWay(Constant(3e6), rfcQueue, 25*time.Millisecond, rfcJitter),
		Flows: []Flow{reporter(1_000_000, 0, 120*sec)},
		TCP:   []TCP{{Start: 20 * sec, Stop: 120 * sec, Forward: []int{0}, Back: []int{1}}},
		Gates: []Gate{
			least("kbit/s", 800, func(r *Result) float64 { return r.Flows[0].Rate(40*sec, 120*sec) / 1000 }),
			least("TCP kbit/s", 800, func(r *Result) float64 { return r.TCPRate(0, 40*sec, 120*sec) / 1000 }),
		},
	}
}
