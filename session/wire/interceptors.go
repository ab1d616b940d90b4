package wire

import (
	"encoding/binary"
	"slices"
	"time"

	"wavryhost/adapt/pacing"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// recorder notes every packet that is sent.
type recorder struct {
	interceptor.NoOp
	sender *Sender
}

func (r *recorder) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	var id uint8
	if i := slices.IndexFunc(info.RTPHeaderExtensions,
		func(e interceptor.RTPHeaderExtension) bool { return e.URI == TransportCC }); i >= 0 {
		id = uint8(info.RTPHeaderExtensions[i].ID) // IDs have one byte
	}
	s := r.sender
	byStream := slices.Contains(info.RTCPFeedback, interceptor.RTCPFeedback{Type: "ack", Parameter: "ccfb"})
	// Receiver reports and NACKs, too, refer to packets of media by their numbers.
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
		// It is noted before it is sent, because the report may be faster than this goroutine.
		p := s.reader.history.add(number.TransportSequence, numbered, size, time.Now(), what, carries)
		// A retransmission on the media's stream has the number of the original, whose place it must not take.
		kept := (byStream || byReports && header.SSRC == info.SSRC) && !carries.copied
		if kept {
			s.reader.streams.of(header.SSRC).put(header.SequenceNumber, p, carries)
		} else if byStream {
			s.reader.streams.of(header.SSRC).again(header.SequenceNumber)
		}
		n, err := next.Write(header, payload, attributes)
		if n == 0 || err != nil { // pion silently discards packets before the keys exist
			s.reader.history.withdraw(number.TransportSequence, p.ID)
			if kept {
				s.reader.streams.of(header.SSRC).withdraw(header.SequenceNumber, p.ID)
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
		s.cfg.OnSent(p)
		return n, nil
	})
}

// carried returns the packet of media that a packet contains.
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
	if what.again {
		s.Retransmissions++
		s.RetransmittedBytes += uint64(size)
	}
}

// rtxQueue passes the pacer's own packets, and queues the retransmissions of the NACK responder above it: they come
// from pion's goroutines and must wait for their turn. Without the queue they would bypass the pacer. pion's own
// pacers would lose them, because those do not know a retransmission stream.
type rtxQueue struct {
	interceptor.NoOp
	sender *Sender
}

func (q *rtxQueue) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	s := q.sender
	if info.SSRCRetransmission != 0 && info.PayloadTypeRetransmission != 0 {
		s.mu.Lock()
		s.rtx.ssrc, s.rtx.payloadType, s.rtx.next = info.SSRCRetransmission, info.PayloadTypeRetransmission, next
		s.mu.Unlock()
	}
	onMedia := info.SSRCRetransmission == 0 || info.PayloadTypeRetransmission == 0
	newest, begun := uint16(0), false
	return interceptor.RTPWriterFunc(func(header *rtp.Header, payload []byte,
		attributes interceptor.Attributes,
	) (int, error) {
		defer s.cfg.Guard.Recover(part) // the NACK responder has its own goroutines
		// Media comes in order and from the pacer only. Everything else is a retransmission: on its own stream, or on
		// the media's if the peer has no retransmission stream.
		s.mu.Lock()
		// Serial number arithmetic.
		again := header.SSRC != info.SSRC || begun && int16(header.SequenceNumber-newest) <= 0
		if !again {
			newest, begun = header.SequenceNumber, true
		}
		key := s.label.key
		s.mu.Unlock()
		if !again {
			s.repeats.sent(header.SequenceNumber, time.Now(), key)
			return next.Write(header, payload, attributes)
		}
		r := resend{attributes: attributes, next: next, original: header.SequenceNumber, onMedia: onMedia}
		if header.SSRC != info.SSRC && len(payload) >= 2 {
			r.original = binary.BigEndian.Uint16(payload)
		}
		size := header.MarshalSize() + len(payload)
		if s.queueResend(r, header, payload, size) {
			s.cfg.OnBroken()
		}
		return size, nil
	})
}

// queueResend queues a retransmission, or refuses it. It reports whether a refusal leaves the receiver without a
// picture.
func (s *Sender) queueResend(r resend, header *rtp.Header, payload []byte, size int) (broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why, refused := s.refuse(r.original, size, r.onMedia); refused {
		return s.countRefusal(r.original, why)
	}
	clone := header.Clone() // the responder reuses both when this returns
	r.header, r.payload = &clone, slices.Clone(payload)
	s.resends = append(s.resends, r)
	s.notify()
	return false
}

// countRefusal counts a request that is not answered, and reports whether that leaves the receiver without a picture.
// The caller holds mu.
func (s *Sender) countRefusal(number uint16, why pacing.Refusal) (broken bool) {
	s.stats.Refused[why]++
	return s.repeats.broken(number, why, time.Now(), s.reader.roundTrip())
}

// refuse reports whether, and why, a request for a packet with so many bytes is not answered. An answered request
// counts. The caller holds mu.
func (s *Sender) refuse(number uint16, size int, onMedia bool) (pacing.Refusal, bool) {
	if slices.ContainsFunc(s.resends, func(w resend) bool { return w.original == number }) {
		return pacing.RefusedSoon, true // it already waits
	}
	if why, refused := s.repeats.refuse(number, time.Now(), s.reader.roundTrip(), onMedia); refused {
		return why, true
	}
	if size > s.PacketSize()+extensionBytes { // from before the packet size was reduced: the path drops it
		return pacing.RefusedOld, true
	}
	if s.closed {
		return pacing.RefusedFull, true
	}
	why, taken := s.shares.Admit(size, len(s.resends))
	return why, !taken
}

// pion calls UnbindLocalStream when the stream ends.
func (q *rtxQueue) UnbindLocalStream(*interceptor.StreamInfo) {
	q.sender.mu.Lock()
	defer q.sender.mu.Unlock()
	q.sender.rtx.next, q.sender.resends = nil, nil
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
		broken := s.countRefusal(r.original, why)
		s.mu.Unlock()
		if broken {
			s.cfg.OnBroken()
		}
		return
	}
	s.repeats.again(r.original, time.Now())
	s.shares.Retransmitted(r.header.MarshalSize() + len(r.payload))
	if r.header.SSRC == s.rtx.ssrc && s.rtx.next != nil {
		r.header.SequenceNumber, r.header.PayloadType = s.rtx.sequence, s.rtx.payloadTypeOf(r.original)
		s.rtx.sequence++
	}
	s.mu.Unlock()
	if _, err := r.next.Write(r.header, r.payload, r.attributes); err != nil {
		s.cfg.Log.Debug("packet not sent again", "err", err)
	}
}
