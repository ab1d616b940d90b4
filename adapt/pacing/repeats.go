package pacing

import "time"

const (
	// MostRepeats is how often a packet is retransmitted at most. At 20 % loss in both directions one packet in 3,000 is
	// still missing then, and the receiver asks for a keyframe instead.
	MostRepeats = 4
	// leastRepeat is the least time between two retransmissions of a packet; it is a round trip where that is longer.
	// Receivers ask until a packet is there (pion's every 100 ms): on a path with a queue each answer would be a copy
	// behind the one under way, until nothing but copies is sent.
	leastRepeat = 20 * time.Millisecond
	// RepeatAge is how old a packet may be that is retransmitted; it is repeatTrips round trips where that is longer.
	// Real-time receivers do not wait longer for a frame.
	RepeatAge   = time.Second
	repeatTrips = 4
	// ReplayWindow is how far behind the newest packet of its stream SRTP receivers take a packet at least (RFC 3711,
	// section 3.3.2); they discard an older one unseen. It matters for retransmissions on the media's own stream.
	ReplayWindow = 64
)

// Refusal is why a request for a retransmission is not answered.
type Refusal uint8

const (
	// RefusedSoon says that the packet was retransmitted less than a round trip ago, or waits to be.
	RefusedSoon Refusal = iota
	// RefusedArrived says that the packet, or a retransmission of it, has arrived by transport feedback.
	RefusedArrived
	// RefusedOften says that the packet was retransmitted MostRepeats times.
	RefusedOften
	// RefusedOld says that the receiver can no longer use the packet.
	RefusedOld
	// RefusedShare says that retransmissions have had as much of the rate as media.
	RefusedShare
	// RefusedFull says that too many packets wait to be retransmitted.
	RefusedFull

	refusals
)

// Refused counts requests that were not answered, by Refusal.
type Refused [refusals]uint64

var refusalNames = [refusals]string{"soon", "arrived", "often", "old", "share", "full"}

// String returns the refusal's name.
func (r Refusal) String() string { return refusalNames[r] }

// Refusals returns all of them.
func Refusals() []Refusal {
	return []Refusal{RefusedSoon, RefusedArrived, RefusedOften, RefusedOld, RefusedShare, RefusedFull}
}

// Kept is how many packets of media are remembered, a power of two: at 20 Mbit/s a second.
const Kept = 2048

// Repeats remembers of each of the newest packets of media what was retransmitted of it.
type Repeats struct {
	epoch  time.Time // when the first packet left
	ring   []repeatable
	newest uint16
	key    uint16 // first packet of the newest keyframe
	keyed  bool   // key is set, and no packet since is known to be beyond repair
}

// repeatable is one packet of media.
type repeatable struct {
	sent, again time.Duration // when it left first and last, since epoch
	number      uint16
	times       uint8 // how often it was retransmitted
	known       bool
	arrived     bool
}

// Sent notes a packet of media as it leaves for the first time.
func (r *Repeats) Sent(number uint16, now time.Time) {
	if r.ring == nil {
		r.ring, r.epoch = make([]repeatable, Kept), now
	}
	at := now.Sub(r.epoch)
	r.ring[number%Kept] = repeatable{sent: at, again: at, number: number, known: true}
	r.newest = number
	// What is remembered came after a keyframe of so long ago. Numbers half of all numbers apart could not be compared.
	if number-r.key > 2*Kept {
		r.key = number - 2*Kept
	}
}

// Keyframe notes that a packet is the first of a keyframe: nothing before it is needed any more.
func (r *Repeats) Keyframe(number uint16) { r.key, r.keyed = number, true }

// Broken reports whether a refusal means that the receiver cannot decode before the next keyframe: it lacks a packet of
// the newest keyframe or of a later picture, and no retransmission comes or is under way. It says so once per keyframe.
func (r *Repeats) Broken(number uint16, why Refusal, now time.Time, rtt time.Duration) bool {
	if !r.keyed || why != RefusedOften && why != RefusedOld || int16(number-r.key) < 0 {
		return false
	}
	if p := r.of(number); p != nil && p.times > 0 && now.Sub(r.epoch)-p.again < max(leastRepeat, rtt) {
		return false
	}
	r.keyed = false
	return true
}

// of returns what is known of a packet, or nil.
func (r *Repeats) of(number uint16) *repeatable {
	if r.ring == nil {
		return nil
	}
	if p := &r.ring[number%Kept]; p.known && p.number == number {
		return p
	}
	return nil
}

// Refuse reports whether, and why, a request for a packet is not to be answered. onMedia says that the retransmission
// would go on the stream of the media.
func (r *Repeats) Refuse(number uint16, now time.Time, rtt time.Duration, onMedia bool) (Refusal, bool) {
	if why, refused := r.Useless(number, onMedia); refused {
		return why, true
	}
	p, at := r.of(number), now.Sub(r.epoch)
	switch {
	case p.times >= MostRepeats:
		return RefusedOften, true
	case at-p.sent > max(RepeatAge, repeatTrips*rtt):
		return RefusedOld, true
	case p.times > 0 && at-p.again < max(leastRepeat, rtt):
		return RefusedSoon, true
	}
	return 0, false
}

// Useless reports whether, and why, a packet that waits to be retransmitted is of no use by the time that it may go.
func (r *Repeats) Useless(number uint16, onMedia bool) (Refusal, bool) {
	p := r.of(number)
	switch {
	case p == nil:
		return RefusedOld, true
	case p.arrived:
		return RefusedArrived, true
	case onMedia && r.newest-p.number >= ReplayWindow:
		return RefusedOld, true
	}
	return 0, false
}

// Again notes a retransmission.
func (r *Repeats) Again(number uint16, now time.Time) {
	if p := r.of(number); p != nil {
		p.times++
		p.again = now.Sub(r.epoch)
	}
}

// Arrived notes that a packet, or a retransmission of it, is reported to have arrived.
func (r *Repeats) Arrived(number uint16) {
	if p := r.of(number); p != nil {
		p.arrived = true
	}
}
