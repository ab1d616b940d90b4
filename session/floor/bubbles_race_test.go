//go:build race

package floor

import "runtime"

// See packages_test.go at the root.
var _ = runtime.GOMAXPROCS(1)
