package session

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/progress"
)

// A loop over the sessions that hangs, here in the measurement of the load, is seen.
func TestHungSessionLoopIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board, held, hangs := progress.New(), make(chan struct{}), atomic.Bool{}
		h := openHouse(t, func(c *Config) {
			c.Progress = board
			c.Load = func() Load {
				if hangs.Load() {
					<-held
				}
				return Load{}
			}
		})
		defer h.close(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := board.Longest(time.Now()); len(got) != 0 {
			t.Errorf("without a fault: %v", got)
		}
		hangs.Store(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := board.Longest(time.Now())[progress.Sessions]; got < progress.Limit {
			t.Errorf("the longest step is %v; want over %v", got, progress.Limit)
		}
		hangs.Store(false)
		close(held)
		synctest.Wait()
		if got := board.Longest(time.Now()); len(got) != 0 {
			t.Errorf("after the fault: %v", got)
		}
	})
}

// A session whose send loop stalls is ended, with the reason, so that its page connects again. Other sessions continue.
func TestSessionOfAHungSendLoopEnds(t *testing.T) {
	board := progress.New()
	h := openHouse(t, func(c *Config) { c.Progress = board })
	defer h.close(t)
	h.alive(t)
	r, other := newRemote(t), newRemote(t)
	defer r.close()
	defer other.close()
	r.watch(h)
	other.watch(h)
	r.playing(t, 3)
	stall := board.Loop(progress.Send, r.id)
	defer stall.Close()
	stall.Step(func() {
		h.registry.heal(board.Stalls(time.Now().Add(progress.Limit+time.Second)), h.registry.list())
	})
	eventually(t, "the session ends", func() bool { return h.events(EventEnded) == 1 })
	for _, e := range h.told() {
		if e.Kind == EventEnded.String() && (e.Session != r.id || e.Reason != EndError.String() ||
			!strings.Contains(e.Error, "send loop stalls")) {
			t.Errorf("the end is told as %+v", e)
		}
	}
	n, _ := other.got()
	other.playing(t, n+3)
}
