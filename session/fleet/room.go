package fleet

import "time"

// Room is the room of a host for a session.
type Room struct {
	// More is the number of further sessions that fit, and Sessions the number of present ones.
	More, Sessions int
	// Display is the display to reserve.
	Display string
	// Weak reports whether the host serves, and another would be better: it is degraded or in probation.
	Weak bool
	// Refusal is why there is no room; empty if there is. Retry is when to ask again.
	Refusal string
	Retry   time.Duration
}

// score returns how good the host is for a session, from 0 to 1: the share of its room that is free.
func (r Room) score() float64 {
	if r.Refusal != "" || r.More < 1 {
		return 0
	}
	s := float64(r.More) / float64(r.More+r.Sessions)
	if r.Weak {
		s /= 2
	}
	return s
}
