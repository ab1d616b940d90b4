package simulate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// sharedCases are paths shared by flows of ours and TCP. A house with several viewers and a download on one access
// link is the normal case, and one run in ten that fails is too many: most gates are for every seed.
func sharedCases() []Case {
	var cases []Case
	daily := func(c Case) { cases = append(cases, c) }
	nightly := func(c Case) {
		c.Nightly = true
		cases = append(cases, c)
	}
	ms := time.Millisecond
	for _, n := range []int{1, 2, 4, 8} {
		daily(policed(8e6, 20*ms, n, false))
		daily(shallow(n))
	}
	daily(policed(4e6, 10*ms, 1, false))
	daily(policed(8e6, 50*ms, 1, true))
	daily(policed(8e6, 50*ms, 2, true))
	for _, rate := range []float64{4e6, 8e6, 20e6} {
		for _, burst := range []time.Duration{10 * ms, 50 * ms, 100 * ms, 250 * ms} {
			for _, n := range []int{1, 2, 4, 8} {
				for _, tcp := range []bool{false, true} {
					c := policed(rate, burst, n, tcp)
					if !has(cases, c.Name) {
						nightly(c)
					}
				}
			}
		}
	}
	daily(download())
	for _, products := range []float64{.5, 1, 2} {
		daily(besideTCP(10e6, products, Cubic))
		daily(besideTCP(10e6, products, BBR))
	}
	for _, rate := range []float64{3e6, 30e6} {
		for _, products := range []float64{.5, 1, 2} {
			nightly(besideTCP(rate, products, Cubic))
			nightly(besideTCP(rate, products, BBR))
			nightly(besideTCP(rate, products, NewReno))
		}
	}
	for _, aqm := range []AQM{CoDel, FQCoDel, PIE} {
		daily(managed(aqm))
		daily(managedTCP(aqm))
	}
	for _, n := range []int{2, 4, 8} {
		nightly(tail(n))
		for _, aqm := range []AQM{CoDel, FQCoDel, PIE} {
			nightly(severalManaged(aqm, n))
		}
	}
	nightly(severalWifi(4))
	return cases
}

func has(cases []Case, name string) bool {
	for _, c := range cases {
		if c.Name == name {
			return true
		}
	}
	return false
}

// several returns flows that come two seconds apart.
func several(n int, to time.Duration) []Flow {
	var flows []Flow
	for i := range n {
		flows = append(flows, flow(desktop(1_000_000, 20_000_000, 60), time.Duration(i)*2*sec, to))
	}
	return flows
}

// all is the rate of all flows of ours in a time.
func all(r *Result, from, to time.Duration) float64 {
	sum := 0.0
	for _, f := range r.Flows {
		sum += f.Rate(from, to)
	}
	return sum
}

// policed is a policer that n of our flows share, beside a download.
func policed(rate float64, burst time.Duration, n int, tcp bool) Case {
	links := oneWay(Constant(100e6), rfcQueue, 20*time.Millisecond, 2*time.Millisecond)
	links[0].Police, links[0].PoliceFor = rate, burst
	c := Case{
		Name:   fmt.Sprintf("policed-%g-%d-x%d", rate/1e6, burst.Milliseconds(), n),
		About:  fmt.Sprintf("a policer of %g Mbit/s and %v before 100 Mbit/s, flows of ours: %d", rate/1e6, burst, n),
		Length: 90 * sec, Links: links, Flows: several(n, 90*sec),
		Gates: []Gate{each(worstLoss(.1, 45*sec, 90*sec)), worstLoss(.04, 45*sec, 90*sec)},
	}
	if n > 1 {
		c.Gates = append(c.Gates, jain(.9, 45*sec, 90*sec))
	}
	switch {
	case tcp:
		c.Name += "-tcp"
		c.About += ", beside one CUBIC flow"
		c.TCP = []TCP{{Start: 20 * sec, Stop: 90 * sec, Forward: []int{0}, Back: []int{1}}}
	case n == 1:
		c.Gates = append(c.Gates, least("use", .85, func(r *Result) float64 { return all(r, 45*sec, 90*sec) / rate }))
	default:
		c.Gates = append(c.Gates,
			each(least("total use", .8, func(r *Result) float64 { return all(r, 45*sec, 90*sec) / rate })))
	}
	return c
}

// shallow is a queue of 15 ms that n of our flows share.
func shallow(n int) Case {
	return Case{
		Name: fmt.Sprintf("shallow-%d", n), About: fmt.Sprintf("a queue of 15 kB on 8 Mbit/s, flows of ours: %d", n),
		Length: 90 * sec,
		Links:  oneWay(Constant(8e6), 15*time.Millisecond, 20*time.Millisecond, 2*time.Millisecond),
		Flows:  several(n, 90*sec),
		Gates:  []Gate{each(worstLoss(.1, 45*sec, 90*sec)), worstLoss(.04, 45*sec, 90*sec), each(total(.8, 45*sec, 90*sec))},
	}
}

// tail is a queue of 60 ms that n of our flows share.
func tail(n int) Case {
	c := shallow(n)
	c.Name, c.About = fmt.Sprintf("tail-%d", n), fmt.Sprintf("a queue of 60 kB on 8 Mbit/s, flows of ours: %d", n)
	c.Links[0].Queue = 60 * time.Millisecond
	c.Gates = append(c.Gates, jain(.9, 45*sec, 90*sec), worstQueue(60, 45*sec, 90*sec))
	return c
}

// download is one CUBIC flow beside a desktop in a queue of 100 ms.
func download() Case {
	c := besideTCP(10e6, 2.5, Cubic)
	c.Name, c.About = "download", "one CUBIC flow beside a desktop on 10 Mbit/s with a queue of 100 ms"
	c.Gates = append(c.Gates, each(worstLoss(.02, 50*sec, 120*sec)), most("late", .2, func(r *Result) float64 {
		return r.Flows[0].Late(50*sec, 120*sec)
	}))
	return c
}

// besideTCP is one flow of TCP beside a desktop, with a queue of so many bandwidth-delay products and a round trip of
// 40 ms.
func besideTCP(rate, products float64, control Control) Case {
	share := func(r *Result) float64 { return 2 * r.Flows[0].Rate(50*sec, 120*sec) / rate }
	links := oneWay(Constant(rate), rfcQueue, 20*time.Millisecond, 2*time.Millisecond)
	links[0].QueueBytes = int(products * rate / 8 * .04)
	return Case{
		Name: fmt.Sprintf("beside-%s-%g-%g", []string{"cubic", "newreno", "bbr"}[control], rate/1e6, products),
		About: fmt.Sprintf("one flow of TCP beside a desktop on %g Mbit/s with a queue of %g bandwidth-delay products",
			rate/1e6, products),
		Length: 120 * sec, Links: links, Flows: several(1, 120*sec),
		TCP: []TCP{{Control: control, Start: 30 * sec, Stop: 120 * sec, Forward: []int{0}, Back: []int{1}}},
		Gates: []Gate{
			least("share", .6, share), most("share at most", 1.4, share), each(least("share", .4, share)),
		},
	}
}

func (a AQM) name() string { return [...]string{"tail", "codel", "fq", "pie"}[a] }

// managed is a fall to a quarter and back behind an AQM with room for 2 MB.
func managed(aqm AQM) Case {
	c := fallInBytes(2_000_000, 1.5, 3)
	c.Name, c.About = "fall-"+aqm.name(), "8, 2, 8 Mbit/s for 30 s each, a queue of 2 MB under "+aqm.name()
	c.Links[0].AQM = aqm
	if aqm == PIE { // it drains the queue whatever is sent
		c.Gates = slices.DeleteFunc(c.Gates, func(g Gate) bool { return strings.HasSuffix(g.Name, "s to drain") })
	}
	return c
}

// managedTCP is one CUBIC flow beside a desktop behind an AQM.
func managedTCP(aqm AQM) Case {
	c := besideTCP(10e6, 40, Cubic)
	c.Name, c.About = "beside-cubic-"+aqm.name(), "one CUBIC flow beside a desktop on 10 Mbit/s under "+aqm.name()
	c.Links[0].AQM = aqm
	c.Gates = slices.DeleteFunc(c.Gates, func(g Gate) bool { return g.Name == "share at most" }) // the AQM sees to that
	c.Gates = append(c.Gates, each(worstLoss(.05, 50*sec, 120*sec)))
	if aqm == CoDel {
		c.Gates = append(c.Gates, queue("q95 ms", .95, 80, 50*sec, 120*sec))
	}
	return c
}

// severalManaged is an AQM that n of our flows share.
func severalManaged(aqm AQM, n int) Case {
	c := tail(n)
	c.Name, c.About = fmt.Sprintf("%s-%d", aqm.name(), n),
		fmt.Sprintf("8 Mbit/s under %s, flows of ours: %d", aqm.name(), n)
	c.Links[0].AQM, c.Links[0].QueueBytes = aqm, 2_000_000
	return c
}

// severalWifi is a path of Wi-Fi that n of our flows share.
func severalWifi(n int) Case {
	c := varying(wifi("wifi-rates", "", Link{Capacity: Constant(25e6), Bunch: bunches}), wifiRates)
	c.Name, c.About = fmt.Sprintf("wifi-rates-%d", n),
		fmt.Sprintf("the rates and stalls of wifi-rates, flows of ours: %d", n)
	c.Flows = several(n, 90*sec)
	c.Gates = []Gate{jain(.9, 45*sec, 90*sec), worstLoss(.02, 45*sec, 90*sec), worstQueue(150, 45*sec, 90*sec)}
	return c
}

// fallInBytes is a fall to a quarter and back with a queue of bytes.
func fallInBytes(bytes int, drained, worst float64) Case {
	links := oneWay(Capacity{{0, 8e6}, {30 * sec, 2e6}, {60 * sec, 8e6}}, rfcQueue, 20*time.Millisecond,
		2*time.Millisecond)
	links[0].QueueBytes = bytes
	drains := func(r *Result) float64 { return r.Flows[0].Drained(30*sec, 60*sec) }
	return Case{
		Name:  fmt.Sprintf("fall-%dkB", bytes/1000),
		About: fmt.Sprintf("8, 2, 8 Mbit/s for 30 s each, a queue of %d kB", bytes/1000), Length: 90 * sec,
		Links: links, Flows: several(1, 90*sec),
		Gates: []Gate{
			use(.85, 0, 0, 5*sec, 90*sec), most("s to drain", drained, drains), each(most("s to drain", worst, drains)),
			loss(.01, 90*sec),
			most("s to 85 %", 6, func(r *Result) float64 { return r.Flows[0].Reach(.85*8e6, 60*sec, 90*sec) }),
		},
	}
}

// hasUse is the use of what a path of its own carries, at most our highest rate.
func hasUse(share, worst float64, from, to time.Duration) []Gate {
	used := func(r *Result) float64 { return r.Use(0, 0, from, to) }
	return []Gate{least("use", share, used), each(least("use", worst, used))}
}

// meanOver is the mean of a figure over bursts of a screen.
func meanOver(r *Result, begins, every, long time.Duration, figure func(from, to time.Duration) float64) float64 {
	sum, n := 0.0, 0.0
	for at := begins; at+long <= r.Case.Length; at += every {
		sum += figure(at, at+long)
		n++
	}
	return sum / math.Max(n, 1)
}
