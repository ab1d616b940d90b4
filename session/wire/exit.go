package wire

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// maxRetransmissions bounds the packets that wait to be sent again; what comes beyond is asked for again anyway.
const maxRetransmissions = 512

const (
	// resentRing is how many packets sent again are remembered, and leastRepeat the least time until one is sent once more; it is a
	// round trip where that is longer. Receivers ask for a packet again and again until it is there (pion's each 100 ms): on a path
	// with a queue each answer to that would be a copy behind the one that is on its way, until nothing but copies is sent.
	resentRing  = 512
	leastRepeat = 20 * time.Millisecond
	// mostCredit is how many bytes may be sent again at once before media; beyond it, the two share the rate.
	mostCredit = 15_000
)

// resentAt is when a packet, by its number in the media's stream, was sent again.
type resentAt struct {
	number uint16
	at     time.Time
}

// recorder notes every packet that leaves.
type recorder struct {
	interceptor.NoOp
	link *Link
}

func (r *recorder) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	var id uint8
	if i := slices.IndexFunc(info.RTPHeaderExtensions, func(e interceptor.RTPHeaderExtension) bool { return e.URI == uriTransportCC }); i >= 0 {
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
		// It is noted before it leaves, as the report may be faster than this goroutine.
		p := l.history.add(number.TransportSequence, numbered, size, time.Now(), what)
		kept := byStream || byReports && header.SSRC == info.SSRC && !what.again
		if kept {
			l.streams.of(header.SSRC).put(header.SequenceNumber, p)
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
	newest, begun := uint16(0), false
	return interceptor.RTPWriterFunc(func(header *rtp.Header, payload []byte, attributes interceptor.Attributes) (int, error) {
		l.mu.Lock()
		// Media comes in order from the pacer alone; the rest is sent again: on its own stream, or on the media's where
		// the peer has no retransmission stream.
		again := header.SSRC != info.SSRC || begun && int16(header.SequenceNumber-newest) <= 0 // serial number arithmetic
		if !again {
			newest, begun = header.SequenceNumber, true
			l.mu.Unlock()
			return next.Write(header, payload, attributes)
		}
		defer l.mu.Unlock()
		r := resend{attributes: attributes, next: next, original: header.SequenceNumber}
		if header.SSRC != info.SSRC && len(payload) >= 2 {
			r.original = binary.BigEndian.Uint16(payload)
		}
		if slices.ContainsFunc(l.resends, func(w resend) bool { return w.original == r.original }) {
			return header.MarshalSize() + len(payload), nil // it is on its way
		}
		if w := l.resent[r.original%resentRing]; w.number == r.original && !w.at.IsZero() && time.Since(w.at) < max(leastRepeat, l.rtt) {
			l.stats.RepeatedRequests++
			return header.MarshalSize() + len(payload), nil // as above
		}
		if l.closed || len(l.resends) >= maxRetransmissions {
			l.stats.DroppedRetransmissions++
			return 0, nil
		}
		clone := header.Clone() // the responder takes both back when this returns
		r.header, r.payload = &clone, slices.Clone(payload)
		l.resends = append(l.resends, r)
		l.notify()
		return header.MarshalSize() + len(payload), nil
	})
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
	l.resent[r.original%resentRing] = resentAt{r.original, time.Now()}
	l.credit -= r.header.MarshalSize() + len(r.payload)
	if r.header.SSRC == l.repair.ssrc && l.repair.next != nil {
		r.header.SequenceNumber = l.repair.sequence
		l.repair.sequence++
	}
	l.mu.Unlock()
	if _, err := r.next.Write(r.header, r.payload, r.attributes); err != nil {
		l.cfg.Log.Debug("packet not sent again", "err", err)
	}
}
