package adapt

import "time"

const (
	// reportSpan is the least time between two receiver reports that a rate is taken over: a late one and the next may come together.
	reportSpan = 200 * time.Millisecond
	// reportGain smooths the loss of receiver reports, each of which is about a hundred packets or so.
	reportGain = 0.4
	// longestInterval is the most between two receiver reports; see silenceAfterRR.
	longestInterval = 6200 * time.Millisecond
	// Requests for packets again are about one event when they come within gapApart of each other; it is looked at for gapMost.
	gapApart, gapMost = 300 * time.Millisecond, 600 * time.Millisecond
	// echoMost is how far apart two echoes may be to tell of one queue.
	echoMost = 2 * time.Second
	// Receivers that send reports alone may say nothing for patience times the mean time between them, and patienceLeast: a
	// report may be one and a half of it away, and it, or the one after it, may be lost.
	patience      = 3
	patienceLeast = 2 * time.Second
)

// reports is what receivers tell of the path that report on no single packets: once a second, or more seldom, how many were lost, the
// newest packet that arrived, and a round trip; and in between which packets are missing.
//
// The newest packet that arrived and the next one, which had not, bound the delay: the round trip is no longer than the time
// since the first of them was sent, and no shorter than the time since the second was. Where packets wait in a queue these are
// one packet apart. The bytes up to there, over the time between two reports, are what the path carries while there is a queue.
type reports struct {
	at             time.Time     // when the newest receiver report came
	acked, bytes   int64         // up to the newest packet it told of, and sent until it came
	span           time.Duration // since the one before
	received, sent float64       // bits per second since then; received is 0 when unknown
	packets, loss  float64       // since then
	queue, before  time.Duration // that the newest and the one before told of
	overtaken      bool          // the newest was sent before the one before it
	gap            gap
	echo           echo
}

// gap is a stretch of packets from a missing one to another: in between the queue was full, if it is a queue that they were lost in.
type gap struct {
	sample
	after    sample        // what arrived behind the last missing one
	run      int           // of missing packets, at the end
	at       time.Time     // when the newest request came
	from, to time.Time     // when the first and the last missing packet left
	delay    time.Duration // from when the newest that arrived left to the request
}

// echo is a round trip apart from the media.
type echo struct {
	sent  time.Time
	every time.Duration // smoothed
	queue time.Duration
	slope float64 // the queue's growth since the one before, in seconds per second of sending
	over  int     // echoes in a row that met a queue
}

// patience is how long a receiver that sends reports alone may say nothing until the rate falls, and until it counts as gone.
func (p *path) patience() (falls, gone time.Duration) {
	if p.interval == 0 {
		return silenceAfterRR, stalledAfterRR
	}
	falls = min(max(patience*p.interval, patienceLeast)+p.rtt, silenceAfterRR)
	return falls, min(falls+stalledAfter-patienceLeast, stalledAfterRR)
}

// tells returns whether a report can be about a packet.
func (p *path) tells(packet *Packet, at time.Time) bool {
	ago := at.Sub(packet.Sent)
	return packet.ID > 0 && packet.ID <= p.sentID && packet.Size > 0 && packet.Size <= 1<<16 && ago >= 0 && ago <= oldest
}

// acknowledge notes that everything up to a packet arrived or is lost, and returns the bytes sent with it, 0 when it is forgotten.
func (p *path) acknowledge(id uint64) int64 {
	c := p.cumulative[id%idRing]
	if c.id != id {
		return 0
	}
	if id > p.ackedID {
		p.ackedID, p.ackedBytes = id, c.bytes
	}
	return c.bytes
}

// onReceiverReport takes in a receiver report. With transport feedback it only adds to the round trip and the jitter.
func (p *path) onReceiverReport(f *Feedback) {
	p.onRTT(f.At, f.RTT)
	loss := 0.0
	if f.Loss >= 0 && f.Loss <= 1 { // false for NaN
		loss = f.Loss
	}
	if f.Jitter >= 0 && f.Jitter < time.Minute {
		p.jitter = f.Jitter
	}
	if p.transport() {
		return
	}
	r := &p.reports
	span := f.At.Sub(r.at)
	if r.at.IsZero() {
		p.rrLoss = loss
	} else {
		p.rrLoss += reportGain * (loss - p.rrLoss)
		p.interval += (min(span, longestInterval) - p.interval) / 4
		if p.interval < span/2 { // the first
			p.interval = min(span, longestInterval)
		}
	}
	queue, ok := p.reportedQueue(f)
	if r.overtaken = !ok; !ok {
		return
	}
	r.loss, r.before, r.queue, p.queue = loss, r.queue, queue, queue
	r.received, r.sent, r.packets = 0, 0, 0
	if !r.at.IsZero() && span < reportSpan {
		return // the next is about this time, too
	}
	if !r.at.IsZero() && r.acked > 0 && p.ackedBytes >= r.acked {
		arrived := float64(p.ackedBytes - r.acked)
		r.received = arrived * (1 - loss) * 8 / span.Seconds()
		r.packets = arrived / (packetBits / 8)
	}
	r.sent = float64(p.sentBytes-r.bytes) * 8 / max(span, reportSpan).Seconds()
	r.at, r.span, r.acked, r.bytes = f.At, span, p.ackedBytes, p.sentBytes
}

// reportedQueue is the standing queue by a report: what the round trip is over its smallest, within what the newest packets allow. It is
// not ok where a later report came before.
func (p *path) reportedQueue(f *Feedback) (queue time.Duration, ok bool) {
	least, most := time.Duration(0), oldest
	for i := range f.Packets {
		packet := &f.Packets[i]
		switch {
		case !p.tells(packet, f.At):
		case !packet.Lost && packet.ID < p.ackedID:
			return 0, false
		case packet.Lost && packet.Sent.Before(p.reports.echo.sent.Add(-reportSlack)):
			return 0, false // an echo that was sent after it is back
		case packet.Lost:
			least = f.At.Sub(packet.Sent)
		case p.acknowledge(packet.ID) > 0:
			if most = f.At.Sub(packet.Sent); most > 0 {
				p.minRTT.add(f.At, most)
			}
		}
	}
	rtt := f.RTT
	if rtt <= 0 || rtt > oldest {
		rtt = least
	}
	if rtt = min(max(rtt, least), most); rtt == 0 {
		return 0, true
	}
	return max(0, rtt-p.minRTT.get()), true
}

// onMissing takes in a request for packets again, and returns whether it was news.
func (p *path) onMissing(f *Feedback) bool {
	n := len(f.Packets) - 1
	if n < 1 || p.transport() {
		return false
	}
	newest := &f.Packets[n]
	if newest.Lost || !p.tells(newest, f.At) || newest.ID <= p.ackedID || p.acknowledge(newest.ID) == 0 {
		return false
	}
	g := &p.reports.gap
	if f.At.Sub(g.at) > gapApart || f.At.Sub(g.from) > gapMost {
		*g = gap{}
	}
	for i := range f.Packets {
		packet := &f.Packets[i]
		switch {
		case !p.tells(packet, f.At) || g.lost == 0 && !packet.Lost:
			continue
		case !packet.Lost:
			g.run = 0
			g.after.packets++
			g.after.bytes += packet.Size
			continue
		case g.from.IsZero():
			g.from = packet.Sent
		}
		g.packets += g.after.packets + 1
		g.bytes += g.after.bytes + packet.Size
		g.after, g.to = sample{}, packet.Sent
		g.lost++
		if g.run++; g.run > runCounts {
			g.runs++
		}
	}
	g.at, g.delay = f.At, f.At.Sub(newest.Sent)
	return g.lost > 0
}

// onEcho takes in a round trip apart from the media.
func (p *path) onEcho(f *Feedback) bool {
	if f.RTT <= 0 || f.RTT > oldest || p.transport() {
		return false
	}
	p.onRTT(f.At, f.RTT)
	e := &p.reports.echo
	now := echo{sent: f.At.Add(-f.RTT), every: e.every, queue: max(0, f.RTT-p.minRTT.get())}
	if d := now.sent.Sub(e.sent); d > 0 && d < echoMost {
		now.slope = float64(now.queue-e.queue) / float64(d)
		now.over = e.over
		now.every += (d - now.every) / 4
	}
	*e = now
	p.queue = now.queue
	return true
}
