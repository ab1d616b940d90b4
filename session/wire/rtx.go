package wire

import (
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
