package pool

import (
	"time"

	"wavryhost/session/fleet/bus"
)

// open is a placement whose host has not answered: the place may be reserved there.
type open struct {
	bid bus.Bid
	at  time.Time
}

// maxOpen bounds the open placements, and openFor is how long one is known. A host knows its placements as long.
const (
	maxOpen = 4096
	openFor = 10 * time.Minute
)

// leave notes that a host has not answered.
func (c *Client) leave(wish string, b bus.Bid, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxOpen {
		for id, o := range c.open {
			if now.Sub(o.at) > openFor {
				delete(c.open, id)
			}
		}
	}
	if len(c.open) < maxOpen {
		c.open[wish] = open{b, now}
	}
}

// resume removes and returns the bid of an open placement.
func (c *Client) resume(wish string, now time.Time) (b bus.Bid, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.open[wish]
	delete(c.open, wish)
	return o.bid, ok && now.Sub(o.at) <= openFor
}
