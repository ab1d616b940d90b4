package wire

import (
	"cmp"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// rtxStream is the retransmission stream (RFC 4588). Its sequence numbers are assigned when packets are sent. pion's
// responder assigns one to every packet that it stores: a packet retransmitted twice would be a replay to the
// receiver's SRTP, and a long time without loss a jump after which both ends disagree on the rollover counter.
type rtxStream struct {
	ssrc        uint32
	payloadType uint8
	sequence    uint16                // of the next packet
	next        interceptor.RTPWriter // nil when the peer has no such stream
	// spans are the payload types by the packets of media that they are for, the newest first.
	spans [2]span
}

// spanLength is the largest number of packets in a span. Two spans are shorter than half of all sequence numbers, and
// longer than what is kept for retransmissions.
const spanLength = 1 << 14

// span says which payload type the retransmissions of packets of media have, from one of them on.
type span struct {
	from        uint16 // sequence number
	payloadType uint8
}

// began notes that the packets of media from one on have another format, or that
// a span is full. Packets of two spans before are too old to be requested.
func (s *Sender) began(from uint16, payloadType uint8) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rtx.spans = [2]span{{from, payloadType}, s.rtx.spans[0]}
}

// payloadTypeOf returns the payload type of the retransmission of a packet of media.
func (r *rtxStream) payloadTypeOf(original uint16) uint8 {
	newest := r.spans[0]
	if int16(original-newest.from) < 0 && r.spans[1].payloadType != 0 { // serial number arithmetic
		newest = r.spans[1]
	}
	return cmp.Or(newest.payloadType, r.payloadType)
}

// resend is a retransmission of the NACK responder.
type resend struct {
	header     *rtp.Header
	payload    []byte
	attributes interceptor.Attributes
	next       interceptor.RTPWriter
	original   uint16 // sequence number of the packet on the media's stream
	onMedia    bool   // it is sent on that stream
}
