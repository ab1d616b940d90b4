package wire

import (
	"context"
	"time"

	"wavryhost/adapt"

	"github.com/pion/rtp"
)

const (
	// burst is how far ahead of its rate the pacer may run. A frame is sent in bursts no longer than this.
	burst = 5 * time.Millisecond
	// tick is the shortest sleep. At high rates several packets leave at each waking, for the burst allows it; a waking for
	// each packet would cost more than it smooths.
	tick = time.Millisecond
	// maxPadding is the most padding that one RTP packet can carry (RFC 3550, section 5.1: one byte says how much).
	maxPadding = 255
	// maxPadRequest bounds one request for padding: 20 ms at 100 Mbit/s.
	maxPadRequest = 250_000
)

// SendPadding asks for a probe: until request.Bytes have left or its time is over, everything goes out at the request's rate
// when that is above the pacing rate, counts towards it and has its ProbeID, and when no media waits, packets without media
// fill the rest. Another request replaces it. Before the first media nothing is sent.
func (l *Link) SendPadding(request adapt.PadRequest) {
	request.Bytes = min(request.Bytes, maxPadRequest)
	l.mu.Lock()
	l.padding = request
	l.mu.Unlock()
	l.notify()
}

// turn is whose packet is the next.
type turn uint8

const (
	turnNone turn = iota
	turnResend
	turnMedia
	turnPadding
)

// Run sends what is handed over, at the pacing rate, until ctx ends. Afterwards everything that is handed over is refused
// with io.ErrClosedPipe.
func (l *Link) Run(ctx context.Context) error {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closed, l.current, l.waiting, l.resends = true, batch{}, batch{}, nil
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var b bucket
	probing, probe := false, 0
	for ctx.Err() == nil {
		now := time.Now()
		who, rate, what := l.next(now)
		if who == turnNone {
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
			continue
		}
		if what.probing && (!probing || what.probe != probe) {
			b.empty(now) // a burst at its start would make the probe faster than asked for
		}
		probing, probe = what.probing, what.probe
		if wait := b.wait(now, rate); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-l.wake: // the rate changed, or a retransmission goes first
			case <-ctx.Done():
			}
			continue
		}
		b.spend(l.send(who, what))
	}
	return ctx.Err()
}

// next tells whose turn it is, at which rate, and what is to be noted of the packet. Retransmissions go first, since the receiver
// waits for them; when there are many, every second byte is media's, or the picture would stand while the past is repaired.
func (l *Link) next(now time.Time) (who turn, rate int, what label) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rate = l.rate
	if l.padding.Bytes > 0 && now.Before(l.padding.Until) && l.track != nil && l.track.begun() {
		rate = max(rate, l.padding.BitsPerSecond)
		what.probing, what.probe = true, l.padding.ProbeID
	}
	switch {
	case len(l.resends) > 0 && (l.credit > 0 || len(l.current.packets) == 0):
		who, what.again = turnResend, true
	case len(l.current.packets) > 0:
		who = turnMedia
	case what.probing:
		who, what.padding = turnPadding, true
	}
	return who, rate, what
}

// send sends one packet and returns how many bytes reached the transport.
func (l *Link) send(who turn, what label) int {
	l.mu.Lock()
	l.label = what
	before := l.stats.Bytes
	l.mu.Unlock()
	switch who {
	case turnResend:
		l.resendFirst()
	case turnMedia:
		l.sendFirst()
	case turnPadding:
		l.pad()
	case turnNone:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes := int(l.stats.Bytes - before)
	if bytes == 0 && who == turnPadding {
		l.padding = adapt.PadRequest{} // the transport takes nothing; to try again at once would be a busy loop
	}
	return bytes
}

func (l *Link) sendFirst() {
	l.mu.Lock()
	if len(l.current.packets) == 0 {
		l.mu.Unlock()
		return
	}
	p, track := l.current.packets[0], l.track
	l.current.packets = l.current.packets[1:]
	l.current.bytes -= p.MarshalSize()
	size := p.MarshalSize()
	l.credit = min(max(l.credit, -mostCredit)+size, mostCredit)
	l.allowance = min(l.allowance+size, max(leastAllowance, l.rate/8)) // at most a second's worth
	if len(l.current.packets) == 0 {
		l.current, l.waiting = l.waiting, batch{}
	}
	l.mu.Unlock()
	track.write(p)
}

// pad sends a packet of padding: on the retransmission stream where there is one, as that leaves the numbers of the media
// alone, else between two frames of the media.
func (l *Link) pad() {
	l.mu.Lock()
	n, track := byte(min(l.padding.Bytes, maxPadding)), l.track
	header := rtp.Header{
		Version: 2, Padding: true, PaddingSize: n,
		SSRC: l.repair.ssrc, PayloadType: l.repair.payloadType, SequenceNumber: l.repair.sequence,
	}
	next := l.repair.next
	if next != nil {
		l.repair.sequence++
	}
	l.mu.Unlock()
	if next == nil {
		track.writePadding(n)
		return
	}
	header.Timestamp = track.newest()
	if _, err := next.Write(&header, nil, nil); err != nil {
		l.cfg.Log.Debug("padding not sent", "err", err)
	}
}

// bucket is the pacer's budget: it fills at the pacing rate, holds one burst at most, and may go below zero by one packet.
type bucket struct {
	bytes float64
	at    time.Time
}

// wait returns how long to wait until a packet may go.
func (b *bucket) wait(now time.Time, rate int) time.Duration {
	perSecond := float64(rate) / 8
	if b.at.IsZero() {
		b.bytes = perSecond * burst.Seconds()
	} else {
		b.bytes = min(b.bytes+perSecond*now.Sub(b.at).Seconds(), perSecond*burst.Seconds())
	}
	b.at = now
	if b.bytes >= 0 {
		return 0
	}
	return max(time.Duration(-b.bytes/perSecond*float64(time.Second)), tick)
}

// empty takes away what was saved for a burst.
func (b *bucket) empty(now time.Time) {
	b.bytes, b.at = min(b.bytes, 0), now
}

func (b *bucket) spend(bytes int) { b.bytes -= float64(bytes) }
