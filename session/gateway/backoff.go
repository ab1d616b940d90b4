package gateway

import (
	"math/rand/v2"
	"time"
)

// The waits between attempts. A whole pool often shares one address, and a gateway accepts ten binds per minute from
// one address. After a restart of the gateway the attempts must spread.
const (
	// leastWait lets the gateway notice the end of the old connection before the new one binds. Otherwise the end of
	// the old connection would remove the account's new route.
	leastWait = 500 * time.Millisecond
	// firstWait and longestWait bound the first and the later random waits.
	firstWait   = 4 * time.Second
	longestWait = 2 * time.Minute
	// rateWait is the period of the gateway's rate limits.
	rateWait = time.Minute
	// blockedWait is how long the gateway locks an account.
	blockedWait = 15 * time.Minute
	// steadyAfter is how long a connection must last to count as steady.
	steadyAfter = time.Minute
)

// backoff computes the wait after a failure.
type backoff struct {
	failures int // failures since the last steady connection
	rejected int // rejected tokens in a row
}

// steady notes that a connection is steady.
func (b *backoff) steady() { *b = backoff{} }

// after returns the wait after a failure of class c, and reports whether an operator must act. All waits are random
// over their whole range ("full jitter"), above the minimum.
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
	case c.fatal(), c == ClassToken && b.rejected > 1: // the new token was rejected, too
		return blockedWait + rand.N(blockedWait), true
	case c == ClassRate, c == ClassCapacity:
		return rateWait + rand.N(max(limit, rateWait)), false
	default:
		return leastWait + rand.N(limit), false
	}
}
