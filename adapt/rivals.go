package adapt

import "time"

const (
	// rivalsAfter is how long a queue must stand after the rate fell to rivalsShare of what it was, for somebody else to
	// be filling it. Before that it is one's own as well as theirs.
	rivalsAfter = 2500 * time.Millisecond
	rivalsShare = 0.6
	// rivalsGone is how long the queue must be gone for the others to have gone: TCP leaves a trough after each loss.
	rivalsGone = 1500 * time.Millisecond
	// rivalsLoss is the loss that a shared queue is given way at: a second has a single overflow in it, of few packets.
	rivalsLoss = 0.004
	// drainStep is how much shorter a queue must have become to be one that empties, if slowly: on a link that is mostly somebody
	// else's, one's own cut is little against what stands there.
	drainStep = 0.7
	// The queue accepted is rivalsQueue times the longest of the last rivalsMemory, at most a cap by preference: beyond it a
	// remote desktop is not usable, whatever its rate.
	rivalsQueue  = 1.25
	rivalsMemory = 2 * time.Second
	// rivalsRise is the least rise per second, rivalsCut what is left after a loss, and rivalsYield after a queue beyond
	// what is accepted.
	rivalsRise  = 0.05
	rivalsCut   = 0.85
	rivalsYield = 0.9
)

// rivals is the state in which others hold the queue: TCP, that only yields to loss.
type rivals struct {
	on    bool
	top   time.Duration // the longest queue lately
	since time.Time
	cutAt time.Time
	quiet since // the queue is gone
}

// accepted is the longest queue that is competed in.
func (l *law) accepted() time.Duration {
	switch l.prefer {
	case Latency:
		return 150 * time.Millisecond
	case Quality:
		return 600 * time.Millisecond // GoogCC's highest threshold
	case Balanced:
	}
	return 400 * time.Millisecond // SCReAM's, RFC 8298
}

func (l *law) rivalsFound(now time.Time) bool {
	d := &l.drain
	return d.fell && now.Sub(d.markAt) > rivalsAfter && now.Sub(d.shortAt) > rivalsAfter
}

func (l *law) meetRivals(now time.Time, queue time.Duration) {
	l.drain.on = false
	l.rivals = rivals{on: true, top: queue, since: now, cutAt: now}
	l.lastCause = ReasonCompetingTraffic
}

// goal is the queue accepted at the moment, 0 without rivals.
func (l *law) goal() time.Duration {
	if !l.rivals.on {
		return 0
	}
	return min(time.Duration(rivalsQueue*float64(l.rivals.top)), l.accepted())
}

// rivalsLeft takes in a queue, and ends the sharing when it stays short: the others have gone. The largest queue seen is forgotten by fades.
func (l *law) rivalsLeft(now time.Time, queue, high, fades time.Duration) bool {
	r := &l.rivals
	r.top = max(queue, r.top-fades)
	if !r.quiet.held(now, queue < high/2, rivalsGone) {
		return false
	}
	l.rivals = rivals{}
	l.capacityAt = time.Time{} // with the others gone, what is known of the path is out of date
	l.lastCause = ReasonQueueDelay
	return true
}

// compete shares a queue that others fill: as TCP does, by additive increase and a cut at loss.
func (l *law) compete(now time.Time, p *path, high time.Duration) {
	r := &l.rivals
	step := min(max(now.Sub(l.reported), 0), 250*time.Millisecond)
	d := p.queue
	if l.rivalsLeft(now, d, high, time.Duration(float64(r.top)*step.Seconds()/rivalsMemory.Seconds())) {
		return
	}
	rested := now.Sub(r.cutAt) > p.rtt+reaction
	switch loss := p.loss(now); {
	case d > l.goal():
		if rested {
			l.target *= rivalsYield
			r.cutAt = now
		}
	case loss > max(rivalsLoss, l.losses.limit):
		if now.Sub(r.cutAt) > p.rtt+lossWindow {
			l.target *= rivalsCut
			r.cutAt = now
		}
	case l.networkLimited(now, p):
		round := (p.rtt + reaction).Seconds()
		l.target += max(packetBits/round/round, rivalsRise*l.target) * step.Seconds()
	}
	l.lastCause = ReasonCompetingTraffic
}
