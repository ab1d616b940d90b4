package adapt

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
	probeLoss  = holdLoss
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
	// probeRelative is the share of a probe's bytes that must be reported to judge it early.
	probeReported = 0.9
)

// prober sends padding, faster than the target, to see whether the path takes it: a quiet screen shows nothing of the
// path.
type prober struct {
	purse    float64 // bytes
	id       int
	request  PadRequest
	deadline time.Time // zero when no probe is under way
	next     time.Time
	every    time.Duration
	begun    bool // the first has been sent
	chase    bool // the last one got through whole: try more at once

	bytes, first, lost int
	sent, got          time.Time // when the first packet of it left and arrived
	line               path.Line
}

func newProber() prober { return prober{purse: probePurse, every: probeEvery} }

func (b *prober) onSent(p *Packet) {
	if p.Padding {
		b.purse -= float64(p.Size)
	} else {
		b.purse = min(b.purse+probeShareOfMedia*float64(p.Size), probePurse)
	}
}

// onPacket takes in the fate of a packet of the probe under way.
func (b *prober) onPacket(p *Packet) {
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
func (b *prober) judge(now time.Time) (rate float64, over bool) {
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
func (b *prober) failed(now time.Time) {
	b.next = now.Add(b.every)
	b.every = min(time.Duration(probeBackoff*float64(b.every)), probeSeldom)
}

func (b *prober) worked(now time.Time) {
	b.every, b.next = probeEvery, now.Add(probeEvery)
	if b.chase {
		b.next = now
	}
}

// start asks for a probe.
func (b *prober) start(now time.Time, target, most float64, rtt time.Duration) {
	factor := probeFactor
	if !b.begun {
		factor = probeFirst
	}
	rate := min(factor*target, most)
	bytes := max(probeBytes, int(rate/8*probeTime.Seconds()))
	if float64(bytes) > b.purse {
		b.next = now.Add(time.Second)
		return
	}
	b.id++
	b.begun = true
	long := time.Duration(float64(bytes) * 8 / rate * float64(time.Second))
	b.request = PadRequest{ProbeID: b.id, Bytes: bytes, BitsPerSecond: int(rate), Until: now.Add(2*long + reaction)}
	b.deadline = b.request.Until.Add(rtt + probeWait)
	b.bytes, b.first, b.lost, b.line = 0, 0, 0, path.Line{}
}

// probing begins and ends probes. top is the rate beyond which nothing is to be gained.
func (l *Loop) probing(now time.Time, top float64) {
	b, w := &l.prober, &l.law
	if rate, over := b.judge(now); over {
		if rate > probeGain*w.target && l.path.Queue <= probeQueue+sources[path.TWCC].high {
			w.target = min(rate, float64(w.max))
			w.reason = ReasonProbeOK
			b.worked(now)
		} else {
			b.chase = false
			b.failed(now)
		}
	}
	p := &l.path
	quiet := !w.networkLimited(now, p)
	switch {
	case !b.deadline.IsZero() || now.Before(b.next) || l.stalled || l.cfg.Fixed != 0 || !p.Complete() || p.RTT == 0:
	case b.begun && !quiet && !b.chase: // the media itself tries the path
	case l.closed(now) || now.Sub(p.LastFeedback) > probeWait+p.RTT: // nothing is known of the path at the moment
	case w.target >= top/probeGain || p.Queue > probeQueue || p.Loss(now) > probeLoss || w.drain.on || w.sharing.on ||
		now.Before(w.losses.policed) || !w.losses.judgeAt.IsZero():
	default:
		b.start(now, w.target, top*1.1, p.RTT)
	}
}
