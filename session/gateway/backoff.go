package gateway

import (
	"math/rand/v2"
	"time"
)

// The waits between attempts. A whole pool often shares one address, and a gateway takes ten binds a minute from one: after a
// restart of the gateway the attempts have to spread by themselves.
const (
	// leastWait lets the gateway notice the end of the old connection before the new one binds: it drops the account's route
	// when the old one ends, whichever is bound.
	leastWait = 500 * time.Millisecond
	// firstWait and longestWait bound the first and the later random waits.
	firstWait   = 4 * time.Second
	longestWait = 2 * time.Minute
	// rateWait is the window of the gateway's limits.
	rateWait = time.Minute
	// blockedWait is as long as the gateway locks an account.
	blockedWait = 15 * time.Minute
	// steadyAfter is how long a connection has to stand to count as one that works.
	steadyAfter = time.Minute
)

// backoff decides how long to wait after a failure.
type backoff struct {
	failures int // since the last steady connection
	rejected int // tokens in a row
}

// steady notes that a connection works.
func (b *backoff) steady() { *b = backoff{} }

// after returns the wait after a failure of class c, and whether it takes an operator to go on. All waits are random over their
// whole range ("full jitter"), above the least.
func (b *backoff) after(c Class) (wait time.Duration, blocked bool) {
	limit := longestWait
	if b.failures < 6 {
		limit = min(firstWait<<b.failures, longestWait)
	}
	b.failures++
	if c == ClassToken {
		b.rejected++
	}
	switch {
	case c.fatal(), c == ClassToken && b.rejected > 1: // the new token is no better
		return blockedWait + rand.N(blockedWait), true
	case c == ClassRate, c == ClassCapacity:
		return rateWait + rand.N(max(limit, rateWait)), false
	default:
		return leastWait + rand.N(limit), false
	}
}
