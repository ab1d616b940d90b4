package canary

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// ratioInterval returns the limits of the ratio of two shares. The true ratio is below low with a probability of at
// most alpha, and likewise above high.
//
// The limits are exact for two Poisson counts: given their sum, the first one has a binomial distribution (Przyborowski
// and Wilenski, 1940), which has the limits of Clopper and Pearson. Shares of sessions are binomial. They vary less
// than Poisson counts, so for frequent faults the interval is too wide rather than too narrow. It holds with any number
// of observations, and with none that is bad.
func ratioInterval(a, b Share, alpha float64) (low, high float64) {
	x, y := a.value()*a.Observations, b.value()*b.Observations
	exposure := b.Observations / a.Observations
	odds := func(p float64) float64 { return p / (1 - p) * exposure }
	low, high = 0, math.Inf(1)
	if x > 0 {
		low = odds(mathext.InvRegIncBeta(x, y+1, alpha))
	}
	if y > 0 {
		high = odds(mathext.InvRegIncBeta(x+1, y, 1-alpha))
	}
	return low, high
}

// finite returns a pointer to a number, nil if it is not finite: JSON has no infinity.
func finite(x float64) *float64 {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return nil
	}
	return &x
}
