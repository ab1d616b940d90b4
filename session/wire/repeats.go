package wire

import (
	"sync"
	"time"

	"wavryhost/adapt/pacing"
)

// repeats remembers which packets of media were retransmitted, as long as the NACK responder keeps them.
type repeats struct {
	mu sync.Mutex
	of pacing.Repeats
}

// sent notes the first sending of a packet of media. key reports whether a keyframe begins with it.
func (r *repeats) sent(number uint16, now time.Time, key bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of.Sent(number, now)
	if key {
		r.of.Keyframe(number)
	}
}

// broken reports whether the receiver cannot decode because of a refusal; see pacing.Repeats.Broken.
func (r *repeats) broken(number uint16, why pacing.Refusal, now time.Time, rtt time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of.Broken(number, why, now, rtt)
}

// refuse reports whether, and why, a request for a packet is not answered.
func (r *repeats) refuse(number uint16, now time.Time, rtt time.Duration, onMedia bool) (pacing.Refusal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of.Refuse(number, now, rtt, onMedia)
}

// useless reports whether, and why, a waiting retransmission will be useless when it can be sent.
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

// arrived notes that a packet or its retransmission was reported received.
func (r *repeats) arrived(number uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of.Arrived(number)
}
