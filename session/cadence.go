package session

import (
	"sync/atomic"
	"time"
)

const (
	// tickInterval is how often a controller is asked at least while packets leave or are reported; see
	// adapt.Controller.
	tickInterval = 25 * time.Millisecond
	// restInterval is the same for a viewer that rests. Each time wakes two threads, which is most of what a still screen
	// costs.
	restInterval = 200 * time.Millisecond
	// restAfter is how long nothing is sent or reported before a viewer rests.
	restAfter = 100 * time.Millisecond
)

// cadence is how often the controller of a viewer is asked.
type cadence struct {
	begun   time.Time
	wake    signal
	stirred atomic.Int64 // when a packet or a report came last, since begun
	resting atomic.Bool
}

// stir notes that a packet leaves or that one is reported. It wakes a viewer that rests.
func (c *cadence) stir() {
	c.stirred.Store(int64(time.Since(c.begun)))
	if c.resting.Load() {
		c.wake.raise()
	}
}

// next returns when to ask the controller again, unless something stirs. live is whether media can flow.
func (c *cadence) next(live bool) time.Duration {
	c.resting.Store(live) // first, so that what stirs from here on is not missed
	if live && time.Since(c.begun)-time.Duration(c.stirred.Load()) >= restAfter {
		return restInterval
	}
	c.resting.Store(false)
	return tickInterval
}
