package wire

import (
	"sync"
	"time"

	"wavryhost/adapt/pacing"
)

// repeats remembers what was retransmitted of the packets of media that the NACK responder still keeps.
type repeats struct {
	mu sync.Mutex
	of pacing.Repeats
}

// sent notes a packet of media as it leaves for the first time. key says that a keyframe begins with it.
func (r *repeats) sent(number uint16, now time.Time, key bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of.Sent(number, now)
	if key {
		r.of.Keyframe(number)
	}
}

// broken reports whether a refusal leaves the receiver without a picture; see pacing.Repeats.Broken.
func (r *repeats) broken(number uint16, why pacing.Refusal, now time.Time, rtt time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of.Broken(number, why, now, rtt)
}

// refuse reports whether, and why, a request for a packet is not to be answered.
func (r *repeats) refuse(number uint16, now time.Time, rtt time.Duration, onMedia bool) (pacing.Refusal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of.Refuse(number, now, rtt, onMedia)
}

// useless reports whether, and why, a packet that waits to be retransmitted is of no use by the time that it may go.
func (r *repeats) useless(number uint16, onMedia bool) (pacing.Refusal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of.Useless(number, onMedia)
}

// again notes a retransmission.
func (r *repeats) again(number uint16, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of.Again(number, now)
}

// arrived notes that a packet, or a retransmission of it, is reported to have arrived.
func (r *repeats) arrived(number uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of.Arrived(number)
}
