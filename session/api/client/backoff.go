package client

import (
	"math/rand/v2"
	"time"
)

// backoff returns a time that grows with the attempts and differs from client to client.
func backoff(attempt int) time.Duration {
	wait := 250 * time.Millisecond << min(attempt-1, 6)
	// It spreads requests, and protects nothing.
	return wait + time.Duration(rand.Int64N(int64(wait/2)+1)) //nolint:gosec // it spreads requests
}
