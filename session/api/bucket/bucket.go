// Package bucket has a token bucket that consists of a single time.
package bucket

import "time"

// Rate allows burst events at once, and then one per interval.
type Rate struct {
	Interval time.Duration
	Burst    int
}

// Bucket is a token bucket (the generic cell rate algorithm). It holds the time at which the events so far are paid
// for. The zero value is full. A Bucket is not safe for concurrent use.
type Bucket struct{ paid time.Time }

// Wait returns how long the next event must wait; 0 if it may happen at once.
func (b Bucket) Wait(now time.Time, r Rate) time.Duration {
	return max(0, b.paid.Add(-time.Duration(r.Burst-1)*r.Interval).Sub(now))
}

// Take pays for n events. It does not check whether they may happen.
func (b *Bucket) Take(now time.Time, r Rate, n int) {
	if b.paid.Before(now) {
		b.paid = now
	}
	b.paid = b.paid.Add(time.Duration(n) * r.Interval)
}

// Unused reports whether nothing was taken so far.
func (b Bucket) Unused() bool { return b.paid.IsZero() }
