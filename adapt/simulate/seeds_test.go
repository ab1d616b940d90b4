//go:build !race

package simulate

// seeds is how many runs of each case are made; enforced tells whether their figures have to reach the gates.
const (
	seeds    = 5
	enforced = true
)
