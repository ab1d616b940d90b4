package simulate

import (
	"fmt"
	"math"
	"time"

	"wavryhost/adapt"
)

// transients is 5.1 with an encoder that bursts at each large change of its bitrate (RFC 8593).
func transients() Case {
	c := variable(50*time.Millisecond, "5.1-transients", use(.85, 0, 0, 0, 99*sec), 80, 200, .005, 6)
	c.About += ", RFC 8593's encoder"
	c.Flows[0].Transients = true
	return c
}

func variable(owd time.Duration, name string, use Gate, q95, q99, lost, reach float64) Case {
	f := rfcFlow(0, 99*sec)
	return Case{
		Name: name, About: fmt.Sprintf("RFC 8867 5.1: capacity 1, 2.5, 0.6, 1 Mbit/s; one-way delay %v", owd),
		Length: 100 * sec,
		Links: oneWay(Scaled(1e6, Step{0, 1}, Step{40 * sec, 2.5}, Step{60 * sec, 0.6}, Step{80 * sec, 1}), rfcQueue, owd,
			rfcJitter),
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
		Links: oneWay(Scaled(2e6, Step{0, 2}, Step{25 * sec, 1}, Step{50 * sec, 1.75}, Step{75 * sec, .5},
			Step{100 * sec, 1}),
			rfcQueue, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{rfcFlow(0, 124*sec), rfcFlow(0, 124*sec)},
		Gates: []Gate{
			total(.93, 75*sec, 100*sec), worstQueue(110, 75*sec, 100*sec), worstLoss(.015, 75*sec, 100*sec),
			jain(.9, 75*sec, 100*sec),
		},
	}
}

func feedbackCongested() Case {
	back := rfcFlow(0, 99*sec)
	back.Forward, back.Back = []int{1}, []int{0}
	links := oneWay(Scaled(1e6, Step{0, 2}, Step{20 * sec, 1}, Step{40 * sec, .5}, Step{60 * sec, 2}), rfcQueue,
		50*time.Millisecond, rfcJitter)
	links[1] = links[0]
	links[1].Capacity = Scaled(1e6, Step{0, 2}, Step{35 * sec, .8}, Step{70 * sec, 2})
	wayBack := use(.88, 1, 1, 0, 99*sec)
	wayBack.Name = "use back"
	return Case{
		Name: "5.3", About: "RFC 8867 5.3: a flow each way, feedback in the other's queue", Length: 100 * sec,
		Links: links, Flows: []Flow{rfcFlow(0, 99*sec), back},
		Gates: []Gate{
			use(.88, 0, 0, 0, 99*sec), worstQueue(60, 0, 99*sec),
			wayBack,
		},
	}
}

func sameAlgorithm() Case {
	return Case{
		Name: "5.4", About: "RFC 8867 5.4: three flows on 3.5 Mbit/s, from 0, 20 and 40 s", Length: 120 * sec,
		Links: oneWay(Constant(3.5e6), rfcQueue, 50*time.Millisecond, rfcJitter),
		Flows: []Flow{rfcFlow(0, 119*sec), rfcFlow(20*sec, 119*sec), rfcFlow(40*sec, 119*sec)},
		Gates: []Gate{
			total(.93, 80*sec, 119*sec), worstQueue(60, 80*sec, 119*sec), worstLoss(0, 80*sec, 119*sec),
			jain(.95, 80*sec, 119*sec),
			least("newest's share", .6, func(r *Result) float64 { return r.Flows[2].Rate(80*sec, 119*sec) * 3 / 3.5e6 }),
		},
	}
}

func roundTrips() Case {
	c := Case{
		Name: "5.5", About: "RFC 8867 5.5: five flows on 4 Mbit/s, one-way delays 10 to 150 ms", Length: 300 * sec,
		Links: []Link{
			{Capacity: Constant(4e6), Queue: rfcQueue, Jitter: rfcJitter},
			{Capacity: Constant(100e6), Queue: rfcQueue},
		},
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
		Name:   fmt.Sprintf("5.6-%d", deep.Milliseconds()),
		About:  fmt.Sprintf("RFC 8867 5.6: a long TCP flow in a queue of %v on 2 Mbit/s", deep),
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
		least("kbit/s", 600, func(r *Result) float64 { return r.Flows[0].Rate(40*sec, 119*sec) / 1000 }),
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

// background is RFC 8867's other way to make 5.1: the link is 4 Mbit/s all the time, and UDP takes what shall be
// missing.
func background() Case {
	free := Scaled(1e6, Step{0, 1}, Step{40 * sec, 2.5}, Step{60 * sec, .6}, Step{80 * sec, 1})
	c := Case{
		Name: "5.1-udp", About: "RFC 8867 5.1 as 4 Mbit/s with background UDP: 1, 2.5, 0.6, 1 Mbit/s are left",
		Length: 100 * sec,
		Links:  oneWay(Constant(4e6), rfcQueue, 50*time.Millisecond, rfcJitter), Flows: []Flow{rfcFlow(0, 99*sec)},
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
		c.CBR = append(c.CBR, CBR{
			Start: s.At, Stop: end, BitsPerSecond: 4e6 - s.BitsPerSecond, Size: 1200,
			Forward: []int{0},
		})
	}
	return c
}
