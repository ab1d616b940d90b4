package path

import (
	"time"

	"wavryhost/adapt/tuning"
)

const (
	// rateWindow is the longest time that rates look back.
	rateWindow = time.Second
	// baseWindow is how many seconds the smallest delay is remembered; a route change or clock skew shows after this
	// long.
	baseWindow = 30
	// idRing is how many packets the in-flight figure reaches back; at 20 Mbit/s, 2 seconds.
	idRing = 4096
	// lostRing is how many lost packets are remembered, in case they were only late.
	lostRing = 512
	// PacketBits is one full packet.
	PacketBits = 1200 * 8
)

// Path is the network path to one receiver, as its reports show it. All durations count by the sender's clock, except
// where they are differences of the receiver's. Its zero value is ready for use.
type Path struct {
	// RTT is the smoothed round trip and Jitter the newest interarrival jitter; 0 when unknown.
	RTT, Jitter time.Duration
	// Queue is the standing queue, and Tail the queue that the last packets of the newest report met.
	Queue, Tail time.Duration
	// Interval is the smoothed time between reports.
	Interval time.Duration
	// LastSent is when a packet left last, LastFeedback when a report came last.
	LastSent, LastFeedback time.Time

	minRTT       windowMin
	firstUnheard time.Time // when the first packet left that no report came after; zero when there is none
	forgotten    time.Time
	sent         Counts // per packet: bytes
	sentBytes    int64
	sentID       uint64
	cumulative   [idRing]idBytes
	ackedBytes   int64
	ackedID      uint64
	transport    transport
	reports      reports
}

type idBytes struct {
	id    uint64
	bytes int64
}

// OnSent takes in a packet that left the pacer.
func (p *Path) OnSent(packet *Packet) {
	p.LastSent = packet.Sent
	if p.firstUnheard.IsZero() {
		p.firstUnheard = packet.Sent
	}
	p.sentBytes += int64(packet.Size)
	p.sentID = max(p.sentID, packet.ID)
	p.cumulative[packet.ID%idRing] = idBytes{packet.ID, p.sentBytes}
	p.sent.Add(packet.Sent, Count{Bytes: packet.Size})
}

// OnFeedback takes in a report. It returns false where the report has no news of the path.
func (p *Path) OnFeedback(f *Feedback, by Sending) (s Sample, ok bool) {
	if f.At.Before(p.LastFeedback) {
		return Sample{}, false
	}
	switch {
	case f.Kind.Complete():
		s, ok = p.onTransport(f, by)
	case f.Kind == RR:
		if f.Jitter >= 0 && f.Jitter < time.Minute {
			p.Jitter = f.Jitter
		}
		p.onRTT(f.At, f.RTT)
		if p.Complete() {
			// It says that the viewer is there, and nothing of the path that transport feedback does not say better.
			p.firstUnheard = time.Time{}
			return Sample{}, false
		}
		s, ok = p.onReceiverReport(f, by), true
	case p.Complete():
		return Sample{}, false
	case f.Kind == NACK:
		s, ok = p.onMissing(f)
	case f.Kind == Echo:
		s, ok = p.onEcho(f)
	}
	if !ok {
		return Sample{}, false
	}
	s.At, s.Kind = f.At, f.Kind
	p.LastFeedback, p.firstUnheard = f.At, time.Time{}
	return s, true
}

func (p *Path) onRTT(at time.Time, rtt time.Duration) {
	if rtt <= 0 || rtt >= time.Minute {
		return
	}
	if p.RTT == 0 {
		p.RTT = rtt
	}
	p.RTT += (rtt - p.RTT) / time.Duration(tuning.RTTGain)
	p.minRTT.add(at, rtt)
}

// Complete reports whether the receiver's reports cover every packet.
func (p *Path) Complete() bool { return !p.transport.reported.Empty() }

// MinRTT is the smallest round trip lately, 0 when unknown.
func (p *Path) MinRTT() time.Duration { return p.minRTT.get() }

// Lately sums the packets that were reported lately: in the last 0.8 s, or by the last three receiver reports.
func (p *Path) Lately(now time.Time) Count {
	if !p.Complete() {
		return p.reports.lately()
	}
	c, _ := p.transport.reported.Sum(now, tuning.LossWindow)
	return c
}

// JustNow sums the packets of the last moments: of the last 0.3 s, or of the newest receiver report.
func (p *Path) JustNow(now time.Time) Count {
	if !p.Complete() {
		return p.reports.recent[0]
	}
	c, _ := p.transport.reported.Sum(now, tuning.LossNowWindow)
	return c
}

// Excuse leaves the losses of the newest receiver report out of Lately: a queue that overflowed explains them.
func (p *Path) Excuse() { p.reports.recent[0].Lost = 0 }

// Loss returns the fraction lost lately; 0 when too few packets were reported to tell.
func (p *Path) Loss(now time.Time) float64 {
	c := p.Lately(now)
	if c.Packets < tuning.LossPackets {
		return 0
	}
	return c.Loss()
}

// Forget leaves the packets sent until now out of everything measured: the path was gone, and is back.
func (p *Path) Forget(now time.Time) {
	p.transport.reported.ring = [slots]Count{}
	p.reports.recent = [recentReports]Count{}
	p.forgotten = now
}

// Trains returns the rates at which frames left and arrived lately, in bits per second; see arrivals.trains.
func (p *Path) Trains(now time.Time) (sent, received float64, ok bool) {
	return p.transport.arrivals.trains(now.Sub(p.transport.epoch))
}

// Received is the delivered rate in bits per second, 0 when unknown.
func (p *Path) Received() float64 {
	if !p.Complete() {
		return p.reports.received
	}
	return p.transport.arrivals.rate()
}

// SentRate is the sent rate in bits per second, 0 when unknown.
func (p *Path) SentRate(now time.Time) float64 { return p.sent.Rate(now, tuning.SentWindow) }

// Inflight is the number of bytes that left and that no report covered.
func (p *Path) Inflight() int64 {
	if p.ackedID == 0 {
		return 0
	}
	return p.sentBytes - p.ackedBytes
}

// Silence is how long the receiver has not reported on what was sent.
func (p *Path) Silence(now time.Time) time.Duration {
	if p.firstUnheard.IsZero() {
		return 0
	}
	return max(0, now.Sub(p.firstUnheard))
}

// SeenAfter is the time until a change of the sending rate shows in a sample: a round trip, and the time until a
// report.
func (p *Path) SeenAfter() time.Duration {
	seen := p.Interval
	if every := p.reports.echo.every; every > 0 && (seen == 0 || 2*every < seen) {
		seen = 2 * every // it takes two echoes
	}
	return seen + p.RTT
}

// believable reports whether a report can be about a packet.
func (p *Path) believable(packet *Packet, at time.Time) bool {
	ago := at.Sub(packet.Sent)
	return packet.ID > 0 && packet.ID <= p.sentID && packet.Size > 0 && packet.Size <= 1<<16 && ago >= 0 &&
		ago <= tuning.Oldest
}

// acknowledge notes that every packet up to id arrived or is lost. It returns the bytes sent up to there, 0 when
// forgotten.
func (p *Path) acknowledge(id uint64) int64 {
	c := p.cumulative[id%idRing]
	if c.id != id {
		return 0
	}
	if id > p.ackedID {
		p.ackedID, p.ackedBytes = id, c.bytes
	}
	return c.bytes
}
