package simulate

import (
	"fmt"
	"slices"
	"time"
)

// pathCases are paths with a single flow: Wi-Fi, loss without congestion, queues in bytes, and what browsers
// vary in their reports.
func pathCases() []Case {
	ms := time.Millisecond
	cases := []Case{
		fallInBytes(30_000, 1.5, 3), fallInBytes(250_000, 1.5, 3), fallInBytes(2_000_000, 1.5, 3),
		roomy(wifi("stall-90", "30 Mbit/s, nothing for 90 ms of each second", Link{Capacity: stalls(30e6, sec, 90*ms)})),
		roomy(wifi("stall-250", "30 Mbit/s, nothing for 250 ms of each 4 s", Link{Capacity: stalls(30e6, 4*sec, 250*ms)})),
		wifi("stall-90-12", "12 Mbit/s in bunches, nothing for 90 ms of each second",
			Link{Capacity: stalls(12e6, sec, 90*ms), Bunch: bunches}),
		roomy(wifi("bunch-30", "30 Mbit/s in bunches each 5 to 10 ms", Link{Capacity: Constant(30e6), Bunch: bunches})),
		wifi("bunch-6", "6 Mbit/s in bunches each 5 to 10 ms", Link{Capacity: Constant(6e6), Bunch: bunches}),
		roomy(wifi("jitter-10", "30 Mbit/s with 10 ms of jitter, in order", Link{Capacity: Constant(30e6), Jitter: 10 * ms})),
		varying(wifi("spikes", "25 Mbit/s, a tenth for 60 to 140 ms each 0.4 to 1.6 s", Link{Capacity: Constant(25e6)}),
			spikes),
		roomy(varying(wifi("wifi-rates", "6 to 58 Mbit/s in bunches, another rate each 0.3 to 3 s, stalls",
			Link{Capacity: Constant(25e6), Bunch: bunches}), wifiRates)),
	}
	for _, lost := range []float64{.01, .02, .05, .1} {
		cases = append(cases, lossy(lost))
	}
	alone := variable(50*ms, "transport-alone", use(.88, 0, 0, 0, 99*sec), 60, 130, .0025, 6)
	alone.Flows[0].Feedback = Feedback{Reports: TransportReports, Every: 100 * ms}
	slow := variable(50*ms, "feedback-250", use(.85, 0, 0, 0, 99*sec), 80, 130, .005, 8)
	slow.Flows[0].Feedback.Every = 250 * ms
	return append(cases, alone, slow)
}

var bunches = [2]time.Duration{5 * time.Millisecond, 10 * time.Millisecond}

// wifi is a path of 5 ms with room for 1 MB.
func wifi(name, about string, l Link) Case {
	l.QueueBytes, l.Delay = 1_000_000, 5*time.Millisecond
	return Case{
		Name: name, About: about, Length: 90 * sec, Flows: several(1, 90*sec),
		Links: []Link{l, {Capacity: Constant(100e6), Queue: rfcQueue, Delay: 5 * time.Millisecond}},
		Gates: append(hasUse(.8, .65, 10*sec, 90*sec), queue("q95 ms", .95, 150, 10*sec, 90*sec)),
	}
}

// roomy leaves the queue out of the gates of a path that carries more than is ever sent.
func roomy(c Case) Case {
	c.Gates = slices.DeleteFunc(c.Gates, func(g Gate) bool { return g.Name == "q95 ms" })
	return c
}

// varying makes another capacity for each seed.
func varying(c Case, capacity func(seed uint64) Capacity) Case {
	c.Vary = func(c Case, seed uint64) Case {
		c.Links = slices.Clone(c.Links)
		c.Links[0].Capacity = capacity(seed)
		return c
	}
	return c
}

// stalls takes a capacity away for some time in each period, without loss, as a busy channel does.
func stalls(rate float64, every, long time.Duration) Capacity {
	var c Capacity
	for at := time.Duration(0); at < 90*sec; at += every {
		c = append(c, Step{at, rate}, Step{at + every - long, 0})
	}
	return append(c, Step{90 * sec, rate})
}

// spikes is a capacity that falls to a tenth for a moment now and then, as where another device is served.
func spikes(seed uint64) Capacity {
	random := newRandom(seed ^ 0x59)
	c := Capacity{{0, 25e6}}
	for at := sec; at < 90*sec; at += 400*time.Millisecond + time.Duration(random.Float64()*1.2e9) {
		c = append(c, Step{at, 2.5e6}, Step{at + 60*time.Millisecond + time.Duration(random.Float64()*80e6), 25e6})
	}
	return c
}

// wifiRates changes to the next higher or lower rate of 802.11n, less the protocol's share, each 0.3 to 3 s. Now and
// then it stalls for 20 to 120 ms.
func wifiRates(seed uint64) Capacity {
	random := newRandom(seed ^ 0x80211)
	rates := []float64{6.5e6, 13e6, 19.5e6, 26e6, 39e6, 52e6, 58.5e6}
	const carries = .65
	i := 4
	var c Capacity
	for at := time.Duration(0); at < 90*sec; {
		c = append(c, Step{at, carries * rates[i]})
		at += 300*time.Millisecond + time.Duration(random.Float64()*2.7e9)
		if random.Float64() < .3 {
			c = append(c, Step{at, 0})
			at += 20*time.Millisecond + time.Duration(random.Float64()*100e6)
		}
		i = min(max(i+random.IntN(3)-1, 0), len(rates)-1)
	}
	return c
}

// lossy loses packets at random on 10 Mbit/s.
func lossy(lost float64) Case {
	links := oneWay(Constant(10e6), 200*time.Millisecond, 20*time.Millisecond, 2*time.Millisecond)
	links[0].Loss = lost
	share, worst := .9, .75
	if lost > .05 {
		share, worst = .8, .65
	}
	used := func(r *Result) float64 { return r.Use(0, 0, 20*sec, 90*sec) }
	return Case{
		Name: fmt.Sprintf("random-%g", lost*100), About: fmt.Sprintf("%g %% lost at random, on 10 Mbit/s", lost*100),
		Length: 90 * sec,
		Links:  links, Flows: several(1, 90*sec),
		Gates: []Gate{least("use", share, used), each(least("use", worst, used)), queue("q95 ms", .95, 60, 20*sec, 90*sec)},
	}
}

// reportsPolicer is a policer that flows by receiver reports alone share.
func reportsPolicer(n int) Case {
	c := policed(8e6, 50*time.Millisecond, n, false)
	c.Name, c.About = "reports-"+c.Name, "receiver reports, "+c.About
	for i := range c.Flows {
		c.Flows[i].Feedback.Reports, c.Flows[i].Feedback.Echo = ReceiverReports, 250*time.Millisecond
	}
	c.Gates = []Gate{each(worstLoss(.2, 45*sec, 90*sec)), worstLoss(.1, 45*sec, 90*sec)}
	return c
}

// reportsFallInBytes is a fall to a quarter with a queue of bytes, by receiver reports alone.
func reportsFallInBytes(bytes int, aqm AQM) Case {
	c := fallInBytes(bytes, 2, 5)
	if aqm != DropTail {
		c = managed(aqm)
	}
	c.Name, c.About = "reports-"+c.Name, "receiver reports, "+c.About
	c.Flows[0].Feedback.Reports, c.Flows[0].Feedback.Echo = ReceiverReports, 250*time.Millisecond
	for i := range c.Gates {
		switch g := &c.Gates[i]; g.Name {
		case "s to drain":
			g.Most = 2
		case "worst s to drain":
			g.Most = 5
		}
	}
	return c
}

// reportsBursts are bursts after quiet, by receiver reports alone.
func reportsBursts() Case {
	f := reporter(1_000_000, 0, 120*sec)
	f.Screen = func(at time.Duration) float64 {
		if at%(15*sec) < 10*sec {
			return 0
		}
		return 20e6
	}
	links := oneWay(Constant(2e6), 400*time.Millisecond, 20*time.Millisecond, 2*time.Millisecond)
	return Case{
		Name:   "reports-bursts",
		About:  "receiver reports, 10 s of quiet and 5 s of motion in turn, on 2 Mbit/s with 100 kB",
		Length: 120 * sec,
		Links:  links, Flows: []Flow{f},
		Gates: []Gate{
			most("loss in bursts", .03, func(r *Result) float64 {
				return meanOver(r, 10*sec, 15*sec, 5*sec, func(from, to time.Duration) float64 { return r.Flows[0].Loss(from, to) })
			}),
			least("use in bursts", .6, func(r *Result) float64 {
				return meanOver(r, 10*sec, 15*sec, 5*sec, func(from, to time.Duration) float64 { return r.Use(0, 0, from, to) })
			}),
		},
	}
}
