// Package pacing decides what leaves next and when: the budget of a pacer, the turns of media, retransmissions and
// padding, which retransmissions are of use, and whether there is room for another picture.
//
// The package is pure, as adapt is: no goroutine, no clock, no I/O and no lock. session/wire drives it with packets
// of its own, the simulator with simulated ones.
package pacing

import "time"

const (
	// Burst is how far ahead of its rate a pacer may run. A frame is sent in bursts no longer than this.
	Burst = 5 * time.Millisecond
	// tick is the shortest sleep. At high rates several packets leave at each waking, for the burst allows it; a waking
	// for each packet would cost more than it smooths.
	tick = time.Millisecond
)

// Bucket is a pacer's budget: it fills at the pacing rate, holds one burst at most, and may go below zero by one
// packet.
type Bucket struct {
	bytes float64
	at    time.Time
}

// Wait returns how long to wait until a packet may go, at a rate in bits per second.
func (b *Bucket) Wait(now time.Time, rate int) time.Duration {
	perSecond := float64(rate) / 8
	if b.at.IsZero() {
		b.bytes = perSecond * Burst.Seconds()
	} else {
		b.bytes = min(b.bytes+perSecond*now.Sub(b.at).Seconds(), perSecond*Burst.Seconds())
	}
	b.at = now
	if b.bytes >= 0 {
		return 0
	}
	return max(time.Duration(-b.bytes/perSecond*float64(time.Second)), tick)
}

// Empty takes away what was saved for a burst: one at its start would make a probe faster than asked for.
func (b *Bucket) Empty(now time.Time) {
	b.bytes, b.at = min(b.bytes, 0), now
}

// Spend notes what left.
func (b *Bucket) Spend(bytes int) { b.bytes -= float64(bytes) }
