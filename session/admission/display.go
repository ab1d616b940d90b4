package admission

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// ConnectGrace is how long a session that has not connected keeps its place at a display that others request, too. On
// a path that loses 20 % of the packets in both directions, 95 % of the sessions connect in less
// (TestJoinsOnABadPath).
const ConnectGrace = 2 * time.Second

// checkDisplay returns an error when the limit on the viewers of a display leaves no place.
func (a *Admitter) checkDisplay(r Request, s Snapshot) error {
	if r.Viewers == 0 {
		return nil
	}
	n, wait := users(a, r.Display, s)
	if n < r.Viewers {
		return nil
	}
	if wait <= ConnectGrace { // one gives way by then; with more places more clients come again
		wait += rand.N(time.Duration(min(r.Viewers, 5)) * time.Second)
	} else {
		wait = Jitter(wait)
	}
	return &RefusalError{
		Resource: string(DisplayViewers), RetryAfter: wait,
		text: fmt.Sprintf("%d at a time may watch %s, and %d do or are about to", r.Viewers, r.Display, n),
	}
}

// Taken reports whether a display has a session or a reservation, or is about to.
func Taken(a *Admitter, display string, s Snapshot) bool {
	n, _ := users(a, display, s)
	return n > 0
}

// users returns the number of sessions that a display has or has promised a place, and when one may give way.
func users(a *Admitter, display string, s Snapshot) (n int, wait time.Duration) {
	wait = patience(DisplayViewers)
	for _, l := range a.reservations {
		if l.Display == display {
			n++
		}
	}
	for t := range a.tickets {
		if t.load.display == display {
			n++
		}
	}
	for m := range a.moves {
		if m.display == display {
			n++
		}
	}
	for i := range s.Sessions {
		one := &s.Sessions[i]
		if one.Display != display && one.Heading != display {
			continue
		}
		n++
		if one.Connected.IsZero() {
			wait = min(wait, max(0, ConnectGrace-s.Now.Sub(one.Created)))
		}
	}
	return n, wait
}

// squatter returns the session that makes room at a full display. It never connected: it is the oldest of the same
// guest, who has come again, or else the oldest whose grace is over. Operators open sessions for several viewers, so
// theirs have the grace, too. It is empty where there is room or no such session.
func (a *Admitter) squatter(r Request, s Snapshot) string {
	if a.checkDisplay(r, s) == nil {
		return ""
	}
	var own, others *Session
	for i := range s.Sessions {
		one := &s.Sessions[i]
		if !one.waiting() || one.Display != r.Display {
			continue
		}
		switch {
		case r.Guest && one.Owner == r.Owner:
			if own == nil || one.Created.Before(own.Created) {
				own = one
			}
		case s.Now.Sub(one.Created) >= ConnectGrace && (others == nil || one.Created.Before(others.Created)):
			others = one
		}
	}
	switch {
	case own != nil:
		return own.ID
	case others != nil:
		return others.ID
	default:
		return ""
	}
}
