package wire

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"

	"github.com/pion/rtp/codecs"
)

// Each packet has the number of its picture, and the first one says that a picture begins (RFC 7741, section 4.2).
func TestVP8GoesThroughWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Formats: []encode.Format{encode.VP8}, StartRate: 10_000_000}, true)
		r.run(t)
		for n, size := range []int{5000, 3000, 20} {
			unit := encode.AccessUnit{Data: encodetest.Unit(encode.VP8, size, n == 0), Key: n == 0, Time: time.Now()}
			sent := r.send(t, unit)
			var got []byte
			for i, p := range sent {
				var d codecs.VP8Packet
				data, err := d.Unmarshal(p.payload)
				if err != nil {
					t.Fatalf("picture %d, packet %d: %v", n, i, err)
				}
				got = append(got, data...)
				if begins := i == 0; (d.S == 1) != begins || d.PID != 0 || d.N != 0 {
					t.Errorf("picture %d, packet %d: start %d of partition %d, discardable %d", n, i, d.S, d.PID, d.N)
				}
				if d.I != 1 || int(d.PictureID) != n || d.L != 0 || d.T != 0 || d.K != 0 {
					t.Errorf("picture %d, packet %d: descriptor %+v; want the number alone", n, i, d)
				}
				if p.size > 1200 || p.header.Marker != (i == len(sent)-1) {
					t.Errorf("picture %d, packet %d of %d: %d bytes, marker %v", n, i, len(sent), p.size, p.header.Marker)
				}
			}
			if !bytes.Equal(got, unit.Data) {
				t.Errorf("picture %d: %d bytes arrive of %d", n, len(got), len(unit.Data))
			}
		}
	})
}
