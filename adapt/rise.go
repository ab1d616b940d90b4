package adapt

import (
	"math"
	"time"

	"wavryhost/adapt/path"
	"wavryhost/adapt/tuning"
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
	if c.rate == 0 || now.Sub(c.at) > tuning.CapacityFor || math.Abs(off) > max(c.spread(), tuning.NearMost*c.rate) {
		c.rate, c.variance = rate, 0
	} else {
		c.rate += tuning.CapacityGain * off
		c.variance += tuning.CapacityGain * (off*off - c.variance)
	}
	c.at = now
}

// divided takes in the rate at which frames arrived on the full path.
func (c *capacity) divided(rate float64) {
	if c.full == 0 || math.Abs(rate-c.full) > tuning.NearMost*c.full {
		c.full = rate
	}
	c.full += tuning.CapacityGain * (rate - c.full)
}

// known reports whether the capacity still counts.
func (c *capacity) known(now time.Time) bool { return c.rate > 0 && now.Sub(c.at) < tuning.CapacityFor }

// spread is how far around the capacity the samples of it lie.
func (c *capacity) spread() float64 {
	return min(max(3*math.Sqrt(c.variance), tuning.NearLeast*c.rate), tuning.NearMost*c.rate)
}

// rise returns the rate that the path may be tried with.
func (l *law) rise(s *path.Sample, p *path.Path) float64 {
	now, received, sent := s.At, s.Arrived, p.SentRate(s.At)
	if l.sampled.IsZero() {
		return 0
	}
	step := l.step(now, 3*p.Interval)
	if now.Before(l.losses.policed) { // frames get through a policer faster than it lets them for long
		return l.target + (tuning.CarefulShare*l.target+tuning.PolicedStep)*step
	}
	trainSent, trainReceived, ok := p.Trains(now)
	c := &l.capacity
	wide := ok && now.Sub(l.cutAt) > tuning.SentWindow && trainReceived >= tuning.RoomyFactor*l.target
	if c.full > 0 {
		wide = wide && trainReceived >= tuning.RoomyFactor*c.full
	} else {
		wide = wide && trainReceived >= tuning.WholeShare*trainSent
	}
	narrow := math.Inf(1) // what the path can do at most, as far as frames tell
	if ok && trainReceived < tuning.WholeShare*trainSent {
		narrow = trainReceived
	}
	known := c.known(now)
	near := known && !wide && l.target >= tuning.NearFrom*c.rate && l.target <= c.rate+c.spread()
	if near || l.target >= tuning.MarginShare*narrow {
		return l.target + l.careful(now, p.Complete())*step
	}
	delay := (p.SeenAfter() + tuning.RampFilter).Seconds()
	gain := min(tuning.RampMost, tuning.RampQueue.Seconds()/delay)
	rate := max(tuning.SeldomShare, min(gain/2/tuning.RampStep.Seconds(), 2*tuning.RampSeldom.Seconds()/(delay*delay)))
	bound := tuning.SentMost * max(received, sent)
	if l.starved {
		bound = max(bound, tuning.StarvedMost*sent)
	}
	next := min(l.target*(1+rate*step), bound, max(l.target, tuning.MarginShare*narrow))
	if known && !wide && l.target < tuning.NearFrom*c.rate {
		next = min(next, tuning.NearFrom*c.rate*1.01) // from there on carefully
	}
	return next
}

// careful returns the rise near the capacity, in bits per second each second.
func (l *law) careful(now time.Time, complete bool) float64 {
	rise := max(tuning.CarefulStep, tuning.CarefulShare*l.target)
	if !complete {
		rise = max(rise, tuning.SeldomShare*l.target)
	}
	if now.Sub(l.begun) < tuning.NewFor {
		rise = max(rise, tuning.NewRise*l.target)
	}
	return rise
}
