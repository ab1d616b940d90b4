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
	// alike is how far apart the rates of a rung's viewers may be for free: controllers on equal paths differ by a
	// seventh.
	alike = 0.2
	// rungCost is what one more encode has to gain, and arrangeGain by how much another arrangement has to be better
	// than the one at hand. Together with alike, viewers part when one could have 1.26 times what another can, and
	// meet again under 1.2 times. A controller that its rung holds back goes to 1.33 times what it gets before it
	// waits for a probe, so that it is seen.
	rungCost    = 0.1
	arrangeGain = 0.03
	// partAfter is how long viewers have to be apart before they part: longer than the dip in which a controller
	// empties a queue. Meeting costs everybody who moves a keyframe, and gains an encode: that has time, and twice as
	// long each time they part again within meetAgain.
	partAfter           = 300 * time.Millisecond
	meetAfter, meetMost = 5 * time.Second, time.Minute
	meetAgain           = time.Minute
	// coreShare is the part of the machine's cores that software encodes of one display may take by the measured time
	// of a picture.
	coreShare = 0.75
)

// place is a viewer on a rung.
type place struct {
	rung int
	// wish is the bitrate that its controller would give it, in bits per second.
	wish int
	// settled is unset while it is on its way to its rung, from where it cannot be sent elsewhere.
	settled bool
}

// arrangement is who is where: for each place its rung.
type arrangement struct {
	encodings []int
	cost      float64
}

// here returns the arrangement at hand.
func here(places []place) arrangement {
	a := arrangement{encodings: make([]int, len(places))}
	var least, most [MaxEncodings]int
	for i, p := range places {
		a.encodings[i] = p.rung
		if least[p.rung] == 0 || p.wish < least[p.rung] {
			least[p.rung] = p.wish
		}
		most[p.rung] = max(most[p.rung], p.wish)
	}
	for k := range least {
		if least[k] > 0 {
			a.cost += spread(least[k], most[k]) + rungCost
		}
	}
	return a
}

// spread is what it costs to have viewers from the least to the most rate on one rung.
func spread(least, most int) float64 {
	return max(0, math.Log2(float64(most)/float64(least))-alike)
}

// best returns the arrangement on limit encodings at most that costs least: neighbours by rate share a rung, and those
// who are the furthest apart part. Among the encodings that are alike for it, it leaves as many viewers as possible
// where they are.
func best(places []place, limit int) arrangement {
	order := make([]int, len(places))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(places[a].wish, places[b].wish) })
	// gaps are the places in order before which to part, the widest first.
	gaps := make([]int, 0, len(order))
	for k := 1; k < len(order); k++ {
		gaps = append(gaps, k)
	}
	wide := func(k int) float64 { return float64(places[order[k]].wish) / float64(places[order[k-1]].wish) }
	slices.SortStableFunc(gaps, func(a, b int) int { return cmp.Compare(wide(b), wide(a)) })

	var found arrangement
	for parts := 1; parts <= min(limit, len(order)); parts++ {
		cuts := slices.Sorted(slices.Values(gaps[:parts-1]))
		cost, from := rungCost*float64(parts), 0
		groups := make([]int, len(places)) // for each place its group
		for g := range parts {
			to := len(order)
			if g < len(cuts) {
				to = cuts[g]
			}
			cost += spread(places[order[from]].wish, places[order[to-1]].wish)
			for _, i := range order[from:to] {
				groups[i] = g
			}
			from = to
		}
		if parts == 1 || cost < found.cost {
			found = arrangement{encodings: settle(places, groups, parts), cost: cost}
		}
	}
	return found
}

// settle gives each group of places a rung, so that as few places as possible change theirs.
func settle(places []place, groups []int, parts int) []int {
	var stay [MaxEncodings][MaxEncodings]int // of a group on a rung
	for i, p := range places {
		stay[groups[i]][p.rung]++
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

// used counts the encodings with anybody on them.
func (a arrangement) used() int {
	var set uint
	for _, r := range a.encodings {
		set |= 1 << r
	}
	return bits.OnesCount(set)
}

// arranger decides when viewers change encodings. The janitor owns it.
type arranger struct {
	since time.Time // another arrangement is better since then; zero when none is
	meet  time.Duration
	met   time.Time // when viewers met last
}

// decide returns the encodings that places should be on, nil to leave them. No more than limit encodings may be used.
func (a *arranger) decide(now time.Time, places []place, limit int) []int {
	if len(places) == 0 {
		a.since = time.Time{}
		return nil
	}
	at, better := here(places), best(places, limit)
	over := at.used() > limit
	if better.cost > at.cost-arrangeGain && !over {
		a.since = time.Time{}
		return nil
	}
	if a.since.IsZero() {
		a.since = now
	}
	dwell := partAfter
	if better.used() < at.used() {
		dwell = max(a.meet, meetAfter)
	}
	if now.Sub(a.since) < dwell && !over {
		return nil
	}
	a.since = time.Time{}
	switch {
	case better.used() < at.used():
		a.met = now
	case better.used() > at.used():
		if !a.met.IsZero() && now.Sub(a.met) < meetAgain {
			a.meet = min(2*max(a.meet, meetAfter), meetMost)
		} else {
			a.meet = meetAfter
		}
	}
	return better.encodings
}
