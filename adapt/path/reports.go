package path

import (
	"math"
	"time"

	"wavryhost/adapt/tuning"
)

const (
	// recentReports is how many receiver reports loss looks back at.
	recentReports = 3
)

// reports follows receivers that report on no single packets: once a second, or more seldom, how many were lost, the
// newest packet that arrived, and a round trip; and in between which packets are missing.
//
// The newest packet that arrived and the next one, which had not, bound the delay: the round trip is no longer than
// the time since the first of them was sent, and no shorter than the time since the second was. Where packets wait in
// a queue these are one packet apart. The bytes up to there, over the time between two reports, are what the path
// carries while there is a queue.
type reports struct {
	at           time.Time     // when the newest receiver report came
	acked, bytes int64         // up to the newest packet that it covers, and sent until it arrived
	received     float64       // bits per second since the one before; 0 when unknown
	queue        time.Duration // by the newest receiver report
	seen         time.Duration // the queue by the newest report or echo, at seenAt
	seenAt       time.Time
	recent       [recentReports]Count // newest first
	gap          gap
	echo         echo
}

// gap is a stretch of packets from a missing one to another: in between the queue was full, if they were lost in a
// queue.
type gap struct {
	Count
	after    Count     // what arrived behind the last missing one
	run      int       // of missing packets, at the end
	at       time.Time // when the newest request came
	from, to time.Time // when the first and the last missing packet left
}

// echo is a round trip apart from the media.
type echo struct {
	sent  time.Time
	every time.Duration // smoothed
	queue time.Duration
}

func (r *reports) lately() (c Count) {
	for i := range r.recent {
		c.Add(r.recent[i])
	}
	return c
}

// Patience is how long the receiver may say nothing until the rate falls, and until it counts as gone.
func (p *Path) Patience(falls, gone time.Duration) (time.Duration, time.Duration) {
	switch {
	case p.Complete():
		return falls + p.RTT, gone
	case p.Interval == 0:
		return tuning.SilentMost, tuning.GoneMost
	}
	falls = min(max(time.Duration(tuning.SilentReports)*p.Interval, tuning.SilentLeast)+p.RTT, tuning.SilentMost)
	return falls, min(falls+tuning.Patience, tuning.GoneMost)
}

// onReceiverReport takes in a receiver report of a receiver that sends no transport feedback.
func (p *Path) onReceiverReport(f *Feedback, by Sending) Sample {
	r := &p.reports
	span := f.At.Sub(r.at)
	s := Sample{Span: span, From: r.at.Add(-p.RTT)}
	if !r.at.IsZero() {
		p.Interval += (min(span, tuning.LongestInterval) - p.Interval) / 4
		if p.Interval < span/2 { // the first
			p.Interval = min(span, tuning.LongestInterval)
		}
	}
	before := r.queue
	if s.Queue, s.Fresh = p.reportedQueue(f); !s.Fresh {
		return s
	}
	s.Paused = r.pause(f.At, s.Queue)
	r.queue, p.Queue, p.Tail = s.Queue, s.Queue, 0
	r.received = 0
	if !r.at.IsZero() && span < tuning.ReportSpan {
		return s // the next is about this time, too
	}
	loss := 0.0
	if f.Loss >= 0 && f.Loss <= 1 { // false for NaN
		loss = f.Loss
	}
	sent := p.sentBytes - r.bytes
	arrived := sent
	if !r.at.IsZero() && r.acked > 0 && p.ackedBytes >= r.acked {
		arrived = p.ackedBytes - r.acked
		r.received = min(float64(arrived)*(1-loss)*8/span.Seconds(), tuning.MostFaster*max(p.SentRate(f.At), by.Rate))
	}
	if !r.at.IsZero() {
		packets := float64(arrived) / (PacketBits / 8)
		s.Count = Count{Bytes: int(arrived), Packets: int(math.Round(packets)), Lost: int(math.Round(packets * loss))}
		s.Count.Events = s.Count.Lost
		copy(r.recent[1:], r.recent[:])
		r.recent[0] = s.Count
	}
	s.Sent = float64(sent) * 8 / max(span, tuning.ReportSpan).Seconds()
	s.Arrived, s.Sure = capacity(r.received, s.Sent, s.Queue, before, span)
	r.at, r.acked, r.bytes = f.At, p.ackedBytes, p.sentBytes
	return s
}

// pause takes in a queue, and returns the time since the one before where that was none, but a pause or a report that
// came late: a queue empties by a second each second at most.
func (r *reports) pause(at time.Time, queue time.Duration) (paused time.Duration) {
	if since := at.Sub(r.seenAt); queue < r.seen-since-tuning.Reaction {
		paused = since
	}
	r.seen, r.seenAt = queue, at
	return paused
}

// capacity returns what the path carried while a queue grew during span, and whether that is sure enough to be
// remembered.
func capacity(arrived, sent float64, queue, before, span time.Duration) (rate float64, sure bool) {
	grew := (queue - before).Seconds()
	if arrived == 0 || before >= tuning.WasQueue || grew <= 0 || grew >= span.Seconds() {
		return arrived, arrived > 0
	}
	// The queue came in between. At the soonest right after the report before, and then what arrived since is what the
	// path carries; at the latest so that it carries nothing since. In the middle of the two:
	middle := sent * (span.Seconds() - grew) / (span.Seconds() + grew)
	return min(arrived, middle), middle > tuning.SureShare*arrived
}

// reportedQueue is the standing queue by a report: the round trip over its smallest, within what the newest packets
// allow. It is not ok where a later report came before.
func (p *Path) reportedQueue(f *Feedback) (queue time.Duration, ok bool) {
	least, most := time.Duration(0), tuning.Oldest
	for i := range f.Packets {
		packet := &f.Packets[i]
		switch {
		case !p.believable(packet, f.At):
		case !packet.Lost && packet.ID < p.ackedID:
			return 0, false
		case packet.Lost && packet.Sent.Before(p.reports.echo.sent.Add(-tuning.Reaction)):
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
	if rtt <= 0 || rtt > tuning.Oldest {
		rtt = least
	}
	if rtt = min(max(rtt, least), most); rtt == 0 {
		return 0, true
	}
	return max(0, rtt-p.minRTT.get()), true
}

// onMissing takes in a request for retransmissions. It is a sample once it shows an overflow.
func (p *Path) onMissing(f *Feedback) (Sample, bool) {
	n := len(f.Packets) - 1
	if n < 1 {
		return Sample{}, false
	}
	newest := &f.Packets[n]
	if newest.Lost || !p.believable(newest, f.At) || newest.ID <= p.ackedID || p.acknowledge(newest.ID) == 0 {
		return Sample{}, false
	}
	g := &p.reports.gap
	if f.At.Sub(g.at) > tuning.GapApart || f.At.Sub(g.from) > tuning.GapMost {
		*g = gap{}
	}
	for i := range f.Packets {
		packet := &f.Packets[i]
		switch {
		case !p.believable(packet, f.At) || g.Lost == 0 && !packet.Lost:
			continue
		case !packet.Lost:
			g.run = 0
			g.after.Packets++
			g.after.Bytes += packet.Size
			continue
		case g.from.IsZero():
			g.from = packet.Sent
		}
		g.Packets += g.after.Packets + 1
		g.Bytes += g.after.Bytes + packet.Size
		g.after, g.to = Count{}, packet.Sent
		g.Lost++
		if g.run++; g.run > tuning.RunCounts {
			g.Runs++
		}
	}
	g.at = f.At
	from, over := g.from, g.to.Sub(g.from)
	queue, share := max(0, f.At.Sub(newest.Sent)-p.minRTT.get()), tuning.GapSure
	if queue >= tuning.WasQueue {
		share = tuning.GapQueued
	}
	if over < tuning.GapSpan || g.Lost-g.Runs < tuning.GapLost || g.Apart() < share {
		return Sample{}, false
	}
	sent, c := float64(g.Bytes)*8/over.Seconds(), g.Count
	*g = gap{}
	return Sample{
		From: from, Span: over, Fresh: true, Queue: queue,
		Sent: sent, Arrived: sent * (1 - c.Loss()), Sure: true, Count: c,
	}, true
}

// onEcho takes in a round trip apart from the media. The growth of the queue while the media was sent shows what the
// path carries.
func (p *Path) onEcho(f *Feedback) (Sample, bool) {
	if f.RTT <= 0 || f.RTT > tuning.Oldest {
		return Sample{}, false
	}
	p.onRTT(f.At, f.RTT)
	e := &p.reports.echo
	s := Sample{Fresh: true, Queue: max(0, f.RTT-p.minRTT.get()), Sent: p.SentRate(f.At)}
	sent := f.At.Add(-f.RTT)
	if d := sent.Sub(e.sent); d > 0 && d < tuning.EchoMost {
		s.Span, s.From = d, e.sent
		s.Growth = float64(s.Queue-e.queue) / float64(d)
		if e.every == 0 {
			e.every = d
		}
		e.every += (d - e.every) / 4
	}
	s.Paused = p.reports.pause(f.At, s.Queue)
	if s.Growth > 0 {
		s.Arrived = s.Sent / (1 + s.Growth)
	}
	e.sent, e.queue, p.Queue, p.Tail = sent, s.Queue, s.Queue, 0
	return s, true
}

// Overdue returns a sample where echoes stay away: an echo that was sent as long after the newest one as that was
// after the one before has met a queue of at least the time that it stays away for. high is the queue that is worth a
// sample.
func (p *Path) Overdue(now time.Time, high time.Duration) (Sample, bool) {
	e := &p.reports.echo
	if e.every == 0 || now.Sub(e.sent) < 2*e.every+p.minRTT.get()+2*high { // a single one may be lost
		return Sample{}, false
	}
	away := now.Sub(e.sent) - e.every - p.minRTT.get()
	if away >= tuning.EchoMost {
		return Sample{}, false
	}
	sent, growth := p.SentRate(now), away.Seconds()/e.every.Seconds()
	return Sample{
		At: now, Kind: Echo, From: e.sent, Span: e.every, Queue: away, Sent: sent, Growth: growth,
		Arrived: sent / (1 + growth),
	}, true
}

// Stands reports whether the newest echo says that a queue longer than high is still there.
func (p *Path) Stands(now time.Time, high time.Duration) bool {
	e := &p.reports.echo
	return e.every > 0 && e.queue > high && now.Sub(e.sent) < 2*e.every+e.queue+p.minRTT.get()
}
