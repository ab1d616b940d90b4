package wire

import (
	"sync"
	"time"
)

const (
	// mostRepeats is how often a packet is retransmitted at most. At 20 % loss in both directions one packet in 3,000 is still
	// missing then, and the receiver asks for a keyframe instead.
	mostRepeats = 4
	// leastRepeat is the least time between two retransmissions of a packet; it is a round trip where that is longer. Receivers
	// ask until a packet is there (pion's every 100 ms): on a path with a queue each answer would be a copy behind the one that
	// is on its way, until nothing but copies is sent.
	leastRepeat = 20 * time.Millisecond
	// repeatAge is how old a packet may be that is retransmitted; it is repeatTrips round trips where that is longer. Real-time
	// receivers do not wait longer for a frame.
	repeatAge   = time.Second
	repeatTrips = 4
	// replayWindow is how far behind the newest packet of its stream SRTP receivers take a packet at least (RFC 3711, section
	// 3.3.2); they discard an older one unseen. It matters for retransmissions on the media's own stream.
	replayWindow = 64
	// leastAllowance is how many bytes may be retransmitted before media has earned any: a lost burst of 50 packets.
	leastAllowance = 60_000
)

// Refusal is why a request for a retransmission is not answered.
type Refusal uint8

const (
	// RefusedSoon says that the packet was retransmitted less than a round trip ago, or waits to be.
	RefusedSoon Refusal = iota
	// RefusedArrived says that the packet, or a retransmission of it, has arrived by transport feedback.
	RefusedArrived
	// RefusedOften says that the packet was retransmitted mostRepeats times.
	RefusedOften
	// RefusedOld says that the receiver can no longer use the packet.
	RefusedOld
	// RefusedShare says that retransmissions have had as much of the rate as media.
	RefusedShare
	// RefusedFull says that too many packets wait to be retransmitted.
	RefusedFull

	refusals
)

var refusalNames = [refusals]string{"soon", "arrived", "often", "old", "share", "full"}

// String returns the refusal's name.
func (r Refusal) String() string { return refusalNames[r] }

// Refusals returns all of them.
func Refusals() []Refusal {
	return []Refusal{RefusedSoon, RefusedArrived, RefusedOften, RefusedOld, RefusedShare, RefusedFull}
}

// repeats remembers of each packet of media that the NACK responder still keeps what was retransmitted of it.
type repeats struct {
	mu     sync.Mutex
	epoch  time.Time // when the first packet left
	ring   []repeatable
	newest uint16
}

// repeatable is one packet of media.
type repeatable struct {
	sent, again time.Duration // when it left first and last, since epoch
	number      uint16
	times       uint8 // how often it was retransmitted
	known       bool
	arrived     bool
}

// sent notes a packet of media as it leaves for the first time.
func (r *repeats) sent(number uint16, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ring == nil {
		r.ring, r.epoch = make([]repeatable, nackHistory), now
	}
	at := now.Sub(r.epoch)
	r.ring[number%nackHistory] = repeatable{sent: at, again: at, number: number, known: true}
	r.newest = number
}

// of returns what is known of a packet, or nil. The caller holds mu.
func (r *repeats) of(number uint16) *repeatable {
	if r.ring == nil {
		return nil
	}
	if p := &r.ring[number%nackHistory]; p.known && p.number == number {
		return p
	}
	return nil
}

// refuse reports whether, and why, a request for a packet is not to be answered. rtt is the path's round trip, and onMedia tells
// that the retransmission would go on the media's own stream.
func (r *repeats) refuse(number uint16, now time.Time, rtt time.Duration, onMedia bool) (Refusal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.of(number)
	if p == nil {
		return RefusedOld, true
	}
	if why, refused := r.uselessNow(p, onMedia); refused {
		return why, true
	}
	at := now.Sub(r.epoch)
	switch {
	case p.times >= mostRepeats:
		return RefusedOften, true
	case at-p.sent > max(repeatAge, repeatTrips*rtt):
		return RefusedOld, true
	case p.times > 0 && at-p.again < max(leastRepeat, rtt):
		return RefusedSoon, true
	}
	return 0, false
}

// useless reports whether, and why, a packet that waits to be retransmitted is of no use by the time that it may go.
func (r *repeats) useless(number uint16, onMedia bool) (Refusal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.of(number)
	if p == nil {
		return RefusedOld, true
	}
	return r.uselessNow(p, onMedia)
}

// uselessNow is useless for those who hold mu.
func (r *repeats) uselessNow(p *repeatable, onMedia bool) (Refusal, bool) {
	switch {
	case p.arrived:
		return RefusedArrived, true
	case onMedia && r.newest-p.number >= replayWindow:
		return RefusedOld, true
	}
	return 0, false
}

// again notes a retransmission.
func (r *repeats) again(number uint16, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.of(number); p != nil {
		p.times++
		p.again = now.Sub(r.epoch)
	}
}

// arrived notes that a packet, or a retransmission of it, is reported to have arrived.
func (r *repeats) arrived(number uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.of(number); p != nil {
		p.arrived = true
	}
}
