package path

import (
	"math"
	"slices"
	"time"

	"wavryhost/adapt/tuning"
)

const (
	// centuries is more than any clock is off by, and leaves room to add.
	centuries    = time.Duration(1 << 61)
	queueReports = 8
	// tailPackets is how many packets the end of a report is judged by: more than a single spike, and less than a
	// frame.
	tailPackets = 6
)

// transport follows reports on single packets.
type transport struct {
	base          windowMin // of the one-way delay, by both clocks
	queues        [queueReports]queueAt
	steps         int           // reports in a row that contradict the round trip
	settles       int           // reports until the receiver's clock that was set is trusted
	newestSent    time.Duration // when the newest packet that was reported as received left, since epoch
	epoch, theirs time.Time     // the zero of the times in arrivals, by our clock and by the receiver's,
	offset        time.Duration // and how much later the second is, as the clocks show it
	arrivals      arrivals
	pause         pause
	reported      Counts // per report: packets lost and reported
	lost          [lostRing]uint64
	lastLost      uint64 // the newest packet lost, and how many were lost in a row with it
	run           int
}

// queueAt is what a report said: the standing queue, and the smallest delay.
type queueAt struct {
	at       time.Time
	d        time.Duration
	smallest time.Duration
}

// tail holds the delays of the last packets of a report.
type tail struct {
	delays [tailPackets]time.Duration
	n      int
}

func (t *tail) add(d time.Duration) {
	t.delays[t.n%tailPackets] = d
	t.n++
}

func (t *tail) least() (time.Duration, bool) {
	if t.n < 2*tailPackets {
		return 0, false
	}
	return slices.Min(t.delays[:]), true
}

// onTransport takes in a report on single packets. What was never sent, or not yet, is left out.
func (p *Path) onTransport(f *Feedback, by Sending) (Sample, bool) {
	t := &p.transport
	span := f.At.Sub(p.LastFeedback)
	if !p.LastFeedback.IsZero() {
		p.Interval += (min(span, 2*time.Second) - p.Interval) / 8
	}
	if t.epoch.IsZero() {
		t.epoch = f.At.Add(-2 * tuning.Oldest) // nothing that is looked at was sent before
		t.arrivals.unix = t.epoch.UnixNano()
	}
	var (
		s         = Sample{Span: span}
		c         = &s.Count
		v         arrival
		tail      tail
		smallest  time.Duration
		at        = f.At.Sub(t.epoch)
		forgotten = f.At.Sub(p.forgotten)
		newest    = time.Duration(math.MaxInt64) // how long ago the newest packet was sent
	)
	for i := range f.Packets {
		packet := &f.Packets[i]
		if !p.believable(packet, f.At) {
			continue
		}
		p.acknowledge(packet.ID)
		ago := f.At.Sub(packet.Sent)
		if s.From.IsZero() {
			s.From = packet.Sent
		}
		if ago > forgotten || !t.count(packet, c) {
			continue
		}
		if t.theirs.IsZero() {
			if t.offset = packet.Arrived.Sub(t.epoch); t.offset > centuries || t.offset < -centuries {
				continue
			}
			t.theirs = packet.Arrived
		}
		sent, arrived := at-ago, packet.Arrived.Sub(t.theirs)
		if arrived > centuries || arrived < -centuries {
			continue
		}
		delay := t.offset + arrived - sent // which is arrival less sending
		if v.bytes == 0 || delay < smallest {
			smallest = delay
		}
		if v.bytes == 0 || arrived < v.from {
			v.from, v.firstBytes = arrived, packet.Size
		}
		if v.bytes == 0 || arrived > v.to {
			v.to = arrived
		}
		v.bytes += packet.Size
		v.packets++
		newest = min(newest, ago)
		tail.add(delay)
		t.arrivals.packet(packet.Size, sent, arrived, by.Pacing)
		if t.pause.packet(packet.Size, sent, arrived, by.Rate) {
			s.Paused = t.pause.gap
		}
	}
	if len(f.Packets) == 0 {
		return Sample{}, false
	}
	t.reported.Add(f.At, *c)
	if v.bytes > 0 && at-newest > t.newestSent { // else the report is late, and shows a past queue
		s.Fresh = true
		t.newestSent = at - newest
		t.arrivals.report(v)
		p.onRTT(f.At, newest)
		p.onDelay(f.At, smallest, max(0, newest-p.minRTT.get()), by.Frame)
		p.Tail = 0
		if delay, ok := tail.least(); ok {
			p.Tail = min(delay-t.base.get(), max(0, newest-p.minRTT.get())+tuning.StepSlack)
		}
	}
	s.Queue, s.Tail, s.Growth = p.Queue, p.Tail, t.slope()
	s.Sent = p.SentRate(f.At)
	s.Arrived, s.Newest, s.Sure = min(t.arrivals.rate(), tuning.MostFaster*max(s.Sent, by.Rate)), t.arrivals.newest(), true
	return s, true
}

// count adds a packet to c and reports whether it arrived.
func (t *transport) count(packet *Packet, c *Count) bool {
	lost := &t.lost[packet.ID%lostRing]
	if packet.Lost {
		c.Packets++
		c.Lost++
		if packet.ID == t.lastLost+1 {
			t.run++
		} else {
			t.run = 1
			c.Events++
		}
		if t.lastLost = packet.ID; t.run > tuning.RunCounts {
			c.Runs++
		}
		*lost = packet.ID
		return false
	}
	if *lost == packet.ID { // it was only late
		*lost = 0
		c.Lost--
	} else {
		c.Packets++
	}
	return true
}

// onDelay measures the standing queue. The smallest delay of a report, or of those within the time of a frame, leaves
// out how long the packets of a frame wait for each other, and jitter, which is to one side. The round trip holds the
// queue too, on one clock alone: a delay that rises more comes from the receiver's clock.
func (p *Path) onDelay(at time.Time, smallest, most, frame time.Duration) {
	t := &p.transport
	t.base.add(at, smallest)
	d := smallest - t.base.get()
	slack := tuning.StepSlack
	if t.settles > 0 {
		t.settles--
		slack = 0
	}
	if d <= most+slack {
		t.steps = 0
	} else if t.steps++; t.steps >= tuning.StepReports || slack == 0 {
		if slack != 0 {
			t.settles = tuning.StepSettles
		}
		t.base.reset(at, smallest-most)
		t.steps = 0
	}
	copy(t.queues[:], t.queues[1:])
	newest := &t.queues[queueReports-1]
	*newest = queueAt{at: at, smallest: smallest}
	least := smallest
	for i := queueReports - 2; i >= 0 && t.queues[i].at.Add(frame).After(at); i-- {
		least = min(least, t.queues[i].smallest)
	}
	p.Queue = max(0, min(least-t.base.get(), most+tuning.StepSlack))
	newest.d = p.Queue
}

// slope is how fast the standing queue grows, in seconds per second.
func (t *transport) slope() float64 {
	last := t.queues[queueReports-1]
	first := last
	for i := queueReports - 2; i >= 0 && last.at.Sub(first.at) < tuning.SlopeOver; i-- {
		first = t.queues[i]
	}
	over := last.at.Sub(first.at)
	if first.at.IsZero() || over < tuning.SlopeOver || over > 2*time.Second {
		return 0
	}
	return float64(last.d-first.d) / float64(over)
}
