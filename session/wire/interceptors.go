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
	sender *Sender
}

func (r *recorder) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	var id uint8
	if i := slices.IndexFunc(info.RTPHeaderExtensions,
		func(e interceptor.RTPHeaderExtension) bool { return e.URI == TransportCC }); i >= 0 {
		id = uint8(info.RTPHeaderExtensions[i].ID) // ids have one byte
	}
	s := r.sender
	byStream := slices.Contains(info.RTCPFeedback, interceptor.RTCPFeedback{Type: "ack", Parameter: "ccfb"})
	// Receiver reports and requests for packets again name packets of media by their numbers, too.
	byReports := !byStream && !slices.Contains(info.RTCPFeedback, interceptor.RTCPFeedback{Type: "transport-cc"})
	return interceptor.RTPWriterFunc(func(header *rtp.Header, payload []byte,
		attributes interceptor.Attributes,
	) (int, error) {
		var number rtp.TransportCCExtension
		numbered := id != 0 && number.Unmarshal(header.GetExtension(id)) == nil
		size := header.MarshalSize() + len(payload) + int(header.PaddingSize)
		s.mu.Lock()
		what := s.label
		s.mu.Unlock()
		carries := carried(info, header, payload, what)
		// It is noted before it leaves, as the report may be faster than this goroutine.
		p := s.history.add(number.TransportSequence, numbered, size, time.Now(), what, carries)
		// A packet that is sent again on the media's stream has the number of the one before it, whose place it must
		// not take.
		kept := (byStream || byReports && header.SSRC == info.SSRC) && !carries.copied
		if kept {
			s.streams.of(header.SSRC).put(header.SequenceNumber, p, carries)
		} else if byStream {
			s.streams.of(header.SSRC).again(header.SequenceNumber)
		}
		n, err := next.Write(header, payload, attributes)
		if n == 0 || err != nil { // pion takes packets without a word before the keys are there
			s.history.withdraw(number.TransportSequence, p.ID)
			if kept {
				s.streams.of(header.SSRC).withdraw(header.SequenceNumber, p.ID)
			}
			s.mu.Lock()
			s.stats.Unsent++
			s.mu.Unlock()
			return n, err
		}
		s.mu.Lock()
		s.stats.sent(size, what)
		if what.probing && what.probe == s.padding.ProbeID {
			s.padding.Bytes -= size
		}
		s.mu.Unlock()
		if s.cfg.OnSent != nil {
			s.cfg.OnSent(p)
		}
		return n, nil
	})
}

// carried returns the packet of media that a packet is, or repeats.
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
	onMedia    bool   // it is sent on that stream
}

// repairStream is the stream of retransmissions (RFC 4588). Its numbers are given here, as packets leave: pion's
// responder gives one to every packet that it stores, so that a packet retransmitted twice would be a replay to the
// receiver's SRTP, and a long time without loss a jump that makes both ends disagree on its rollover counter.
type repairStream struct {
	ssrc        uint32
	payloadType uint8
	sequence    uint16                // of the next packet
	next        interceptor.RTPWriter // nil when the peer has no such stream
}

// rtxQueue queues the retransmissions of the NACK responder above it and passes all other packets on. They come from
// pion's goroutines and would bypass the pacer. pion's own pacers lose them, since they know no retransmission stream.
type rtxQueue struct {
	interceptor.NoOp
	sender *Sender
}

func (g *rtxQueue) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	s := g.sender
	if info.SSRCRetransmission != 0 && info.PayloadTypeRetransmission != 0 {
		s.mu.Lock()
		s.repair.ssrc, s.repair.payloadType, s.repair.next = info.SSRCRetransmission,
			info.PayloadTypeRetransmission, next
		s.mu.Unlock()
	}
	onMedia := info.SSRCRetransmission == 0 || info.PayloadTypeRetransmission == 0
	newest, begun := uint16(0), false
	return interceptor.RTPWriterFunc(func(header *rtp.Header, payload []byte,
		attributes interceptor.Attributes,
	) (int, error) {
		defer s.cfg.Guard.Recover(part) // the NACK responder has goroutines of its own
		// Media comes in order from the pacer alone; the rest are retransmissions: on its own stream, or on the media's
		// where the peer has no retransmission stream.
		s.mu.Lock()
		// Serial number arithmetic.
		again := header.SSRC != info.SSRC || begun && int16(header.SequenceNumber-newest) <= 0
		if !again {
			newest, begun = header.SequenceNumber, true
			key := s.label.key
			s.mu.Unlock()
			s.repeats.sent(header.SequenceNumber, time.Now(), key)
			return next.Write(header, payload, attributes)
		}
		broken := false
		defer func() {
			s.mu.Unlock()
			if broken && s.cfg.OnBroken != nil {
				s.cfg.OnBroken()
			}
		}()
		size := header.MarshalSize() + len(payload)
		r := resend{attributes: attributes, next: next, original: header.SequenceNumber, onMedia: onMedia}
		if header.SSRC != info.SSRC && len(payload) >= 2 {
			r.original = binary.BigEndian.Uint16(payload)
		}
		if why, refused := s.refuse(r.original, size, onMedia); refused {
			s.stats.Refused[why]++
			broken = s.repeats.broken(r.original, why, time.Now(), s.rtt)
			return size, nil
		}
		clone := header.Clone() // the responder takes both back when this returns
		r.header, r.payload = &clone, slices.Clone(payload)
		s.resends = append(s.resends, r)
		s.notify()
		return size, nil
	})
}

// refuse reports whether, and why, a request for a packet is not to be answered with so many bytes; otherwise they
// count. The caller holds mu.
func (s *Sender) refuse(number uint16, size int, onMedia bool) (pacing.Refusal, bool) {
	if slices.ContainsFunc(s.resends, func(w resend) bool { return w.original == number }) {
		return pacing.RefusedSoon, true // it is on its way
	}
	if why, refused := s.repeats.refuse(number, time.Now(), s.rtt, onMedia); refused {
		return why, true
	}
	if size > s.PacketSize()+extensionBytes { // of before smaller packets were sent: the path lets none of them through
		return pacing.RefusedOld, true
	}
	if s.closed {
		return pacing.RefusedFull, true
	}
	why, taken := s.shares.Admit(size, len(s.resends))
	return why, !taken
}

// UnbindLocalStream is called by pion when the stream ends.
func (g *rtxQueue) UnbindLocalStream(*interceptor.StreamInfo) {
	g.sender.mu.Lock()
	defer g.sender.mu.Unlock()
	g.sender.repair.next, g.sender.resends = nil, nil
}

func (s *Sender) resendFirst() {
	s.mu.Lock()
	if len(s.resends) == 0 {
		s.mu.Unlock()
		return
	}
	r := s.resends[0]
	s.resends = slices.Delete(s.resends, 0, 1)
	if why, refused := s.repeats.useless(r.original, r.onMedia); refused {
		s.stats.Refused[why]++
		broken := s.repeats.broken(r.original, why, time.Now(), s.rtt)
		s.mu.Unlock()
		if broken && s.cfg.OnBroken != nil {
			s.cfg.OnBroken()
		}
		return
	}
	s.repeats.again(r.original, time.Now())
	s.shares.Retransmitted(r.header.MarshalSize() + len(r.payload))
	if r.header.SSRC == s.repair.ssrc && s.repair.next != nil {
		r.header.SequenceNumber = s.repair.sequence
		s.repair.sequence++
	}
	s.mu.Unlock()
	if _, err := r.next.Write(r.header, r.payload, r.attributes); err != nil {
		s.cfg.Log.Debug("packet not sent again", "err", err)
	}
}
