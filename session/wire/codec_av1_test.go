package wire

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// What goes in comes out of the packets, in the form that decoders accept.
func TestAV1AndHEVCGoThroughWhole(t *testing.T) {
	for _, c := range []struct {
		format encode.Format
		open   func() rtp.Depacketizer
		// lost is what packets do not contain.
		lost []byte
	}{
		{encode.AV1, func() rtp.Depacketizer { return &codecs.AV1Depacketizer{} }, []byte{0x12, 0}},
		{encode.HEVC, func() rtp.Depacketizer { return &codecs.H265Depacketizer{} }, nil},
	} {
		t.Run(c.format.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{Formats: []encode.Format{c.format}, StartRate: 10_000_000}, true)
				r.run(t)
				for n, size := range []int{5000, 3000, 20} {
					unit := encode.AccessUnit{Data: encodetest.Unit(c.format, size, n == 0), Key: n == 0, Time: time.Now()}
					sent := r.send(t, unit)
					d := c.open()
					var got []byte
					for i, p := range sent {
						data, err := d.Unmarshal(p.payload)
						if err != nil {
							t.Fatalf("picture %d, packet %d: %v", n, i, err)
						}
						got = append(got, data...)
						if p.size > 1200 || p.header.Marker != (i == len(sent)-1) {
							t.Errorf("picture %d, packet %d of %d: %d bytes, marker %v", n, i, len(sent), p.size, p.header.Marker)
						}
					}
					want := bytes.TrimPrefix(unit.Data, c.lost)
					if !bytes.Equal(plain(got), plain(want)) {
						t.Errorf("picture %d: % x… of %d bytes arrives; want % x… of %d", n,
							got[:min(40, len(got))], len(got), want[:min(40, len(want))], len(want))
					}
				}
			})
		})
	}
}

// plain shortens start codes to three bytes: the length means nothing.
func plain(data []byte) []byte {
	return bytes.ReplaceAll(data, []byte{0, 0, 0, 1}, []byte{0, 0, 1})
}
