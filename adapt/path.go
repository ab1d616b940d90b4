package adapt

import (
	"math"
	"slices"
	"time"
)

const (
	// rateWindow is the longest that rates and loss are looked back at.
	rateWindow = time.Second
	// sentWindow is how far back the sent rate looks: a few frames at any rate, and soon aware that a screen went still.
	sentWindow = 500 * time.Millisecond
	// lossWindow is how far back loss looks. Several reports, and at 150 kbit/s a dozen packets.
	lossWindow = 800 * time.Millisecond
	// lossNowWindow is how far back very large loss looks.
	lossNowWindow = 300 * time.Millisecond
	// lossSample is the fewest packets that loss is computed on. With fewer, one lost packet looks like a broken link.
	lossSample = 20
	// baseWindow is how many seconds the smallest delay is remembered; a route change or clock skew shows after this long.
	baseWindow = 30
	// idRing is how many packets the in-flight figure reaches back; at 20 Mbit/s, 2 seconds.
	idRing = 4096
	// runCounts is what an uninterrupted run of lost packets counts for, see sample.apart.
	runCounts = 2
	// lostRing is how many lost packets are remembered, in case they were only late.
	lostRing = 512
	// stepSlack is by how much one-way delay may rise above what the round trip allows before the receiver's clock is taken
	// to have been set, and stepReports for how many reports.
	stepSlack   = 30 * time.Millisecond
	stepReports = 3
	// stepSettles is how many reports after that the delay may not be above what the round trip allows at all: a round trip holds the
	// wait for the report as well, and the least of two seconds holds little of it.
	stepSettles = 20
	// oldest is how long ago a packet may have been sent to be looked at in a report.
	oldest = time.Minute
	// centuries is more than any clock is off by, and leaves room to add.
	centuries = time.Duration(1 << 61)
	// smallestRate is where rates begin; it keeps divisions from mattering.
	smallestRate = 10_000
)

// path is what the reports say of the way to the viewer.
type path struct {
	rtt, jitter   time.Duration
	minRTT, base  windowMin
	queue         time.Duration // standing queue: one-way delay over its base, or round trip over its
	late          time.Duration // the queue that the last packets of the report met, 0 when they were few
	queues        [queueReports]queueAt
	frame         time.Duration // between frames
	kind          FeedbackKind
	feedbacks     uint64
	lastFeedback  time.Time
	interval      time.Duration // between reports, smoothed
	lastSent      time.Time
	firstUnheard  time.Time     // when the first packet left that no report came after; zero when there is none
	steps         int           // reports in a row that contradict the round trip
	settles       int           // reports until the receiver's clock that was set is trusted
	newestSent    time.Duration // when the newest packet that was reported as received left, since epoch
	epoch, theirs time.Time     // what the times in arrivals count from, by our clock and by the receiver's,
	offset        time.Duration // and how much later the second is, as the clocks show it
	arrivals      arrivals
	rate          float64 // of the stream, before the queue that is being emptied
	pause         pause
	pausedAt      time.Time     // when a pause of the path was seen last,
	paused        time.Duration // and how long it was
	reported      samples       // per report: packets lost and reported
	last          sample        // of the newest report
	forgotten     time.Time
	sent          samples // per packet: bytes
	rrLoss        float64
	sentBytes     int64
	sentID        uint64
	cumulative    [idRing]idBytes
	lost          [lostRing]uint64
	lastLost      uint64 // the newest packet lost, and how many were lost in a row with it
	run           int
	ackedBytes    int64
	ackedID       uint64
	reports       reports
}

type idBytes struct {
	id    uint64
	bytes int64
}

const (
	// slopeOver is the least time that the queue's slope is taken over: in less jitter looks like growth. queueReports is how many
	// reports are kept for it: as many of 25 ms as make up slopeOver.
	slopeOver    = 150 * time.Millisecond
	queueReports = 8
)

// tailPackets is how many packets the end of a report is judged by: more than a single spike, and less than a frame.
const tailPackets = 6

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

// queueAt is what a report said: the standing queue, and the smallest delay.
type queueAt struct {
	at       time.Time
	d        time.Duration
	smallest time.Duration
}

func (p *path) onSent(packet *Packet) {
	p.lastSent = packet.Sent
	if p.firstUnheard.IsZero() {
		p.firstUnheard = packet.Sent
	}
	p.sentBytes += int64(packet.Size)
	p.sentID = max(p.sentID, packet.ID)
	p.cumulative[packet.ID%idRing] = idBytes{packet.ID, p.sentBytes}
	p.sent.add(packet.Sent, sample{bytes: packet.Size})
}

// onFeedback takes a report in and tells whether it was news. pacing is the pacer's rate in bits per second.
func (p *path) onFeedback(f *Feedback, pacing float64) bool {
	if f.At.Before(p.lastFeedback) {
		return false
	}
	switch f.Kind {
	case RR:
		p.onReceiverReport(f)
		if p.transport() {
			// It says that the viewer is there, and nothing of the path that transport feedback does not say better and later.
			p.firstUnheard = time.Time{}
			return false
		}
	case NACK:
		if !p.onMissing(f) {
			return false
		}
	case Echo:
		if !p.onEcho(f) {
			return false
		}
	case TWCC, CCFB:
		if p.feedbacks > 0 {
			p.interval += (min(f.At.Sub(p.lastFeedback), 2*time.Second) - p.interval) / 8
		}
		if !p.onTransport(f, pacing) {
			return false
		}
	}
	p.feedbacks++
	p.kind = f.Kind
	p.lastFeedback, p.firstUnheard = f.At, time.Time{}
	return true
}

func (p *path) onRTT(at time.Time, rtt time.Duration) {
	if rtt <= 0 || rtt >= time.Minute {
		return
	}
	if p.rtt == 0 {
		p.rtt = rtt
	}
	p.rtt += (rtt - p.rtt) / 8 // RFC 6298's gain
	p.minRTT.add(at, rtt)
}

// onTransport takes in a report on single packets. What was never sent, or not yet, is left out.
func (p *path) onTransport(f *Feedback, pacing float64) bool {
	if p.epoch.IsZero() {
		p.epoch = f.At.Add(-2 * oldest) // nothing that is looked at was sent before
		p.arrivals.unix = p.epoch.UnixNano()
	}
	var (
		s         sample
		v         arrival
		tail      tail
		smallest  time.Duration
		at        = f.At.Sub(p.epoch)
		forgotten = f.At.Sub(p.forgotten)
		newest    = time.Duration(math.MaxInt64) // how long ago the newest packet was sent
	)
	for i := range f.Packets {
		packet := &f.Packets[i]
		ago := f.At.Sub(packet.Sent)
		if packet.ID == 0 || packet.ID > p.sentID || packet.Size <= 0 || packet.Size > 1<<16 || ago < 0 || ago > oldest {
			continue
		}
		// What is reported is on its way no more, whether it arrived or not.
		if packet.ID > p.ackedID {
			if c := p.cumulative[packet.ID%idRing]; c.id == packet.ID {
				p.ackedID, p.ackedBytes = packet.ID, c.bytes
			}
		}
		lost := &p.lost[packet.ID%lostRing]
		if ago > forgotten {
			continue
		}
		if packet.Lost {
			s.packets++
			s.lost++
			if packet.ID == p.lastLost+1 {
				p.run++
			} else {
				p.run = 1
				s.events++
			}
			if p.lastLost = packet.ID; p.run > runCounts {
				s.runs++
			}
			*lost = packet.ID
			continue
		}
		if *lost == packet.ID { // it was only late
			*lost = 0
			s.lost--
		} else {
			s.packets++
		}
		if p.theirs.IsZero() {
			if p.offset = packet.Arrived.Sub(p.epoch); p.offset > centuries || p.offset < -centuries {
				continue
			}
			p.theirs = packet.Arrived
		}
		sent, arrived := at-ago, packet.Arrived.Sub(p.theirs)
		if arrived > centuries || arrived < -centuries {
			continue
		}
		delay := p.offset + arrived - sent // which is arrival less sending
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
		p.arrivals.packet(packet.Size, sent, arrived, pacing)
		if p.pause.packet(packet.Size, sent, arrived, p.rate) {
			p.pausedAt, p.paused = f.At, p.pause.gap
		}
	}
	if s.packets == 0 && s.lost == 0 && len(f.Packets) == 0 {
		return false
	}
	p.reported.add(f.At, s)
	p.last = s
	if rtt := newest; v.bytes > 0 && at-rtt > p.newestSent { // else the report is late, and tells of a queue that was
		p.newestSent = at - rtt
		p.arrivals.report(v)
		p.onRTT(f.At, rtt)
		p.onDelay(f.At, smallest, max(0, rtt-p.minRTT.get()))
		p.late = 0
		if delay, ok := tail.least(); ok {
			p.late = min(delay-p.base.get(), max(0, rtt-p.minRTT.get())+stepSlack)
		}
	}
	return true
}

// onDelay measures the standing queue. The smallest delay of a report, or of those within the time of a frame, leaves out what the
// packets of a frame wait for each other, and jitter, which is to one side. The round trip holds the queue too, on one clock alone: a delay that rises more than
// it comes from the receiver's clock.
func (p *path) onDelay(at time.Time, smallest, most time.Duration) {
	p.base.add(at, smallest)
	d := smallest - p.base.get()
	slack := stepSlack
	if p.settles > 0 {
		p.settles--
		slack = 0
	}
	if d <= most+slack {
		p.steps = 0
	} else if p.steps++; p.steps >= stepReports || slack == 0 {
		if slack != 0 {
			p.settles = stepSettles
		}
		p.base.reset(at, smallest-most)
		p.steps = 0
	}
	copy(p.queues[:], p.queues[1:])
	newest := &p.queues[queueReports-1]
	*newest = queueAt{at: at, smallest: smallest}
	least := smallest
	for i := queueReports - 2; i >= 0 && p.queues[i].at.Add(p.frame).After(at); i-- {
		least = min(least, p.queues[i].smallest)
	}
	p.queue = max(0, min(least-p.base.get(), most+stepSlack))
	newest.d = p.queue
}

// slope is how fast the standing queue grows, in seconds per second.
func (p *path) slope() float64 {
	last := p.queues[queueReports-1]
	first := last
	for i := queueReports - 2; i >= 0 && last.at.Sub(first.at) < slopeOver; i-- {
		first = p.queues[i]
	}
	over := last.at.Sub(first.at)
	if first.at.IsZero() || over < slopeOver || over > 2*time.Second {
		return 0
	}
	return float64(last.d-first.d) / float64(over)
}

// transport tells whether the peer sends transport feedback.
func (p *path) transport() bool { return !p.reported.empty() }

// loss is the fraction lost lately.
func (p *path) loss(now time.Time) float64 {
	if !p.transport() {
		return p.rrLoss
	}
	s, _ := p.reported.sum(now, lossWindow)
	if s.packets < lossSample {
		return 0
	}
	return max(0, float64(s.lost)/float64(s.packets))
}

// lossApart is loss with each run of lost packets counted as two at most. It takes reports on single packets.
func (p *path) lossApart(now time.Time) float64 {
	s, _ := p.reported.sum(now, lossWindow)
	if s.packets-s.runs < lossSample {
		return 0
	}
	return s.apart()
}

// lossNow is lossApart in the newest reports, for losses so large that few packets show them.
func (p *path) lossNow(now time.Time) float64 {
	s, _ := p.reported.sum(now, lossNowWindow)
	if s.packets-s.runs < lossSample/2 {
		return 0
	}
	return s.apart()
}

// forget leaves what was sent until now out of everything measured: the path was gone, and is back.
func (p *path) forget(now time.Time) {
	p.reported.ring = [slots]sample{}
	p.forgotten = now
}

// trains is arrivals.trains at a moment.
func (p *path) trains(now time.Time) (sent, received float64, ok bool) {
	return p.arrivals.trains(now.Sub(p.epoch))
}

// received and sentRate are in bits per second; 0 when unknown.
func (p *path) received() float64 {
	if !p.transport() {
		return p.reports.received
	}
	return p.arrivals.rate()
}
func (p *path) sentRate(now time.Time) float64 { return p.sent.rate(now, sentWindow) }

// inflight is how many bytes left that no report told of.
func (p *path) inflight() int64 {
	if p.ackedID == 0 {
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
