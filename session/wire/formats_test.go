package wire

import (
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// The format of a stream changes at a keyframe. Retransmissions have the payload type of their packet's format, however
// long ago the change was.
func TestTheFormatChangesWithinAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Formats: []encode.Format{encode.H264, encode.AV1}, StartRate: 1e9}, true)
		r.run(t)
		write := func(format encode.Format, size int, key bool) []onWire {
			t.Helper()
			return r.send(t, encode.AccessUnit{
				Format: format, Data: encodetest.Unit(format, size, key), Key: key, Time: time.Now(),
			})
		}
		again := func(p onWire, want uint8) {
			t.Helper()
			before := len(r.packets())
			r.nack(t, p.header.SequenceNumber)
			time.Sleep(100 * time.Millisecond)
			sent := r.packets()[before:]
			if len(sent) != 1 || sent[0].header.SSRC != repairSSRC || sent[0].header.PayloadType != want {
				t.Errorf("packet %d is sent again as %+v; want one of payload type %d (refused %v)",
					p.header.SequenceNumber, sent, want, r.sender.Stats().Refused)
			}
		}
		first := write(encode.H264, 3000, true)
		second := write(encode.AV1, 3000, true)
		for _, p := range first {
			if p.header.PayloadType != mediaType {
				t.Errorf("payload type %d of the first format; want %d", p.header.PayloadType, mediaType)
			}
		}
		for i, p := range second {
			number := first[len(first)-1].header.SequenceNumber + 1 + uint16(i)
			if p.header.PayloadType != mediaType+2 || p.header.SequenceNumber != number {
				t.Errorf("packet %d of the second format: %+v", i, p.header)
			}
		}
		again(first[1], repairType)
		again(second[1], repairType+2)
		for range 40 { // over half of all sequence numbers
			write(encode.AV1, 1_100_000, false)
		}
		last := write(encode.AV1, 3000, false)
		again(last[1], repairType+2)
		if _, err := r.sender.track.WriteAccessUnit(encode.AccessUnit{Format: encode.VP9, Data: []byte{1}}); err == nil {
			t.Error("an access unit of a format that was not negotiated is sent")
		}
	})
}
