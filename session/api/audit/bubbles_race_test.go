//go:build race

package audit

import "runtime"

// See bubbles_test.go at the root.
var _ = runtime.GOMAXPROCS(1)
