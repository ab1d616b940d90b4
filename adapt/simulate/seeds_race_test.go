//go:build race

package simulate

// Under the race detector one run of some cases looks for races; make test judges the figures without it.
const (
	seeds    = 1
	enforced = false
)
