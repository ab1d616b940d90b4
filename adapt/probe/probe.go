// Package probe sends padding, faster than the target, to see whether the path takes it: a quiet screen shows nothing
// of the path.
//
// The package is pure: time comes in with each call.
package probe

import (
	"time"

	"wavryhost/adapt/path"
)

const (
	// probeFactor is how much more than the target a probe tries; the first one, at the start, tries more.
	probeFactor, probeFirst = 2.0, 3.0
	// A probe lasts probeTime at least and has probeBytes at least: less would drown in jitter.
	probeTime, probeBytes = 25 * time.Millisecond, 6 * 1200
	// probeEvery is the time between probes of a quiet screen, probeBackoff how much longer it gets after each one
	// that found nothing, up to probeSeldom.
	probeEvery   = 5 * time.Second
	probeBackoff = 1.5
	probeSeldom  = 2 * time.Minute
	// probeQueue is the longest queue, probeLoss the largest loss, that a probe may be added to.
	probeQueue = 10 * time.Millisecond
	probeLoss  = 0.02
	// probeWhole is the share of its rate that a probe must arrive at to have got through whole; probeShare and
	// probeNarrow are what of the found rate is used.
	probeWhole  = 0.9
	probeShare  = 0.95
	probeNarrow = 0.9
	// probeGain is the least that a probe must find to have been worth it.
	probeGain = 1.05
	// Padding costs: probeShareOfMedia of the media's bytes, and probePurse in the beginning, which is what a path of
	// 20 Mbit/s takes to be found. The purse never holds more.
	probeShareOfMedia = 0.015
	probePurse        = 300_000
	// probeWait is how much longer than its round trip a probe is waited for.
	probeWait = 300 * time.Millisecond
	// probeReported is the share of a probe's bytes that must be reported to judge it early.
	probeReported = 0.9
	// probeTop is how far above the highest rate a probe may go, and probeLate how long timers may take.
	probeTop  = 1.1
	probeLate = 50 * time.Millisecond
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
func New() Prober { return Prober{purse: probePurse, every: probeEvery} }

// OnSent takes in a packet that left: padding is paid from the media's bytes.
func (b *Prober) OnSent(p *path.Packet) {
	if p.Padding {
		b.purse -= float64(p.Size)
	} else {
		b.purse = min(b.purse+probeShareOfMedia*float64(p.Size), probePurse)
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
	if float64(b.bytes+b.lost) < probeReported*float64(b.request.Bytes) && now.Before(b.deadline) {
		return 0, false
	}
	b.deadline, b.chase = time.Time{}, false
	squares, sent, got := b.line.Slopes()
	if float64(b.bytes) < float64(b.request.Bytes)/2 || !(sent > 0 && got > 0) || 10*b.lost > b.bytes {
		return 0, true
	}
	left, came := 8*squares/sent, 8*squares/got
	if came >= probeWhole*left {
		b.chase = true
		return probeShare * min(left, came), true
	}
	return probeNarrow * came, true
}

// failed makes the next probe wait longer, worked soon again.
func (b *Prober) failed(now time.Time) {
	b.next = now.Add(b.every)
	b.every = min(time.Duration(probeBackoff*float64(b.every)), probeSeldom)
}

func (b *Prober) worked(now time.Time) {
	b.every, b.next = probeEvery, now.Add(probeEvery)
	if b.chase {
		b.next = now
	}
}

// start asks for a probe.
func (b *Prober) start(now time.Time, v *View) {
	factor := probeFactor
	if !b.begun {
		factor = probeFirst
	}
	rate := min(factor*v.Target, v.Most*probeTop)
	bytes := max(probeBytes, int(rate/8*probeTime.Seconds()))
	if float64(bytes) > b.purse {
		b.next = now.Add(time.Second)
		return
	}
	b.id++
	b.begun = true
	long := time.Duration(float64(bytes) * 8 / rate * float64(time.Second))
	b.request = Request{ProbeID: b.id, Bytes: bytes, BitsPerSecond: int(rate), Until: now.Add(2*long + probeLate)}
	b.deadline = b.request.Until.Add(v.RTT + probeWait)
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

// Step brings the prober to now. It returns the rate that a probe found, in bits per second, or 0.
func (b *Prober) Step(now time.Time, v *View) float64 {
	rate, over := b.judge(now)
	switch {
	case !over:
		rate = 0
	case rate > probeGain*v.Target && v.Queue <= probeQueue+v.High:
		v.Target = min(rate, v.Most)
		b.worked(now)
	default:
		rate, b.chase = 0, false
		b.failed(now)
	}
	switch {
	case !b.deadline.IsZero() || now.Before(b.next) || v.Forbidden || v.RTT == 0:
	case b.begun && !v.Quiet && !b.chase: // the media itself tries the path
	case v.Age > probeWait+v.RTT: // nothing is known of the path at the moment
	case v.Target >= v.Most/probeGain || v.Queue > probeQueue || v.Loss > probeLoss:
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
