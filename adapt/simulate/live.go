package simulate

import "time"

// Live is a Link that carries the packets of a caller, who says what time it is. All times count from the moment at
// which the link's capacity begins. It is not for concurrent use.
type Live struct {
	w       world
	link    *link
	sent    int
	dropped int
	wait    time.Duration // the longest one of arrived packets
	arrived [][]byte
}

// NewLive returns a link without packets. The seed decides about its random losses and delays.
func NewLive(l Link, seed uint64) *Live {
	v := &Live{w: world{random: newRandom(seed), seed: seed}}
	v.link = newLink(l, &v.w)
	return v
}

// parcel is a packet with its content.
type parcel struct {
	live *Live
	data []byte
}

func (c *parcel) fire(_ int, p *packet) {
	c.live.wait = max(c.live.wait, p.queue)
	c.live.arrived = append(c.live.arrived, c.data)
}

// Send puts a packet on the link. The link keeps data until the packet has arrived. Fair queues tell packets apart by
// flow. The caller must have called Advance with the same time.
func (v *Live) Send(now time.Duration, data []byte, flow int) {
	v.w.now = max(v.w.now, now)
	v.sent++
	v.w.send(&packet{
		size: len(data), flow: flow, route: []*link{v.link}, to: &parcel{v, data}, sent: v.w.now,
	})
}

// Next returns when something happens on the link next, and false if nothing will.
func (v *Live) Next() (at time.Duration, ok bool) {
	if len(v.w.events) == 0 {
		return 0, false
	}
	return v.w.events[0].at, true
}

// Advance returns the packets that have arrived up to a moment, the first one first.
func (v *Live) Advance(now time.Duration) [][]byte {
	v.arrived = nil
	for len(v.w.events) > 0 && v.w.events[0].at <= now {
		e := v.w.events.pop()
		v.w.now = e.at
		e.who.fire(e.what, e.p)
	}
	v.w.now = max(v.w.now, now)
	return v.arrived
}

// Counts returns how many packets were put on the link so far, and how many of them it dropped.
func (v *Live) Counts() (sent, dropped int) { return v.sent, v.dropped }

// LongestWait returns the longest wait in the queue of the packets that arrived since the last call.
func (v *Live) LongestWait() time.Duration {
	longest := v.wait
	v.wait = 0
	return longest
}
