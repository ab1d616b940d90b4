package progress

import (
	"testing"
	"testing/synctest"
	"time"
)

// The longest step under way counts, by kind. Waiting between steps does not, nor does a loop that has ended.
func TestLongestStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		idle := b.Loop(API, "")
		defer idle.Close()
		release := make(chan struct{})
		for i := range 2 {
			go func() {
				l := b.Loop(Encode, "a display")
				defer l.Close()
				time.Sleep(time.Duration(i) * 3 * time.Second)
				l.Step(func() { <-release })
				time.Sleep(time.Hour)
			}()
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := b.Longest(time.Now()); len(got) != 1 || got[Encode] != 10*time.Second {
			t.Errorf("got %v; want 10 s of encode", got)
		}
		if got := b.Stalls(time.Now()); len(got) != 1 || got[0] != (Stall{Encode, "a display", 10 * time.Second}) {
			t.Errorf("stalls %v; want that of 10 s only", got)
		}
		close(release)
		synctest.Wait()
		if got := b.Longest(time.Now()); len(got) != 0 {
			t.Errorf("between steps: %v", got)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if len(b.loops) != 1 {
			t.Errorf("%d loops are left; want the idle one", len(b.loops))
		}
	})
}

// A loop without a Board works, and a step that panics has ended.
func TestLoopWithoutBoard(t *testing.T) {
	var none *Board
	l := none.Loop(Send, "")
	defer l.Close()
	if got := none.Stalls(time.Now()); len(got) != 0 {
		t.Errorf("without a board: %v", got)
	}
	ran := false
	l.Step(func() { ran = true })
	if !ran {
		t.Error("the step did not run")
	}
	b := New()
	broken := b.Loop(Send, "")
	func() {
		defer func() { _ = recover() }()
		broken.Step(func() { panic("ouch") })
	}()
	if got := b.Longest(time.Now().Add(time.Hour)); len(got) != 0 {
		t.Errorf("after a panic: %v", got)
	}
	if n := testing.AllocsPerRun(100, func() { l.Step(func() { ran = !ran }) }); n > 0 {
		t.Errorf("%v allocations for each step", n)
	}
}
