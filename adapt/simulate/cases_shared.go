package simulate

import (
	"fmt"
	"time"
)

// sharedCases are paths that our flows share with each other and with TCP, and paths that pause. A house with several viewers and a
// download on one access link is the normal case, and one run in ten that goes wrong is too many: most gates are for every seed.
func sharedCases() []Case {
	var cases []Case
	for _, n := range []int{1, 2, 4, 8} {
		cases = append(cases, policed(n, 0), shallow(n))
	}
	cases = append(cases, policed(1, 1), policed(2, 1), download())
	for _, p := range []struct {
		name, about string
		rate        float64
		every, long time.Duration
		slow        float64 // what is left of the rate meanwhile
		use, worst  float64
	}{
		{"stall-90", "30 Mbit/s, nothing for 90 ms of each second", 30e6, time.Second, 90 * time.Millisecond, 0, .8, .65},
		{"stall-250", "30 Mbit/s, nothing for 250 ms of each 4 s", 30e6, 4 * time.Second, 250 * time.Millisecond, 0, .8, .65},
		{"stall-90-12", "12 Mbit/s, nothing for 90 ms of each second", 12e6, time.Second, 90 * time.Millisecond, 0, .8, .65},
	} {
		cases = append(cases, pauses(p.name, p.about, p.rate, p.slow, p.every, p.long, p.use, p.worst))
	}
	return cases
}

// several returns flows that come two seconds apart.
func several(n int, to time.Duration) []Flow {
	var flows []Flow
	for i := range n {
		flows = append(flows, flow(desktop(1_000_000, 20_000_000, 60), time.Duration(i)*2*sec, to))
	}
	return flows
}

// policed is a policer of 8 Mbit/s that n of our flows share, beside downloads.
func policed(n, downloads int) Case {
	links := oneWay(Constant(100e6), rfcQueue, 20*time.Millisecond, 0)
	links[0].Police, links[0].PoliceBurst = 8e6, 20_000
	c := Case{
		Name: fmt.Sprintf("policed-%d", n), About: fmt.Sprintf("a policer of 8 Mbit/s and 20 kB before 100 Mbit/s, flows of ours: %d", n), Length: 90 * sec,
		Links: links, Flows: several(n, 90*sec),
		Gates: []Gate{each(worstLoss(.1, 45*sec, 90*sec)), worstLoss(.04, 45*sec, 90*sec)},
	}
	if downloads > 0 {
		c.Name += "-tcp"
		c.About += ", beside one CUBIC flow"
		c.TCP = []TCP{{Cubic: true, Start: 20 * sec, Stop: 90 * sec, Forward: []int{0}, Back: []int{1}}}
	} else {
		c.Gates = append(c.Gates, each(least("total use", .8, func(r *Result) float64 {
			sum := 0.0
			for _, f := range r.Flows {
				sum += f.Rate(45*sec, 90*sec)
			}
			return sum / 8e6
		})))
	}
	return c
}

// shallow is a queue of 15 ms that n of our flows share.
func shallow(n int) Case {
	return Case{
		Name: fmt.Sprintf("shallow-%d", n), About: fmt.Sprintf("a queue of 15 ms on 8 Mbit/s, flows of ours: %d", n), Length: 90 * sec,
		Links: oneWay(Constant(8e6), 15*time.Millisecond, 20*time.Millisecond, 0), Flows: several(n, 90*sec),
		Gates: []Gate{each(worstLoss(.1, 45*sec, 90*sec)), worstLoss(.04, 45*sec, 90*sec), each(total(.8, 45*sec, 90*sec))},
	}
}

// download is one CUBIC flow beside a desktop in a queue of 100 ms.
func download() Case {
	share := func(r *Result) float64 { return r.Flows[0].Rate(50*sec, 120*sec) / 5e6 }
	return Case{
		Name: "download", About: "one CUBIC flow beside a desktop on 10 Mbit/s with a queue of 100 ms", Length: 120 * sec,
		Links: oneWay(Constant(10e6), 100*time.Millisecond, 20*time.Millisecond, 0), Flows: several(1, 120*sec),
		TCP: []TCP{{Cubic: true, Start: 30 * sec, Stop: 120 * sec, Forward: []int{0}, Back: []int{1}}},
		Gates: []Gate{
			least("of fair share", .6, share), most("of fair share", 1.4, share), each(least("of fair share", .4, share)),
			each(worstLoss(.02, 50*sec, 120*sec)),
		},
	}
}

// pauses is a path that is slow, or stands, again and again, as Wi-Fi is when its channel is busy.
func pauses(name, about string, rate, slow float64, every, long time.Duration, share, worst float64) Case {
	var c Capacity
	for at := time.Duration(0); at < 90*sec; at += every {
		c = append(c, Step{at, rate}, Step{at + every - long, slow * rate})
	}
	carries := min(20e6, rate*(1-(1-slow)*long.Seconds()/every.Seconds()))
	used := func(r *Result) float64 { return r.Flows[0].Rate(10*sec, 90*sec) / carries }
	return Case{
		Name: name, About: about, Length: 90 * sec, Links: oneWay(c, time.Second, 5*time.Millisecond, 0), Flows: several(1, 90*sec),
		Gates: []Gate{least("use", share, used), each(least("use", worst, used))},
	}
}
