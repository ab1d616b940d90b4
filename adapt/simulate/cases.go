package simulate

import (
	"math"
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

// withAudio gives each flow its sound, on the same way and for the same time: the cases of RFC 8867 have as many
// sources of audio as of video.
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

// Cases returns all cases, RFC 8867 first.
func Cases() []Case {
	cases := []Case{
		variable(50*time.Millisecond, "5.1", use(0.88, 0, 0, 0, 99*sec), 60, 130, 0.0025, 6),
		variable(100*time.Millisecond, "5.1-100", use(0.85, 0, 0, 0, 99*sec), 60, 130, 0.003, 8),
		transients(), withAudio(twoFlows()), withAudio(feedbackCongested()), withAudio(sameAlgorithm()),
		withAudio(roundTrips()),
		withAudio(longTCP(300 * time.Millisecond)), withAudio(longTCP(1000 * time.Millisecond)), withAudio(shortTCP()),
		withAudio(pauseResume()), withAudio(bottlenecks()),
		step(), idle(), wide(), deepQueue(),
	}
	for _, l := range []struct{ loss, use float64 }{{0.05, 0.80}, {0.10, 0.80}} {
		cases = append(cases, randomLoss(l.loss, l.use))
	}
	for _, l := range []float64{0.015, 0.02, 0.03, 0.1} {
		cases = append(cases, lossyScreen(l))
	}
	cases = append(cases, oscillations()...)
	cases = append(cases, reportCases()...)
	cases = append(cases, sharedCases()...)
	cases = append(cases, pathCases()...)
	cases = append(cases, brokenLink())
	cases = append(cases, policer(), outage(), keyframes(), scenes(), halved(), halvedWide(), stillWide(),
		halvedAnytime("halved-anytime", "6 Mbit/s, halved for 20 s at a moment from 0.5 to 20.5 s", nil),
		halvedAnytime("halved-resting", "the same with a screen that rests for 1.5 s and moves for 2.5 s in turn", resting),
		tenth(), still(),
		lateComer("late", 3e6, 25*time.Millisecond, 1), lateComer("late-2", 2e6, 10*time.Millisecond, 1),
		lateComer("late-5", 5e6, 100*time.Millisecond, 1),
		lateComer("late-8", 8e6, 25*time.Millisecond, 1), withAudio(lateComer("late-8-3", 8e6, 50*time.Millisecond, 3)),
		reordered(), skewed("skewed", "slow", -100), skewed("skewed-fast", "fast", 100),
		stepped("clock-step", 2*sec), stepped("clock-back", -2*sec), hostile(),
		frequent(), lte(1), lte(2), burstLoss(), deepest(), sluggish(), background(), workday())
	return today(cases)
}
