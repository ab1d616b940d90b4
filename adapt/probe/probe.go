// Package probe sends padding, faster than the target, to see whether the path takes it: a quiet screen shows nothing
// of the path.
//
// The package is pure: time comes in with each call.
package probe

import (
	"time"

	"wavryhost/adapt/path"
	"wavryhost/adapt/tuning"
)

// Request asks for padding to be sent. A zero Bytes asks for none.
type Request struct {
	ProbeID       int
	Bytes         int
	BitsPerSecond int
	Until         time.Time
}

// Prober decides when to probe, and judges the results.
type Prober struct {
	purse    float64 // bytes
	id       int
	request  Request
	deadline time.Time // zero when no probe is under way
	next     time.Time
	every    time.Duration
	begun    bool // the first has been sent
	chase    bool // the last one got through whole: try more at once

	bytes, first, lost int
	sent, got          time.Time // when the first packet of it left and arrived
	line               path.Line
}

// New returns a prober that may probe at once.
func New() Prober { return Prober{purse: tuning.ProbePurse, every: tuning.ProbeEvery} }

// OnSent takes in a packet that left: padding is paid from the media's bytes.
func (b *Prober) OnSent(p *path.Packet) {
	if p.Padding {
		b.purse -= float64(p.Size)
	} else {
		b.purse = min(b.purse+tuning.ProbeShare*float64(p.Size), tuning.ProbePurse)
	}
}

// OnPacket takes in the fate of a packet of the probe under way.
func (b *Prober) OnPacket(p *path.Packet) {
	if b.deadline.IsZero() || p.ProbeID != b.id || p.Size <= 0 {
		return
	}
	if p.Lost {
		b.lost += p.Size
		return
	}
	if b.bytes == 0 {
		b.sent, b.got, b.first = p.Sent, p.Arrived, p.Size
	}
	b.bytes += p.Size
	b.line.Add(float64(b.bytes-b.first), p.Sent.Sub(b.sent).Seconds(), p.Arrived.Sub(b.got).Seconds())
}

// judge returns what the probe found, in bits per second, and whether it got through whole; 0 when it is not over yet
// or found nothing.
func (b *Prober) judge(now time.Time) (rate float64, over bool) {
	if b.deadline.IsZero() {
		return 0, false
	}
	if float64(b.bytes+b.lost) < tuning.WholeShare*float64(b.request.Bytes) && now.Before(b.deadline) {
		return 0, false
	}
	b.deadline, b.chase = time.Time{}, false
	squares, sent, got := b.line.Slopes()
	if float64(b.bytes) < float64(b.request.Bytes)/2 || !(sent > 0 && got > 0) || 10*b.lost > b.bytes {
		return 0, true
	}
	left, came := 8*squares/sent, 8*squares/got
	if came >= tuning.WholeShare*left {
		b.chase = true
		return tuning.MarginShare * min(left, came), true
	}
	return tuning.YieldShare * came, true
}

// failed makes the next probe wait longer, worked soon again.
func (b *Prober) failed(now time.Time) {
	b.next = now.Add(b.every)
	b.every = min(time.Duration(tuning.ProbeBackoff*float64(b.every)), tuning.ProbeSeldom)
}

func (b *Prober) worked(now time.Time) {
	b.every, b.next = tuning.ProbeEvery, now.Add(tuning.ProbeEvery)
	if b.chase {
		b.next = now
	}
}

// start asks for a probe.
func (b *Prober) start(now time.Time, v *View) {
	factor := tuning.ProbeFactor
	if !b.begun {
		factor = tuning.ProbeFirst
	}
	rate := min(factor*v.Target, v.Most*tuning.FasterFactor)
	bytes := max(tuning.ProbeBytes, int(rate/8*tuning.ProbeTime.Seconds()))
	if float64(bytes) > b.purse {
		b.next = now.Add(time.Second)
		return
	}
	b.id++
	b.begun = true
	long := time.Duration(float64(bytes) * 8 / rate * float64(time.Second))
	b.request = Request{ProbeID: b.id, Bytes: bytes, BitsPerSecond: int(rate), Until: now.Add(2*long + tuning.Reaction)}
	b.deadline = b.request.Until.Add(v.RTT + tuning.ProbeWait)
	b.bytes, b.first, b.lost, b.line = 0, 0, 0, path.Line{}
}

// View is what decides at one moment whether to probe.
type View struct {
	// Target is the rate at present, and Most the highest, in bits per second.
	Target, Most float64
	RTT, Queue   time.Duration
	Loss         float64 // 0 to 1
	// Age is how long the newest report is ago.
	Age time.Duration
	// Quiet is set while the screen, not the path, is the limit: else the media itself tries the path.
	Quiet bool
	// Forbidden is set while padding would do harm, or nothing would be learned.
	Forbidden bool
	// High is a queue in which a probe found nothing.
	High time.Duration
}

// Due reports whether a probe is under way, or another one may begin. Where the screen is not quiet the media itself
// tries the path.
func (b *Prober) Due(now time.Time, quiet bool) bool {
	return !b.deadline.IsZero() || !now.Before(b.next) && (quiet || !b.begun || b.chase)
}

// Step brings the prober to now. It returns the rate that a probe found, in bits per second, or 0.
func (b *Prober) Step(now time.Time, v *View) float64 {
	rate, over := b.judge(now)
	switch {
	case !over:
		rate = 0
	case rate > tuning.ProbeGain*v.Target && v.Queue <= tuning.ProbeQueue+v.High:
		v.Target = min(rate, v.Most)
		b.worked(now)
	default:
		rate, b.chase = 0, false
		b.failed(now)
	}
	switch {
	case !b.deadline.IsZero() || now.Before(b.next) || v.Forbidden || v.RTT == 0:
	case b.begun && !v.Quiet && !b.chase:
	case v.Age > tuning.ProbeWait+v.RTT: // nothing is known of the path at the moment
	case v.Target >= v.Most/tuning.ProbeGain || v.Queue > tuning.ProbeQueue || v.Loss > tuning.HoldLoss:
	default:
		b.start(now, v)
	}
	return rate
}

// Request returns what is to be sent now.
func (b *Prober) Request(now time.Time) Request {
	if b.deadline.IsZero() || !now.Before(b.request.Until) {
		return Request{}
	}
	return b.request
}
