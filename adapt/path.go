package adapt

import "time"

const (
	// rateWindow is how far back rates and loss are looked at: long enough for 20 packets at the lowest rate of a moving
	// screen, short enough to follow a link that changes within a second.
	rateWindow = time.Second
	// lossSample is the fewest packets that loss is computed on. With fewer, one lost packet looks like a broken link.
	lossSample = 20
	// baseWindow is how long the smallest delay is remembered; a route change or clock skew shows after this long.
	baseWindow = 30
	// idRing is how many packets the in-flight figure reaches back; at 20 Mbit/s, more than 2 seconds.
	idRing = 4096
)

// path is what the reports say of the way to the viewer.
type path struct {
	rtt, jitter  time.Duration
	minRTT, base windowMin
	queue        time.Duration // standing queue: one-way delay over its base, or RTT over its
	kind         FeedbackKind
	feedbacks    uint64
	lastFeedback time.Time
	lastSent     time.Time
	firstUnheard time.Time // when the first packet left that no report came after; zero when there is none
	reported     samples   // per report: bytes received, packets lost and reported
	sent         samples   // per packet: bytes
	rrLoss       float64
	sentBytes    int64
	cumulative   [idRing]idBytes
	ackedBytes   int64
	ackedID      uint64
}

type idBytes struct {
	id    uint64
	bytes int64
}

func (p *path) onSent(packet Packet) {
	p.lastSent = packet.Sent
	if p.firstUnheard.IsZero() {
		p.firstUnheard = packet.Sent
	}
	p.sentBytes += int64(packet.Size)
	p.cumulative[packet.ID%idRing] = idBytes{packet.ID, p.sentBytes}
	p.sent.add(packet.Sent, sample{bytes: packet.Size})
}

// onFeedback takes a report in and tells whether it was news.
func (p *path) onFeedback(f Feedback) bool {
	if f.At.Before(p.lastFeedback) {
		return false
	}
	p.feedbacks++
	p.kind = f.Kind
	p.lastFeedback, p.firstUnheard = f.At, time.Time{}
	if f.RTT > 0 && f.RTT < time.Minute {
		if p.rtt == 0 {
			p.rtt = f.RTT
		}
		p.rtt += (f.RTT - p.rtt) / 8 // RFC 6298's gain
		p.minRTT.add(f.At, f.RTT)
	}
	if f.Kind == RR {
		p.onReceiverReport(f)
		return true
	}
	var s sample
	smallest, seen := time.Duration(0), false
	for _, packet := range f.Packets {
		if packet.Size < 0 || packet.Size > 1<<16 {
			continue
		}
		s.packets++
		// What is reported is on its way no more, whether it arrived or not.
		if packet.ID > p.ackedID {
			if c := p.cumulative[packet.ID%idRing]; c.id == packet.ID {
				p.ackedID, p.ackedBytes = packet.ID, c.bytes
			}
		}
		if packet.Lost {
			s.lost++
			continue
		}
		s.bytes += packet.Size
		if d := packet.Arrived.Sub(packet.Sent); !seen || d < smallest {
			smallest, seen = d, true
		}
	}
	p.reported.add(f.At, s)
	if seen {
		// The smallest of a report leaves out what a frame's own packets wait for each other, and jitter to one side.
		p.base.add(f.At, smallest)
		p.queue = smallest - p.base.get()
	}
	return true
}

func (p *path) onReceiverReport(f Feedback) {
	if f.Loss >= 0 && f.Loss <= 1 { // false for NaN
		p.rrLoss = f.Loss
	}
	if f.Jitter >= 0 && f.Jitter < time.Minute {
		p.jitter = f.Jitter
	}
	if p.reported.empty() && f.RTT > 0 { // a peer without transport feedback
		p.queue = max(0, f.RTT-p.minRTT.get())
	}
}

// transport tells whether the peer sends transport feedback.
func (p *path) transport() bool { return !p.reported.empty() }

// loss is the fraction lost lately.
func (p *path) loss(now time.Time) float64 {
	if !p.transport() {
		return p.rrLoss
	}
	s, _ := p.reported.sum(now)
	if s.packets < lossSample {
		return 0
	}
	return float64(s.lost) / float64(s.packets)
}

// received and sentRate are in bits per second; 0 when unknown.
func (p *path) received(now time.Time) int { return p.reported.rate(now) }
func (p *path) sentRate(now time.Time) int { return p.sent.rate(now) }

// inflight is how many bytes left that no report told of, with transport feedback.
func (p *path) inflight() int64 {
	if !p.transport() || p.ackedID == 0 {
		return 0
	}
	return p.sentBytes - p.ackedBytes
}

// silence is how long the viewer has not answered to what was sent.
func (p *path) silence(now time.Time) time.Duration {
	if p.firstUnheard.IsZero() {
		return 0
	}
	return max(0, now.Sub(p.firstUnheard))
}

// windowMin is the smallest duration of the last baseWindow seconds, by buckets of one second.
type windowMin struct {
	buckets [baseWindow]time.Duration
	second  [baseWindow]int64
	any     bool
	newest  int64
}

func (w *windowMin) add(at time.Time, d time.Duration) {
	s := at.Unix()
	i := ((s % baseWindow) + baseWindow) % baseWindow
	if !w.any || w.second[i] != s || d < w.buckets[i] {
		w.buckets[i], w.second[i] = d, s
	}
	if !w.any || s > w.newest {
		w.newest = s
	}
	w.any = true
}

func (w *windowMin) get() time.Duration {
	smallest, found := time.Duration(0), false
	for i, s := range w.second {
		if w.any && s > w.newest-baseWindow && s <= w.newest && s != 0 && (!found || w.buckets[i] < smallest) {
			smallest, found = w.buckets[i], true
		}
	}
	return smallest
}

// sample is what happened in one slot of samples.
type sample struct{ bytes, packets, lost int }

// slots and slot make up rateWindow and one more slot that is being filled.
const (
	slot  = 50 * time.Millisecond
	slots = int(rateWindow/slot) + 1
)

// samples sums what happened lately, in slots of 50 ms.
type samples struct {
	ring  [slots]sample
	index [slots]int64
	first time.Time
}

func (s *samples) empty() bool { return s.first.IsZero() }

func (s *samples) add(at time.Time, v sample) {
	if s.first.IsZero() {
		s.first = at
	}
	n := at.UnixNano() / int64(slot)
	i := ((n % int64(slots)) + int64(slots)) % int64(slots)
	if s.index[i] != n {
		s.ring[i], s.index[i] = sample{}, n
	}
	s.ring[i].bytes += v.bytes
	s.ring[i].packets += v.packets
	s.ring[i].lost += v.lost
}

// sum returns what happened within rateWindow, and how long that is: less in the beginning.
func (s *samples) sum(now time.Time) (total sample, over time.Duration) {
	n := now.UnixNano() / int64(slot)
	for i, at := range s.index {
		if at <= n && at > n-int64(slots) {
			total.bytes += s.ring[i].bytes
			total.packets += s.ring[i].packets
			total.lost += s.ring[i].lost
		}
	}
	return total, max(slot, min(rateWindow, now.Sub(s.first)))
}

func (s *samples) rate(now time.Time) int {
	if s.empty() {
		return 0
	}
	total, over := s.sum(now)
	return int(float64(total.bytes*8) / over.Seconds())
}
