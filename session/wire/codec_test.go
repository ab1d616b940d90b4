package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"

	"github.com/pion/rtp/codecs"
)

// vp9 returns a frame of 640x480 with n bytes after its header.
func vp9(n int, key bool, at time.Time) encode.AccessUnit {
	data := []byte{0x86} // frame marker, profile 0, an inter frame that is shown
	if key {
		data = []byte{0x82, 0x49, 0x83, 0x42, 0x40, 0x27, 0xf0, 0x1d, 0xf0} // sync code, BT.601, 639, 479
	}
	for i := range n {
		data = append(data, byte(i))
	}
	return encode.AccessUnit{Data: data, Key: key, Time: at}
}

func TestVP9GoesThroughWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Formats: []encode.Format{encode.VP9}, StartRate: 10_000_000}, true)
		r.run(t)
		last := -1
		for n, unit := range []encode.AccessUnit{
			vp9(5000, true, time.Now()), vp9(3000, false, time.Now()),
			vp9(20, false, time.Now()),
		} {
			sent := r.send(t, unit)
			var got []byte
			for i, p := range sent {
				if p.size > 1200 {
					t.Errorf("picture %d: a packet of %d bytes", n, p.size)
				}
				var d codecs.VP9Packet
				data, err := d.Unmarshal(p.payload)
				if err != nil {
					t.Fatalf("picture %d, packet %d: %v", n, i, err)
				}
				got = append(got, data...)
				end := i == len(sent)-1
				if d.B != (i == 0) || d.E != end || p.header.Marker != end || d.P == unit.Key || d.F || d.L {
					t.Errorf("picture %d, packet %d: descriptor %+v, marker %v", n, i, d, p.header.Marker)
				}
				if d.V != (unit.Key && i == 0) || d.V && (!slices.Equal(d.Width, []uint16{640}) ||
					!slices.Equal(d.Height, []uint16{480})) {
					t.Errorf("picture %d, packet %d: sizes %v x %v; want that of a keyframe", n, i, d.Width, d.Height)
				}
				if p.header.GetExtension(idPlayoutDelay) == nil ||
					end != (p.header.GetExtension(idCaptureTime) != nil) {
					t.Errorf("picture %d, packet %d: extensions %v", n, i, p.header.Extensions)
				}
				if i > 0 && int(d.PictureID) != last || i == 0 && last >= 0 && int(d.PictureID) != (last+1)&0x7fff {
					t.Errorf("picture %d, packet %d has number %d after %d", n, i, d.PictureID, last)
				}
				last = int(d.PictureID)
			}
			if !bytes.Equal(got, unit.Data) {
				t.Errorf("picture %d: %d bytes arrive of %d", n, len(got), len(unit.Data))
			}
		}
		all := r.packets()
		r.nack(t, all[1].header.SequenceNumber)
		time.Sleep(10 * time.Millisecond)
		if again := r.packets(); len(again) != len(all)+1 || !bytes.Equal(again[len(all)].payload[2:], all[1].payload) {
			t.Error("a packet that was lost is not sent again")
		}
	})
}

func TestCodecsThatCanBePacketized(t *testing.T) {
	for _, format := range encode.Formats() {
		if _, err := New(Config{Formats: []encode.Format{format}}); err != nil {
			t.Errorf("%v: %v", format, err)
		}
	}
	h261 := encode.Format{Codec: "H261", Depth: 8}
	if _, err := New(Config{Formats: []encode.Format{h261}}); err == nil || !strings.Contains(err.Error(), "H261") {
		t.Errorf("got %v; want an error that names the format", err)
	}
}
