package session

import (
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
