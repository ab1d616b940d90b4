package wire

import (
	"encoding/binary"
	"slices"
	"time"

	"wavryhost/adapt/pacing"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// recorder notes every packet that leaves.
type recorder struct {
	interceptor.NoOp
	link *Link
}

func (r *recorder) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	var id uint8
	if i := slices.IndexFunc(info.RTPHeaderExtensions, func(e interceptor.RTPHeaderExtension) bool { return e.URI == TransportCC }); i >= 0 {
		id = uint8(info.RTPHeaderExtensions[i].ID) // ids have one byte
	}
	l := r.link
	byStream := slices.Contains(info.RTCPFeedback, interceptor.RTCPFeedback{Type: "ack", Parameter: "ccfb"})
	// Receiver reports and requests for packets again name packets of media by their numbers, too.
	byReports := !byStream && !slices.Contains(info.RTCPFeedback, interceptor.RTCPFeedback{Type: "transport-cc"})
	return interceptor.RTPWriterFunc(func(header *rtp.Header, payload []byte, attributes interceptor.Attributes) (int, error) {
		var number rtp.TransportCCExtension
		numbered := id != 0 && number.Unmarshal(header.GetExtension(id)) == nil
		size := header.MarshalSize() + len(payload) + int(header.PaddingSize)
		l.mu.Lock()
		what := l.label
		l.mu.Unlock()
		carries := carried(info, header, payload, what)
		// It is noted before it leaves, as the report may be faster than this goroutine.
		p := l.history.add(number.TransportSequence, numbered, size, time.Now(), what, carries)
		// A packet that is sent again on the media's stream has the number of the one before it, whose place it must not take.
		kept := (byStream || byReports && header.SSRC == info.SSRC) && !carries.copied
		if kept {
			l.streams.of(header.SSRC).put(header.SequenceNumber, p, carries)
		} else if byStream {
			l.streams.of(header.SSRC).again(header.SequenceNumber)
		}
		n, err := next.Write(header, payload, attributes)
		if n == 0 || err != nil { // pion takes packets without a word before the keys are there
			l.history.withdraw(number.TransportSequence, p.ID)
			if kept {
				l.streams.of(header.SSRC).withdraw(header.SequenceNumber, p.ID)
			}
			l.mu.Lock()
			l.stats.Unsent++
			l.mu.Unlock()
			return n, err
		}
		l.mu.Lock()
		l.stats.sent(size, what)
		if what.probing && what.probe == l.padding.ProbeID {
			l.padding.Bytes -= size
		}
		l.mu.Unlock()
		if l.cfg.OnSent != nil {
			l.cfg.OnSent(p)
		}
		return n, nil
	})
}

// carried tells which packet of media one that leaves is, or repeats.
func carried(info *interceptor.StreamInfo, header *rtp.Header, payload []byte, what label) content {
	switch {
	case header.SSRC == info.SSRC:
		return content{media: true, number: header.SequenceNumber, copied: what.again}
	case what.again && len(payload) >= 2: // RFC 4588, section 4
		return content{media: true, number: binary.BigEndian.Uint16(payload)}
	default:
		return content{}
	}
}

func (s *Stats) sent(size int, what label) {
	s.Packets++
	s.Bytes += uint64(size)
	switch {
	case what.again:
		s.Retransmissions++
		s.RetransmittedBytes += uint64(size)
	case what.padding:
		s.PaddingPackets++
		s.PaddingBytes += uint64(size)
	}
}

// resend is a packet that the NACK responder wants out again.
type resend struct {
	header     *rtp.Header
	payload    []byte
	attributes interceptor.Attributes
	next       interceptor.RTPWriter
	original   uint16 // sequence number of the packet on the media's stream
	onMedia    bool   // it goes on that stream
}

// repairStream is where packets are sent again (RFC 4588). Its numbers are given here, as packets leave: pion's responder
// gives one to every packet that it stores, so that a packet sent again twice would be a replay to the receiver's SRTP, and a
// long time without loss a jump that makes both ends disagree on its rollover counter.
type repairStream struct {
	ssrc        uint32
	payloadType uint8
	sequence    uint16                // of the next packet
	next        interceptor.RTPWriter // nil when the peer has no such stream
}

// gate lets the pacer's own packets through, and queues those that the NACK responder above it sends again: they come from
// pion's goroutines and have to wait for their turn. Without it they would pass the pacer by, and with pion's own pacers they
// are lost, since those know no retransmission stream.
type gate struct {
	interceptor.NoOp
	link *Link
}

func (g *gate) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	l := g.link
	if info.SSRCRetransmission != 0 && info.PayloadTypeRetransmission != 0 {
		l.mu.Lock()
		l.repair.ssrc, l.repair.payloadType, l.repair.next = info.SSRCRetransmission, info.PayloadTypeRetransmission, next
		l.mu.Unlock()
	}
	onMedia := info.SSRCRetransmission == 0 || info.PayloadTypeRetransmission == 0
	newest, begun := uint16(0), false
	return interceptor.RTPWriterFunc(func(header *rtp.Header, payload []byte, attributes interceptor.Attributes) (int, error) {
		defer l.cfg.Guard.Recover(part) // the NACK responder has goroutines of its own
		// Media comes in order from the pacer alone; the rest is sent again: on its own stream, or on the media's where
		// the peer has no retransmission stream.
		l.mu.Lock()
		again := header.SSRC != info.SSRC || begun && int16(header.SequenceNumber-newest) <= 0 // serial number arithmetic
		if !again {
			newest, begun = header.SequenceNumber, true
			key := l.label.key
			l.mu.Unlock()
			l.repeats.sent(header.SequenceNumber, time.Now(), key)
			return next.Write(header, payload, attributes)
		}
		broken := false
		defer func() {
			l.mu.Unlock()
			if broken && l.cfg.OnBroken != nil {
				l.cfg.OnBroken()
			}
		}()
		size := header.MarshalSize() + len(payload)
		r := resend{attributes: attributes, next: next, original: header.SequenceNumber, onMedia: onMedia}
		if header.SSRC != info.SSRC && len(payload) >= 2 {
			r.original = binary.BigEndian.Uint16(payload)
		}
		if why, refused := l.refuse(r.original, size, onMedia); refused {
			l.stats.Refused[why]++
			broken = l.repeats.broken(r.original, why, time.Now(), l.rtt)
			return size, nil
		}
		clone := header.Clone() // the responder takes both back when this returns
		r.header, r.payload = &clone, slices.Clone(payload)
		l.resends = append(l.resends, r)
		l.notify()
		return size, nil
	})
}

// refuse reports whether, and why, a request for a packet is not to be answered with so many bytes; otherwise they count. The caller
// holds mu.
func (l *Link) refuse(number uint16, size int, onMedia bool) (pacing.Refusal, bool) {
	if slices.ContainsFunc(l.resends, func(w resend) bool { return w.original == number }) {
		return pacing.RefusedSoon, true // it is on its way
	}
	if why, refused := l.repeats.refuse(number, time.Now(), l.rtt, onMedia); refused {
		return why, true
	}
	if size > l.PacketSize()+extensionBytes { // of before smaller packets were sent: the path lets none of them through
		return pacing.RefusedOld, true
	}
	if l.closed {
		return pacing.RefusedFull, true
	}
	why, taken := l.shares.Admit(size, len(l.resends))
	return why, !taken
}

// UnbindLocalStream is called by pion when the stream ends.
func (g *gate) UnbindLocalStream(*interceptor.StreamInfo) {
	g.link.mu.Lock()
	defer g.link.mu.Unlock()
	g.link.repair.next, g.link.resends = nil, nil
}

func (l *Link) resendFirst() {
	l.mu.Lock()
	if len(l.resends) == 0 {
		l.mu.Unlock()
		return
	}
	r := l.resends[0]
	l.resends = slices.Delete(l.resends, 0, 1)
	if why, refused := l.repeats.useless(r.original, r.onMedia); refused {
		l.stats.Refused[why]++
		broken := l.repeats.broken(r.original, why, time.Now(), l.rtt)
		l.mu.Unlock()
		if broken && l.cfg.OnBroken != nil {
			l.cfg.OnBroken()
		}
		return
	}
	l.repeats.again(r.original, time.Now())
	l.shares.Retransmitted(r.header.MarshalSize() + len(r.payload))
	if r.header.SSRC == l.repair.ssrc && l.repair.next != nil {
		r.header.SequenceNumber = l.repair.sequence
		l.repair.sequence++
	}
	l.mu.Unlock()
	if _, err := r.next.Write(r.header, r.payload, r.attributes); err != nil {
		l.cfg.Log.Debug("packet not sent again", "err", err)
	}
}
