package selfprobe

import (
	"fmt"
	"strings"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// units makes access units of packets. The path is short, so a packet out of order counts as lost.
type units struct {
	payload rtp.Depacketizer
	open    func() rtp.Depacketizer
	started bool
	next    uint16
	broken  bool // the unit lacks a packet
	data    []byte
}

// newUnits returns units of a codec, by its name in RTP.
func newUnits(codec string) (*units, error) {
	u := &units{}
	switch strings.ToUpper(codec) {
	case "H264":
		u.open = func() rtp.Depacketizer { return &codecs.H264Packet{} }
	case "VP9":
		u.open = func() rtp.Depacketizer { return &codecs.VP9Packet{} }
	case "VP8":
		u.open = func() rtp.Depacketizer { return &codecs.VP8Packet{} }
	case "H265":
		u.open = func() rtp.Depacketizer { return &codecs.H265Depacketizer{} }
	case "AV1":
		u.open = func() rtp.Depacketizer { return &codecs.AV1Depacketizer{} }
	default:
		return nil, fmt.Errorf("no packets of the codec %.20q are known", codec)
	}
	u.payload = u.open()
	return u, nil
}

// add takes a packet. It returns the access unit that is complete with it, and reports whether a packet was lost.
func (u *units) add(p *rtp.Packet) (unit []byte, lost bool) {
	lost = u.started && p.SequenceNumber != u.next
	u.started, u.next = true, p.SequenceNumber+1
	if lost {
		u.broken = true
	}
	if len(p.Payload) == 0 { // padding
		return nil, lost
	}
	if !u.broken {
		payload, err := u.payload.Unmarshal(p.Payload)
		if err != nil {
			u.broken, lost = true, true
		}
		u.data = append(u.data, payload...)
	}
	if !p.Marker {
		return nil, lost
	}
	if !u.broken {
		unit = u.data
	}
	u.data, u.broken, u.payload = nil, false, u.open()
	return unit, lost
}
