package wavryhost_test

import (
	"slices"
	"testing"
)

// All timers of a synctest bubble share one context of the race detector, also when two threads run two of them at the same moment, and then it crashes the test program now
// and then (golang/go#78156; runtime/time.go, unlockAndRun, of Go 1.26.8): "ThreadSanitizer: CHECK failed", or SIGSEGV. With one processor there is one such thread. The race
// detector finds as much with one, since it goes by what is ordered, and not by what coincides.
func TestBubblesHaveOneProcessorUnderTheRaceDetector(t *testing.T) {
	const guard = "bubbles_race_test.go"
	found := 0
	for _, p := range list(t, []string{"CGO_ENABLED=1"}, "-race", "./...") {
		if !slices.Contains(slices.Concat(p.TestImports, p.XTestImports), "testing/synctest") {
			continue
		}
		found++
		if !slices.Contains(slices.Concat(p.TestGoFiles, p.XTestGoFiles), guard) {
			t.Errorf("%s tests in bubbles, and has no %s; copy that of another package", p.ImportPath, guard)
		}
	}
	if found == 0 {
		t.Error("no package tests in bubbles, so this looks at nothing")
	}
}
