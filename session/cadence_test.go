package session

import (
	"testing"
	"testing/synctest"
	"time"
)

// A viewer to whom nothing is sent rests, and no longer once something is.
func TestViewerRestsWhileNothingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cadence{begun: time.Now(), wake: newSignal()}
		woken := func() bool {
			select {
			case <-c.wake:
				return true
			default:
				return false
			}
		}
		check := func(when string, live bool, want time.Duration) {
			t.Helper()
			if got := c.next(live); got != want {
				t.Errorf("%s: asked again after %v; want %v", when, got, want)
			}
		}
		c.stir()
		check("after a packet", true, tickInterval)
		if woken() {
			t.Error("a viewer that does not rest is woken")
		}
		time.Sleep(restAfter)
		check("while it connects", false, tickInterval)
		check("a while after the packet", true, restInterval)
		c.stir()
		if !woken() {
			t.Error("a viewer that rests is not woken by a packet")
		}
		check("after another packet", true, tickInterval)
	})
}
