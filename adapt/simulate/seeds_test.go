//go:build !race

package simulate

// seeds is how many runs of each case are made; enforced reports whether their figures must reach the gates.
const (
	seeds    = 5
	enforced = true
)
