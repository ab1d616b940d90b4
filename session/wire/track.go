package wire

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"wavryhost/encode"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	clockRate = 90_000 // clock rate of every video codec: RFC 6184, section 8.2.1, and RFC 9628, section 4.1

	// TransportCC is the name of transport-wide sequence numbers.
	TransportCC       = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	uriAbsCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
	uriPlayoutDelay   = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

	// extensionBytes is the size of the header extensions in a packet: 4 for their own header, 2+1 for the
	// transport-wide number, 3+1 for playout delay and 8+1 for the capture time, rounded up to whole words.
	extensionBytes = 20
	headerBytes    = 12
	// maxPayload is the largest payload that pion's NACK responder can keep: 1460 bytes, two of them for the original
	// number.
	maxPayload = 1458
)

// Track carries one stream of access units. Their format may change to another negotiated
// one at each keyframe.
type Track struct {
	id, streamID string
	sender       *Sender

	// base relates capture time to RTP time: the first access unit has a random time stamp (RFC 3550, section 5.1).
	base   time.Time
	offset uint32
	ticks  int64 // RTP time of the newest access unit, since base

	mu           sync.Mutex
	last         uint32 // RTP time of the newest packet sent
	any          bool   // reports whether media was sent
	sequence     uint16
	captureTime  uint8 // IDs of the header extensions; 0 if the peer does not use one
	playoutDelay uint8
	ssrc         uint32
	network      webrtc.TrackLocalWriter // nil before Bind
	forms        map[encode.Format]*form // by the formats; after Bind, by the negotiated ones
	current      *form                   // of the newest packet sent
	since        uint16                  // the first packet of the span that the sender knows
}

var _ webrtc.TrackLocal = (*Track)(nil)

// form is how the packets of a format look.
type form struct {
	payloader rtp.Payloader
	number    uint8 // payload type
	rtx       uint8 // that of retransmissions, or 0
}

// Written is the size of an access unit in packets.
type Written struct{ Packets, Bytes int }

// NewTrack returns the sender's track. A sender has one.
func (s *Sender) NewTrack(id, streamID string) (*Track, error) {
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("wire: make track: %w", err)
	}
	t := &Track{
		id: id, streamID: streamID, sender: s,
		offset: binary.BigEndian.Uint32(seed[:]), sequence: binary.BigEndian.Uint16(seed[4:]),
		forms: make(map[encode.Format]*form),
	}
	for _, format := range s.cfg.Formats {
		t.forms[format] = &form{payloader: payloader(format)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.track != nil {
		return nil, fmt.Errorf("wire: the sender already has a track")
	}
	s.track, s.rtx.sequence = t, binary.BigEndian.Uint16(seed[6:])
	return t, nil
}

// Bind sets up the track. pion calls it when the stream is negotiated.
func (t *Track) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	t.sender.reader.ssrc.Store(uint32(c.SSRC()))
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range c.HeaderExtensions() {
		switch e.URI {
		case uriAbsCaptureTime:
			t.captureTime = uint8(e.ID) // pion's IDs have one byte
		case uriPlayoutDelay:
			t.playoutDelay = uint8(e.ID)
		}
	}
	t.ssrc, t.network = uint32(c.SSRC()), c.WriteStream()
	list := c.CodecParameters()
	var first webrtc.RTPCodecParameters
	for _, format := range slices.Backward(t.sender.cfg.Formats) {
		i := slices.IndexFunc(list, func(p webrtc.RTPCodecParameters) bool {
			return strings.EqualFold(p.MimeType, parameters(format)[0].MimeType)
		})
		if i < 0 {
			delete(t.forms, format)
			continue
		}
		first = list[i]
		f := t.forms[format]
		f.number, f.rtx = uint8(first.PayloadType), 0
		rtx := slices.IndexFunc(list, func(p webrtc.RTPCodecParameters) bool {
			return strings.EqualFold(p.MimeType, webrtc.MimeTypeRTX) && p.SDPFmtpLine == associated(first.PayloadType)
		})
		if rtx >= 0 {
			f.rtx = uint8(list[rtx].PayloadType)
		}
	}
	if len(t.forms) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	return first, nil
}

// Unbind ends the use of the stream. pion calls it.
func (t *Track) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.network = nil
	return nil
}

// ID returns the ID of the track.
func (t *Track) ID() string { return t.id }

// RID returns the restriction identifier of a simulcast stream, of which there is none.
func (t *Track) RID() string { return "" }

// StreamID returns the ID of the media stream.
func (t *Track) StreamID() string { return t.streamID }

// Kind returns video.
func (t *Track) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeVideo }

// format returns the format of an access unit: the first one, unless it says which.
func (t *Track) format(au encode.AccessUnit) encode.Format {
	if au.Format == (encode.Format{}) {
		return t.sender.cfg.Formats[0]
	}
	return au.Format
}

// WriteAccessUnit packetizes au, which has one of the negotiated formats, and hands it to the pacer. The RTP time is
// the capture time at 90 kHz by the monotonic clock. It returns ErrFull if another access unit already waits and au is
// not a keyframe; the stream must then continue with a keyframe. One goroutine at a time calls it.
func (t *Track) WriteAccessUnit(au encode.AccessUnit) (Written, error) {
	stamp := t.stamp(au.Time)
	t.mu.Lock()
	captureTime, playoutDelay := t.captureTime, t.playoutDelay
	f := t.forms[t.format(au)]
	t.mu.Unlock()
	if f == nil {
		return Written{}, fmt.Errorf("wire: format %v is not negotiated", t.format(au))
	}

	size := min(t.sender.PacketSize()-headerBytes-extensionBytes, maxPayload)
	chunks := f.payloader.Payload(uint16(size), au.Data)
	packets := make([]*rtp.Packet, len(chunks))
	var w Written
	for i, chunk := range chunks {
		p := &rtp.Packet{
			Header:  rtp.Header{Version: 2, PayloadType: f.number, Timestamp: stamp, Marker: i == len(chunks)-1},
			Payload: chunk,
		}
		if playoutDelay != 0 {
			// Smallest and largest delay 0: show each frame as soon as it is decoded.
			if err := p.SetExtension(playoutDelay, []byte{0, 0, 0}); err != nil {
				return Written{}, fmt.Errorf("wire: write playout delay: %w", err)
			}
		}
		if captureTime != 0 && i == len(chunks)-1 {
			if err := p.SetExtension(captureTime, ntp(au.Time)); err != nil {
				return Written{}, fmt.Errorf("wire: write capture time: %w", err)
			}
		}
		packets[i] = p
		w.Packets++
		w.Bytes += p.MarshalSize()
	}
	if len(packets) == 0 {
		return Written{}, nil
	}
	return w, t.sender.enqueue(batch{packets: packets, bytes: w.Bytes, time: au.Time}, au.Key)
}

// stamp returns the RTP time of a capture time. Both are by the monotonic clock, so a step of the wall clock has no
// effect. No two access units have the same RTP time: the receiver would take them for one frame.
func (t *Track) stamp(at time.Time) uint32 {
	if t.base.IsZero() {
		t.base, t.ticks = at, -1
	}
	d := at.Sub(t.base)
	seconds, rest := int64(d/time.Second), int64(d%time.Second)
	t.ticks = max(seconds*clockRate+rest*clockRate/int64(time.Second), t.ticks+1)
	return t.offset + uint32(t.ticks) // RTP time wraps
}

// ntp returns a wall clock time in 64 bits of NTP, 32 of them fractional (RFC 5905, section 6).
func ntp(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, ntp64(t))
}

func ntp64(t time.Time) uint64 {
	const toUnix = 2_208_988_800 // seconds from 1900 to 1970
	n := t.UnixNano()
	seconds, rest := uint64(n/1e9)+toUnix, uint64(n%1e9) // this is after 1970
	return seconds<<32 | rest<<32/1e9
}

// write sends one packet of media through pion. Sequence numbers are assigned here, because nothing is dropped after
// this.
func (t *Track) write(p *rtp.Packet) {
	t.mu.Lock()
	p.SequenceNumber = t.sequence
	t.sequence++
	t.last, t.any = p.Timestamp, true
	changed := t.current == nil || t.current.number != p.PayloadType
	if changed {
		for _, f := range t.forms {
			if f.number == p.PayloadType {
				t.current = f
			}
		}
	}
	rtx := uint8(0)
	if t.current != nil {
		rtx = t.current.rtx
	}
	begins := changed || p.SequenceNumber-t.since >= spanLength
	if begins {
		t.since = p.SequenceNumber
	}
	t.mu.Unlock()
	if begins {
		t.sender.began(p.SequenceNumber, rtx)
	}
	if err := t.send(p); err != nil {
		t.sender.cfg.Log.Debug("packet not sent", "err", err)
	}
}

// send hands a packet to pion.
func (t *Track) send(p *rtp.Packet) error {
	t.mu.Lock()
	network := t.network
	p.SSRC = t.ssrc
	t.mu.Unlock()
	if network == nil {
		return io.ErrClosedPipe
	}
	_, err := network.WriteRTP(&p.Header, p.Payload)
	return err
}

// writePadding sends one packet of n bytes of padding. It has the time stamp of the previous frame, as receivers expect
// between frames.
func (t *Track) writePadding(n byte) {
	t.mu.Lock()
	p := &rtp.Packet{Header: rtp.Header{
		Version: 2, Padding: true, PaddingSize: n, SequenceNumber: t.sequence,
		Timestamp: t.last,
	}}
	if t.current != nil {
		p.PayloadType = t.current.number
	}
	t.sequence++
	t.mu.Unlock()
	if err := t.send(p); err != nil {
		t.sender.cfg.Log.Debug("padding not sent", "err", err)
	}
}

// begun reports whether media was sent.
func (t *Track) begun() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.any
}

// newest returns the RTP time of the newest sent packet.
func (t *Track) newest() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}
