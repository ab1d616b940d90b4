package adapt

import (
	"math"
	"time"
)

const (
	// With receiver reports alone the queue is known once a second. reportHigh makes the rate fall and reportLow lets it rise: a round trip
	// is one sample, and has the jitter of both ways.
	reportHigh, reportLow = 40 * time.Millisecond, 20 * time.Millisecond
	// A rise of so much per second makes half of it, times the square of the time until it is seen, of queue: reportQueue at most, but
	// no rise is slower than reportLeast or faster than rampMost.
	reportQueue = 80 * time.Millisecond
	reportLeast = 0.03
	// reportStep is the most time that a report lets the rate rise for.
	reportStep = 3 * time.Second
	// reportNear is how far above the capacity that was seen the careful rise goes; beyond it the path has become wider.
	reportNear = 1.1
	// The queue is emptied within reportEmpty where half of the capacity suffices for that.
	reportEmpty = 500 * time.Millisecond
	// reportSure is the share of what arrived that the capacity may have been at least, for a first report of a queue to tell it.
	reportSure = 0.8
	// reportSlack is how much sooner than a queue can empty one may be gone that was no report that came late.
	reportSlack = 50 * time.Millisecond
	// reportDrain is the longest that the target stays low for a queue without another report.
	reportDrain = 3 * time.Second
	// A request for packets again shows a queue that overflows, if gapLost packets of gapSpan of sending are missing and more than
	// gapShare of all, behind a queue, or gapSure without one: each run of them counted as two, since a radio loses in bursts.
	gapLost           = 6
	gapSpan           = 60 * time.Millisecond
	gapShare, gapSure = 0.2, 0.4
)

// byReports is what the law remembers for peers that send receiver reports alone.
type byReports struct {
	emptyAt time.Time     // when the queue that was cut for will have emptied; zero when there is none
	from    float64       // the target before
	queue   time.Duration // that was cut for,
	seen    time.Time     // and when it was seen
	missed  time.Time     // when missing packets were cut for last
	loss    float64       // lately, without a queue
	lost    float64       // packets since the rate is held for it
	held    bool          // the newest report forbids a rise
	raised  time.Time     // when a rise was decided on last
}

// reportThresholds are reportLow and reportHigh, on slow links as many packets.
func (l *law) reportThresholds() (low, high time.Duration) {
	packet := packetBits / l.target * float64(time.Second)
	return max(reportLow, time.Duration(lowPackets*packet)), max(reportHigh, time.Duration(highPackets*packet))
}

// onReceiverReport is the law for peers without transport feedback: once a second the bytes that arrived, a round trip and a loss.
func (l *law) onReceiverReport(now time.Time, p *path) {
	if l.begun.IsZero() {
		l.begun = now
	}
	r, b := &p.reports, &l.reports
	if r.overtaken {
		return
	}
	low, high := l.reportThresholds()
	q := r.queue
	if q > high {
		l.losses.queuedAt = now
	}
	if l.rivals.on {
		l.competeByReports(now, p, high)
		return
	}
	if d := &l.drain; d.on {
		d.mark = max(d.mark, q)
		if q < highQueue {
			d.shortAt = now
		}
		if !d.fell && l.target <= max(rivalsShare*d.from, float64(l.min)/rivalsShare) {
			d.fell, d.mark, d.markAt = true, q, now
		}
		if q < time.Duration(drainStep*float64(d.mark)) {
			d.mark, d.markAt = q, now
		}
		if q <= low {
			l.gone(now, q, r.received)
		} else if l.rivalsFound(now) {
			l.meetRivals(now, q)
			return
		}
	}
	if l.networkLimited(now, p) {
		l.guard(now, r.loss, int(r.packets), r.received)
	}
	if q > high {
		l.overuseByReports(now, p)
		b.held = true
	} else {
		b.held = l.onReportedLoss(now, p)
	}
	l.raiseByReports(now, p, q <= low)
}

// overuseByReports cuts the target for a queue that a receiver report told of.
func (l *law) overuseByReports(now time.Time, p *path) {
	r := &p.reports
	if !l.networkLimited(now, p) && r.received >= lag*r.sent {
		return // all of the little that is sent arrives: the queue is not ours
	}
	c, sure := r.received, true
	switch grew := (r.queue - r.before).Seconds(); {
	case c == 0: // nobody knows what arrived
		sure = false
		c = l.target * (1 - min(0.5, r.queue.Seconds()/emptyQueue.Seconds()))
	case r.before >= reportHigh:
		l.capacityAt = time.Time{} // it is measured, and counts in the place of all before
	case grew > 0 && grew < r.span.Seconds():
		// The queue came in between. At the soonest right after the report before, and then what arrived since is what the
		// path carries; at the latest so that it carries nothing since. In the middle of the two:
		middle := r.sent * (r.span.Seconds() - grew) / (r.span.Seconds() + grew)
		sure = middle > reportSure*c
		c = min(c, middle)
	}
	l.drainTo(now, p, c, r.queue, ReasonQueueDelay)
	if !sure {
		l.capacityAt = time.Time{} // it counts for the return alone
	}
}

// drainTo cuts the target below a capacity for as long as the queue takes to empty.
func (l *law) drainTo(now time.Time, p *path, capacity float64, queue time.Duration, why Reason) {
	b := &l.reports
	capacity = max(capacity, float64(l.min)/2)
	l.learn(now, capacity)
	if !l.drain.on {
		l.drain = drain{on: true, from: l.target, since: now, mark: queue, markAt: now}
		b.from = l.target
	}
	b.queue, b.seen = queue, now
	// What is on its way beyond what the path holds without a queue waits in one.
	waits := max(queue.Seconds(), float64(p.inflight())*8/capacity-p.minRTT.get().Seconds())
	give := min(0.5, max(waits, 0)/reportEmpty.Seconds())
	next := cutShare * capacity * (1 - give)
	b.emptyAt = now.Add(min(time.Duration(waits/(1-next/capacity)*float64(time.Second)), reportDrain))
	if next < l.target {
		l.target, l.cutAt, l.lastCause = next, now, why
	}
}

// emptied lets the rate return to what the path carries.
func (l *law) emptied(received float64) {
	l.reports.emptyAt = time.Time{}
	l.target = max(l.target, min(max(returnShare*l.capacity, cutShare*received), l.reports.from))
}

// plan ends a cut when the queue must have emptied: the report that will tell so is a second away.
func (l *law) plan(now time.Time, p *path) {
	if l.overdue(now, p) {
		return
	}
	if at := l.reports.emptyAt; !at.IsZero() && !now.Before(at) && !l.stands(now, p) {
		p.queue = 0 // as far as is known
		l.emptied(0)
		l.clamp()
	}
}

// stands reports whether an echo says that the queue that was cut for is still there.
func (l *law) stands(now time.Time, p *path) bool {
	e, b := &p.reports.echo, &l.reports
	_, high := l.reportThresholds()
	return e.every > 0 && e.queue > high && now.Sub(e.sent) < 2*e.every+e.queue+p.minRTT.get() && now.Sub(b.seen) < reportDrain
}

// overdue tells whether echoes stay away, and cuts for it: one that was sent as long after the newest as that was after the one before has
// met a queue of at least the time that it stays away for, which has grown since the newest was sent.
func (l *law) overdue(now time.Time, p *path) bool {
	e := &p.reports.echo
	_, high := l.reportThresholds()
	if e.every == 0 || now.Sub(e.sent) < 2*e.every+p.minRTT.get()+2*high { // a single one may be lost
		return false
	}
	away := now.Sub(e.sent) - e.every - p.minRTT.get()
	if !l.drain.on && !l.rivals.on && away < echoMost && e.sent.After(l.cutAt) && l.networkLimited(now, p) {
		l.losses.queuedAt = now
		l.drainTo(now, p, l.target/(1+away.Seconds()/e.every.Seconds()), away, ReasonQueueDelay)
		l.capacityAt = time.Time{}
		l.clamp()
	}
	return away < echoMost
}

// gone returns to what the path carries when a queue is seen to have emptied.
func (l *law) gone(now time.Time, queue time.Duration, received float64) {
	b := &l.reports
	l.drain.on = false
	// A queue empties by a second each second at most. What is gone sooner was none, but a report that came late.
	if b.queue > 0 && queue < b.queue-now.Sub(b.seen)-reportSlack {
		l.target, l.capacityAt = max(l.target, b.from), time.Time{}
	}
	b.queue = 0
	l.emptied(received)
}

// raiseByReports lets the target rise, where nothing forbids it.
func (l *law) raiseByReports(now time.Time, p *path, free bool) {
	step := min(max(now.Sub(l.reports.raised), 0), reportStep).Seconds()
	first := l.reports.raised.IsZero()
	l.reports.raised = now
	if first || !free || l.reports.held || l.drain.on || !l.networkLimited(now, p) {
		return
	}
	seen := p.interval
	if every := p.reports.echo.every; every > 0 && (seen == 0 || 2*every < seen) {
		seen = 2 * every // it takes two of them
	}
	seconds := (seen + p.rtt + reaction).Seconds()
	share := min(max(2*reportQueue.Seconds()/(seconds*seconds), reportLeast), rampMost)
	known := l.capacity > 0 && now.Sub(l.capacityAt) < capacityFor
	if known && l.target >= nearFrom*l.capacity && l.target <= reportNear*l.capacity {
		near := reportLeast
		if now.Sub(l.begun) < newFor {
			near = othersMost
		}
		share = min(share, max(near, packetBits/2/nearEvery.Seconds()/l.target))
	}
	next := l.target * (1 + share*step)
	if known && l.target < nearFrom*l.capacity {
		next = max(min(next, nearFrom*l.capacity), l.target)
	}
	l.target = next
}

// onReportedLoss reacts to loss without a queue, and tells whether the rate must not rise. As with transport feedback a cut is an
// experiment: if it cures the loss it was a limit, else the link loses by itself.
func (l *law) onReportedLoss(now time.Time, p *path) bool {
	s, r, b := &l.losses, &p.reports, &l.reports
	if now.Sub(s.queuedAt) < r.span+p.rtt {
		s.judgeAt = time.Time{}
		return false // a queue that overflowed loses, and was cut for
	}
	b.loss += reportGain * (r.loss - b.loss)
	loss := b.loss
	if r.loss > heavyLoss {
		loss = max(loss, r.loss)
	}
	l.fade(now, loss)
	if !s.judgeAt.IsZero() {
		if now.Add(-r.span).Sub(s.cutAt) > p.rtt { // all that it tells of left after the cut
			s.after.packets += int(r.packets)
			s.after.lost += int(math.Round(r.packets * r.loss))
		}
		if now.Before(s.judgeAt) || s.after.packets < lossSample && now.Before(s.judgeAt.Add(judgeMost)) {
			return true
		}
		s.judgeAt = time.Time{}
		left := float64(s.after.lost) / float64(max(1, s.after.packets))
		if left > holdLoss/2 {
			l.outlast(now, p, left)
			return true
		}
		s.trying, s.trials, s.renewing = false, 0, false
		if s.rate > 0 {
			l.learn(now, s.rate)
		}
		return true
	}
	// At the floor a cut cures nothing: to rise is what can be tried.
	hold := loss > max(holdLoss, s.limit) && (l.target > reportNear*float64(l.min) || loss > heavyLoss)
	b.lost += r.loss * r.packets
	if !hold {
		s.heldSince, b.lost = now, 0
	}
	limit := max(cutLoss, s.limit)
	if now.Sub(s.heldSince) > heldLong {
		limit = max(holdLoss, s.limit) // it is time to know
	}
	if hold && loss > limit && b.lost >= straysMost-0.5 {
		if !s.trying {
			s.trying, s.before, s.at = true, l.target, loss
		}
		l.cutForLoss(now, p, (1-min(loss, 0.5))*cutShare*max(min(l.target, r.sent), float64(l.min)), r.received, ReasonLoss)
		return true
	}
	return hold
}

// onMissing cuts for a queue that overflows: what requests for packets again show of it long before a report does. The rest of what was
// sent meanwhile is what the path carries.
func (l *law) onMissing(now time.Time, p *path) {
	g := &p.reports.gap
	over := g.to.Sub(g.from)
	if l.rivals.on || over < gapSpan || g.lost-g.runs < gapLost || g.from.Before(l.reports.missed) {
		return
	}
	queue := max(0, g.delay-p.minRTT.get())
	share, limit := g.apart(), gapShare
	if queue < reportHigh {
		limit = gapSure
	}
	if share < max(limit, 2*l.losses.limit) {
		return
	}
	c := float64(g.bytes) * 8 / over.Seconds() * (1 - float64(g.lost)/float64(g.packets))
	if c >= l.target {
		return
	}
	if queue >= reportHigh {
		l.losses.queuedAt = now
	}
	l.drainTo(now, p, c, queue, ReasonLoss)
	*g, l.reports.missed = gap{}, now
}

// onEcho cuts for a queue that two echoes met: what the queue grew by while the media was sent tells what the path carries. One that meets
// none ends a cut.
func (l *law) onEcho(now time.Time, p *path) {
	e := &p.reports.echo
	low, high := l.reportThresholds()
	if e.queue > high {
		e.over++
	} else {
		e.over = 0
	}
	if l.rivals.on || e.sent.Add(-e.every).Before(l.cutAt) {
		return
	}
	switch {
	case e.over >= 2 && e.slope > steep && l.networkLimited(now, p):
		l.losses.queuedAt = now
		l.drainTo(now, p, l.target/(1+e.slope), e.queue, ReasonQueueDelay)
	case e.queue <= low && l.drain.on:
		l.gone(now, e.queue, 0)
	}
	l.raiseByReports(now, p, e.queue <= low)
}

// competeByReports shares a queue that others fill; see compete.
func (l *law) competeByReports(now time.Time, p *path, high time.Duration) {
	q := p.reports.queue
	step := min(max(now.Sub(l.reported), 0), 1500*time.Millisecond).Seconds()
	if l.rivalsLeft(now, q, high, time.Duration(float64(l.rivals.top)*min(1, step/rivalsMemory.Seconds()/2))) {
		return
	}
	switch {
	case q > l.goal():
		l.target *= rivalsYield
	case p.reports.loss > max(rivalsLoss, l.losses.limit):
		l.target *= rivalsCut
	case l.networkLimited(now, p):
		l.target += max(packetBits/nearEvery.Seconds(), rivalsRise*l.target) * step
	}
	l.lastCause = ReasonCompetingTraffic
}
