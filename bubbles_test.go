package wavryhost_test

import (
	"slices"
	"testing"
)

// All timers of a synctest bubble share one context of the race detector. When two threads run two of them at the same
// moment, the detector can crash the test program (golang/go#78156; runtime/time.go, unlockAndRun, of Go 1.26.8):
// "ThreadSanitizer: CHECK failed", or SIGSEGV. With one processor only one such thread exists. The detector finds as
// much with one, because it judges by the order of events and not by coincidence.
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
