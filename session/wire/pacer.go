package wire

import (
	"context"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"

	"github.com/pion/rtp"
)

const (
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
	var b pacing.Bucket
	probing, probe := false, 0
	for ctx.Err() == nil {
		now := time.Now()
		who, rate, what := l.next(now)
		if who == pacing.None {
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
			continue
		}
		if what.probing && (!probing || what.probe != probe) {
			b.Empty(now)
		}
		probing, probe = what.probing, what.probe
		if wait := b.Wait(now, rate); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-l.wake: // the rate changed, or a retransmission goes first
			case <-ctx.Done():
			}
			continue
		}
		b.Spend(l.send(who, what))
	}
	return ctx.Err()
}

// next tells whose turn it is, at which rate, and what is to be noted of the packet.
func (l *Link) next(now time.Time) (who pacing.Turn, rate int, what label) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rate = l.rate
	if l.padding.Bytes > 0 && now.Before(l.padding.Until) && l.track != nil && l.track.begun() {
		rate = max(rate, l.padding.BitsPerSecond)
		what.probing, what.probe = true, l.padding.ProbeID
	}
	who = l.shares.Turn(len(l.resends) > 0, len(l.current.packets) > 0, what.probing)
	what.again, what.padding = who == pacing.Retransmission, who == pacing.Padding
	return who, rate, what
}

// send sends one packet and returns how many bytes reached the transport.
func (l *Link) send(who pacing.Turn, what label) int {
	l.mu.Lock()
	l.label = what
	before := l.stats.Bytes
	l.mu.Unlock()
	switch who {
	case pacing.Retransmission:
		l.resendFirst()
	case pacing.Media:
		l.sendFirst()
	case pacing.Padding:
		l.pad()
	case pacing.None:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes := int(l.stats.Bytes - before)
	if bytes == 0 && who == pacing.Padding {
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
	l.label.key, l.current.key = l.current.key, false
	l.current.packets = l.current.packets[1:]
	l.current.bytes -= p.MarshalSize()
	size := p.MarshalSize()
	l.shares.Sent(size, l.rate)
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
