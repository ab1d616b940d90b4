package pipeline

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"
)

// How viewers are spread over the encodings. Rates are compared by the logarithm to base 2 of their ratio: 1 is twice
// as much.
const (
	// alike is the distance between the rates of an encoding's viewers that costs nothing. Controllers on equal paths
	// differ by a seventh.
	alike = 0.2
	// encodingCost is what one more encoding must gain, and arrangeGain by how much another arrangement must be better
	// than the current one. Together with alike, viewers part when one could have 1.26 times another's rate, and merge
	// again under 1.2 times. A controller that its encoding holds back raises its target to 1.33 times what it gets,
	// before it waits for a probe, so that the difference shows.
	encodingCost = 0.1
	arrangeGain  = 0.03
	// A viewer that moves needs a keyframe, and all viewers of its new encoding get it. So a change waits until the other
	// arrangement has been better for changeAfter. The wait doubles, up to changeMost, with each change within
	// changeAgain of the one before.
	changeAfter, changeMost = 5 * time.Second, time.Minute
	changeAgain             = 2 * time.Minute
	// A viewer that holds others back by far, which is a gain of urgentGain, leaves them after urgentAfter. The keyframes
	// of the last change may be the cause, and get settleTime. A viewer that gets an encoding of its own need not wait
	// either, unless the last change was less than 1/partShare of the wait ago. urgentAfter is longer than the dip in
	// which a controller drains a queue.
	urgentGain, urgentAfter = 1.0, 300 * time.Millisecond
	settleTime, partShare   = 2 * time.Second, 4
	// coreShare is the share of the machine's cores that software encodings of one display may use, by the measured
	// time of a picture.
	coreShare = 0.75
)

// place is a viewer at an encoding.
type place struct {
	viewer   any // as Subscriber.Viewer
	encoding int
	// available is the bitrate that its controller would give it, in bits per second.
	available int
	// settled is unset while it moves to its encoding. It cannot be sent elsewhere before it is there.
	settled bool
}

// arrangement says which encoding each place uses.
type arrangement struct {
	encodings []int
	cost      float64
}

// current returns the current arrangement.
func current(places []place) arrangement {
	a := arrangement{encodings: make([]int, len(places))}
	var least, most [MaxEncodings]int
	for i, p := range places {
		k := p.encoding
		a.encodings[i] = k
		if least[k] == 0 || p.available < least[k] {
			least[k] = p.available
		}
		most[k] = max(most[k], p.available)
	}
	for k := range least {
		if least[k] > 0 {
			a.cost += spread(least[k], most[k]) + encodingCost
		}
	}
	return a
}

// spread returns the cost of one encoding for viewers from the least to the most rate.
func spread(least, most int) float64 {
	return max(0, math.Log2(float64(most)/float64(least))-alike)
}

// best returns the cheapest arrangement on at most limit encodings. Neighbors by rate share an encoding, and part
// where their rates differ the most. Among the arrangements of equal cost, it moves as few viewers as possible.
func best(places []place, limit int) arrangement {
	order := make([]int, len(places))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(places[a].available, places[b].available) })
	// gaps are the indices in order at which to part, the widest gap first.
	gaps := make([]int, 0, len(order))
	for k := 1; k < len(order); k++ {
		gaps = append(gaps, k)
	}
	wide := func(k int) float64 {
		return float64(places[order[k]].available) / float64(places[order[k-1]].available)
	}
	slices.SortStableFunc(gaps, func(a, b int) int { return cmp.Compare(wide(b), wide(a)) })

	var found arrangement
	for parts := 1; parts <= min(limit, len(order)); parts++ {
		cuts := slices.Sorted(slices.Values(gaps[:parts-1]))
		cost, from := encodingCost*float64(parts), 0
		groups := make([]int, len(places)) // for each place its group
		for g := range parts {
			to := len(order)
			if g < len(cuts) {
				to = cuts[g]
			}
			cost += spread(places[order[from]].available, places[order[to-1]].available)
			for _, i := range order[from:to] {
				groups[i] = g
			}
			from = to
		}
		if parts == 1 || cost < found.cost {
			found = arrangement{encodings: assign(places, groups, parts), cost: cost}
		}
	}
	return found
}

// assign gives each group of places an encoding, so that as few places as possible move.
func assign(places []place, groups []int, parts int) []int {
	var stay [MaxEncodings][MaxEncodings]int // by group and encoding
	for i, p := range places {
		stay[groups[i]][p.encoding]++
	}
	var chosen [MaxEncodings]int
	most := -1
	var try func(g int, taken uint, kept int, with [MaxEncodings]int)
	try = func(g int, taken uint, kept int, with [MaxEncodings]int) {
		if g == parts {
			if kept > most {
				most, chosen = kept, with
			}
			return
		}
		for r := range MaxEncodings {
			if taken&(1<<r) == 0 {
				with[g] = r
				try(g+1, taken|1<<r, kept+stay[g][r], with)
			}
		}
	}
	try(0, 0, 0, chosen)
	encodings := make([]int, len(places))
	for i := range places {
		encodings[i] = chosen[groups[i]]
	}
	return encodings
}

// used returns the number of encodings in use.
func (a arrangement) used() int {
	var set uint
	for _, r := range a.encodings {
		set |= 1 << r
	}
	return bits.OnesCount(set)
}

// arranger decides when viewers change encodings. One goroutine uses it.
type arranger struct {
	since   time.Time // another arrangement is better since then; zero while none is
	wait    time.Duration
	changed time.Time // the last change; zero before the first
	claims  claims
}

func newArranger() *arranger { return &arranger{wait: changeAfter, claims: make(claims)} }

// decide returns the encodings that places should use, or nil to leave them. At most limit encodings may be in use.
func (a *arranger) decide(now time.Time, places []place, limit int) []int {
	places = a.claims.bound(now, places)
	if len(places) < 2 {
		a.since = time.Time{}
		return nil
	}
	at, better := current(places), best(places, limit)
	over, gain := at.used() > limit, at.cost-better.cost
	if gain < arrangeGain && !over {
		a.since = time.Time{}
		return nil
	}
	if a.since.IsZero() {
		a.since = now
	}
	dwell, quiet, parts := a.wait, now.Sub(a.changed), better.used() > at.used()
	if gain >= urgentGain && quiet >= settleTime || parts && quiet >= a.wait/partShare {
		dwell = urgentAfter
	}
	if now.Sub(a.since) < dwell && !over {
		return nil
	}
	if quiet < changeAgain {
		a.wait = min(2*a.wait, changeMost)
	} else {
		a.wait = changeAfter
	}
	a.since, a.changed = time.Time{}, now
	a.claims.note(now, places, better.encodings)
	return better.encodings
}
