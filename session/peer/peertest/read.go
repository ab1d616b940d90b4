package peertest

import (
	"errors"
	"fmt"

	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// read counts the complete pictures of a track.
func (v *Viewer) read(track *webrtc.TrackRemote) {
	key := false
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if len(p.Payload) == 0 {
			continue
		}
		v.mu.Lock()
		v.bytes += len(p.Payload)
		v.mu.Unlock()
		begins, err := part(track.Codec().MimeType, p.Payload)
		key = key || begins
		if err != nil {
			v.mu.Lock()
			v.malformed = errors.Join(v.malformed, err)
			v.mu.Unlock()
		}
		if !p.Marker {
			continue
		}
		v.mu.Lock()
		v.frames++
		if key {
			v.keys++
		}
		v.mu.Unlock()
		key = false
	}
}

// part reports whether a payload shows a keyframe, and returns an error if the payload is malformed.
func part(mime string, payload []byte) (key bool, err error) {
	if mime == webrtc.MimeTypeVP9 {
		var d codecs.VP9Packet
		unit, err := d.Unmarshal(payload)
		if err == nil && d.B && (unit[0]&0xf0 != 0x80 || (unit[0]&4 == 0) == d.P) {
			err = fmt.Errorf("a frame that begins with %02x, P %v", unit[0], d.P)
		}
		return d.B && !d.P, err
	}
	if mime == webrtc.MimeTypeVP8 {
		var d codecs.VP8Packet
		unit, err := d.Unmarshal(payload)
		begins := err == nil && d.S == 1 && d.PID == 0
		if err == nil && (d.I == 0 || d.PID != 0) {
			err = fmt.Errorf("a packet with picture ID %d of partition %d", d.I, d.PID)
		}
		return begins && len(unit) > 0 && unit[0]&1 == 0, err // the P bit of RFC 7741, section 4.3
	}
	var d codecs.H264Packet
	_, err = d.Unmarshal(payload)
	// A keyframe has parameter sets (7), alone or in an aggregate (24), and an IDR slice (5), whole or in fragments
	// (28).
	switch kind := payload[0] & 0x1f; kind {
	case 5, 7, 24:
		key = true
	case 28:
		key = len(payload) > 1 && payload[1]&0x1f == 5
	}
	return key, err
}
