//go:build race

package simulate

// Under the race detector one run of each case looks for races; the means are judged without it.
const (
	seeds    = 1
	enforced = false
)
