package pipeline

import (
	"math"
	"time"
)

// While an encoding gives a viewer less than its path carries, its controller has only short probes to go by. A link
// that lets bursts pass makes them look far too good. The truth shows once the viewer has a faster encoding, where it
// holds the others back.
const (
	// failShare is the share of the rate that a viewer had at the last change, below which it has failed.
	failShare = 0.66
	// For failTime, a viewer that failed counts with at most the geometric mean of the two rates. The time doubles, up
	// to failMost, each time it fails again in less than the same time after that.
	failTime, failMost = 10 * time.Second, 2 * time.Minute
)

// claims are the rates that viewers seemed to have at the last change, by viewer.
type claims map[any]claim

type claim struct {
	bits  int
	limit int           // with what it counts at most
	until time.Time     // when the limit ends
	time  time.Duration // how long the limit lasts
}

// bound returns the places with the limits of viewers that failed. It forgets viewers that are gone.
func (c claims) bound(now time.Time, places []place) []place {
	if len(c) == 0 { // as long as nobody has moved
		return places
	}
	bounded, present := make([]place, len(places)), make(map[any]bool, len(places))
	for i, p := range places {
		present[p.viewer] = true
		if r := c[p.viewer]; now.Before(r.until) {
			p.available = min(p.available, r.limit)
		}
		bounded[i] = p
	}
	for viewer, r := range c {
		if !present[viewer] && now.Sub(r.until) > r.time {
			delete(c, viewer)
		}
	}
	return bounded
}

// note notes which viewers failed, and the rates of all, when places change to encodings.
func (c claims) note(now time.Time, places []place, to []int) {
	for i, p := range places {
		r := c[p.viewer]
		slower := false // than others that it parts from
		for k, o := range places {
			slower = slower || o.encoding == p.encoding && to[k] != to[i] && o.available > p.available
		}
		if slower && float64(p.available) < failShare*float64(r.bits) {
			if now.Sub(r.until) > r.time {
				r.time = failTime
			} else {
				r.time = min(2*r.time, failMost)
			}
			r.limit = int(math.Sqrt(float64(r.bits) * float64(p.available)))
			r.until = now.Add(r.time)
		}
		r.bits = p.available
		c[p.viewer] = r
	}
}
