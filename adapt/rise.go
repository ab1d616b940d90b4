package adapt

import (
	"math"
	"time"

	"wavryhost/adapt/path"
)

const (
	// The capacity that was seen at the last overuse counts for capacityFor. Near it, from nearFrom below to three
	// deviations (nearLeast at least, and nearMost at most) above, the rate rises by nearPackets each nearEvery, which
	// is a round trip of 100 ms and the reaction. The rise is the same in bits for all flows, while cuts are a share
	// of the rate, so that flows that share a path come together; TCP's step per round trip would give the most to the
	// flow with the shortest. A rate so large that this takes minutes rises by nearSlowest per second, and a second
	// between two samples allows nearSeldom.
	capacityFor  = 30 * time.Second
	capacityGain = 0.3
	nearFrom     = 0.85
	nearLeast    = 0.05
	nearMost     = 0.25
	nearPackets  = 0.5
	nearSlowest  = 0.005
	nearSeldom   = 0.03
	nearEvery    = 120 * time.Millisecond
	// newFor is how long a flow is new. A new flow's room on a path says little of its share, and it knows nothing of
	// the flows that were there before: until then it rises near the capacity known by newRise per second.
	newFor  = 15 * time.Second
	newRise = 0.2
	// A rise may build a queue of rampQueue until it is seen (RFC 8698, section 4.3, QBOUND). It takes rampFilter to
	// see it, on top of the round trip and the time between reports. Where those are long the queue grows with their
	// square, and may be rampSeldom. No rise is faster than rampMost each rampStep.
	rampQueue  = 50 * time.Millisecond
	rampFilter = 120 * time.Millisecond
	rampMost   = 0.5
	rampStep   = 100 * time.Millisecond
	rampLeast  = 0.03
	rampSeldom = 90 * time.Millisecond
	// roomy is how much faster than the target, and than when the path was full last, frames must arrive for the path
	// to have become wider, and roomyAfter how long the last cut must be ago. dispersed is the share of the rate that
	// trains left at below which the path slowed them down.
	roomy      = 1.25
	roomyAfter = 500 * time.Millisecond
	dispersed  = 0.9
	// sentMost is how far above what is sent the target may rise, and starvedMost how far while the encoder leaves
	// much of it and could use more.
	sentMost, starvedMost = 1.2, 2.5
)

// capacity is the rate at which the path was full, in bits per second, with its variance.
type capacity struct {
	rate, variance float64
	at             time.Time
	full           float64 // at which frames arrived then; other flows' packets are among theirs
}

// learn takes in a capacity that was seen. A capacity far off the known one replaces it: the link has changed.
func (c *capacity) learn(now time.Time, rate float64) {
	off := rate - c.rate
	if c.rate == 0 || now.Sub(c.at) > capacityFor || math.Abs(off) > max(c.spread(), 0.2*c.rate) {
		c.rate, c.variance = rate, 0
	} else {
		c.rate += capacityGain * off
		c.variance += capacityGain * (off*off - c.variance)
	}
	c.at = now
}

// divided takes in the rate at which frames arrived on the full path.
func (c *capacity) divided(rate float64) {
	if c.full == 0 || math.Abs(rate-c.full) > 0.3*c.full {
		c.full = rate
	}
	c.full += capacityGain * (rate - c.full)
}

// known reports whether the capacity still counts.
func (c *capacity) known(now time.Time) bool { return c.rate > 0 && now.Sub(c.at) < capacityFor }

// spread is how far around the capacity the samples of it lie.
func (c *capacity) spread() float64 {
	return min(max(3*math.Sqrt(c.variance), nearLeast*c.rate), nearMost*c.rate)
}

// rise returns the rate that the path may be tried with.
func (l *law) rise(s *path.Sample, p *path.Path) float64 {
	now, received, sent := s.At, s.Arrived, p.SentRate(s.At)
	if l.sampled.IsZero() {
		return 0
	}
	step := l.step(now, 3*p.Interval)
	if now.Before(l.losses.policed) { // frames get through a policer faster than it lets them for long
		return l.target + (policedRise*l.target+policedStep)*step
	}
	trainSent, trainReceived, ok := p.Trains(now)
	c := &l.capacity
	wide := ok && now.Sub(l.cutAt) > roomyAfter && trainReceived >= roomy*l.target
	if c.full > 0 {
		wide = wide && trainReceived >= roomy*c.full
	} else {
		wide = wide && trainReceived >= dispersed*trainSent
	}
	narrow := math.Inf(1) // what the path can do at most, as far as frames tell
	if ok && trainReceived < dispersed*trainSent {
		narrow = trainReceived
	}
	known := c.known(now)
	near := known && !wide && l.target >= nearFrom*c.rate && l.target <= c.rate+c.spread()
	if near || l.target >= cutShare*narrow {
		return l.target + l.careful(now, p.Complete())*step
	}
	delay := (p.SeenAfter() + rampFilter).Seconds()
	gain := min(rampMost, rampQueue.Seconds()/delay)
	rate := max(rampLeast, min(gain/2/rampStep.Seconds(), 2*rampSeldom.Seconds()/(delay*delay)))
	bound := sentMost * max(received, sent)
	if l.starved {
		bound = max(bound, starvedMost*sent)
	}
	next := min(l.target*(1+rate*step), bound, max(l.target, cutShare*narrow))
	if known && !wide && l.target < nearFrom*c.rate {
		next = min(next, nearFrom*c.rate*1.01) // from there on carefully
	}
	return next
}

// careful returns the rise near the capacity, in bits per second each second.
func (l *law) careful(now time.Time, complete bool) float64 {
	rise := max(nearPackets*path.PacketBits/nearEvery.Seconds(), nearSlowest*l.target)
	if !complete {
		rise = max(rise, nearSeldom*l.target)
	}
	if now.Sub(l.begun) < newFor {
		rise = max(rise, newRise*l.target)
	}
	return rise
}
