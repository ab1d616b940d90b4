//go:build race

package edge

import "runtime"

// See bubbles_test.go at the root.
var _ = runtime.GOMAXPROCS(1)
