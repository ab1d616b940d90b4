package admission

// Claim is one session's claim on the uplink, in bits per second.
type Claim struct {
	// Weight is its share, positive.
	Weight int
	// Floor is what it gets in any case; Demand what it can use.
	Floor, Demand int
}

// Share divides the uplink, in bits per second, between claims: each gets its floor, and what is left goes to them by
// weight, up to their demands (weighted max-min fairness). Where the floors alone exceed the uplink, each gets its
// floor. The result is appended to into.
func Share(uplink int, claims []Claim, into []int) []int {
	// A level is found such that everybody has the least of demand and level times weight, but no less than the floor.
	// What they get together grows with the level, so it is found by halving.
	need := 0
	for _, c := range claims {
		need += max(c.Demand, c.Floor)
	}
	if need <= uplink {
		for _, c := range claims {
			into = append(into, max(c.Demand, c.Floor))
		}
		return into
	}
	low, high := 0.0, float64(uplink)
	for range 60 {
		level := (low + high) / 2
		sum := 0
		for _, c := range claims {
			sum += c.at(level)
		}
		if sum > uplink {
			high = level
		} else {
			low = level
		}
	}
	for _, c := range claims {
		into = append(into, c.at(low))
	}
	return into
}

func (c Claim) at(level float64) int {
	return max(c.Floor, min(c.Demand, int(level*float64(c.Weight))))
}
