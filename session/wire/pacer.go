package wire

import (
	"context"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"
	"wavryhost/session/progress"

	"github.com/pion/rtp"
)

const (
	// maxPadding is the most padding that one RTP packet can have (RFC 3550, section 5.1: one byte has its length).
	maxPadding = 255
	// maxPadRequest bounds one request for padding: 20 ms at 100 Mbit/s.
	maxPadRequest = 250_000
)

// SendPadding requests a probe. Until request.Bytes are sent or its time is over, everything is sent at the request's
// rate if that is above the pacing rate, counts towards the request and has its ProbeID. If no media waits, packets
// without media fill the rest. Another request replaces it. Nothing is sent before the first media.
func (s *Sender) SendPadding(request adapt.PadRequest) {
	request.Bytes = min(request.Bytes, maxPadRequest)
	s.mu.Lock()
	s.padding = request
	s.mu.Unlock()
	s.notify()
}

// Run sends what is enqueued, at the pacing rate, until ctx ends. Afterwards every access unit is refused with
// io.ErrClosedPipe.
func (s *Sender) Run(ctx context.Context) error {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed, s.current, s.waiting, s.resends = true, batch{}, batch{}, nil
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var b pacing.Bucket
	probing, probe := false, 0
	steps := s.cfg.Progress.Loop(progress.Send, s.cfg.Session)
	defer steps.Close()
	for ctx.Err() == nil {
		now := time.Now()
		who, rate, what := s.next(now)
		if who == pacing.None {
			select {
			case <-s.wake:
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
			case <-s.wake: // the rate changed, or a retransmission goes first
			case <-ctx.Done():
			}
			continue
		}
		steps.Step(func() { b.Spend(s.send(who, what)) })
	}
	return ctx.Err()
}

// next returns whose turn it is, at which rate, and the label of the packet.
func (s *Sender) next(now time.Time) (who pacing.Turn, rate int, what label) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rate = s.rate
	if s.padding.Bytes > 0 && now.Before(s.padding.Until) && s.track != nil && s.track.begun() {
		rate = max(rate, s.padding.BitsPerSecond)
		what.probing, what.probe = true, s.padding.ProbeID
	}
	who = s.shares.Turn(len(s.resends) > 0, len(s.current.packets) > 0, what.probing)
	what.again, what.padding = who == pacing.Retransmission, who == pacing.Padding
	return who, rate, what
}

// send sends one packet and returns how many bytes the transport accepted.
func (s *Sender) send(who pacing.Turn, what label) int {
	s.mu.Lock()
	s.label = what
	before := s.stats.Bytes
	s.mu.Unlock()
	switch who {
	case pacing.Retransmission:
		s.resendFirst()
	case pacing.Media:
		s.sendFirst()
	case pacing.Padding:
		s.pad()
	case pacing.None:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := int(s.stats.Bytes - before)
	if bytes == 0 && who == pacing.Padding {
		s.padding = adapt.PadRequest{} // the transport accepts nothing; trying again at once would be a busy loop
	}
	return bytes
}

func (s *Sender) sendFirst() {
	s.mu.Lock()
	if len(s.current.packets) == 0 {
		s.mu.Unlock()
		return
	}
	p, track := s.current.packets[0], s.track
	s.label.key, s.current.key = s.current.key, false
	s.current.packets = s.current.packets[1:]
	s.current.bytes -= p.MarshalSize()
	size := p.MarshalSize()
	s.shares.Sent(size, s.rate)
	last, since, captured := len(s.current.packets) == 0, s.current.since, s.current.time
	if last {
		s.current, s.waiting = s.waiting, batch{}
	}
	s.mu.Unlock()
	track.write(p)
	if last && s.cfg.OnPaced != nil {
		s.cfg.OnPaced(captured, time.Since(since))
	}
}

// pad sends a packet of padding: on the retransmission stream if there is one, which leaves the numbers of the media
// alone, else between two frames of the media.
func (s *Sender) pad() {
	s.mu.Lock()
	n, track := byte(min(s.padding.Bytes, maxPadding)), s.track
	header := rtp.Header{
		Version: 2, Padding: true, PaddingSize: n,
		SSRC: s.rtx.ssrc, PayloadType: s.rtx.payloadType, SequenceNumber: s.rtx.sequence,
	}
	next := s.rtx.next
	if next != nil {
		s.rtx.sequence++
	}
	s.mu.Unlock()
	if next == nil {
		track.writePadding(n)
		return
	}
	header.Timestamp = track.newest()
	if _, err := next.Write(&header, nil, nil); err != nil {
		s.cfg.Log.Debug("padding not sent", "err", err)
	}
}
