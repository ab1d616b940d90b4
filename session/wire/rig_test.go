package wire

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"wavryhost/encode"
)

const (
	mediaSSRC, repairSSRC = 0x1111, 0x2222
	mediaType, repairType = 102, 103
	idTransportCC         = 3
	idCaptureTime         = 4
	idPlayoutDelay        = 5
)

// onWire is a packet as it was sent to the network.
type onWire struct {
	header  rtp.Header
	payload []byte
	size    int
	at      time.Time
}

// number returns the transport-wide sequence number.
func (p onWire) number(t testing.TB) uint16 {
	t.Helper()
	var e rtp.TransportCCExtension
	if err := e.Unmarshal(p.header.GetExtension(idTransportCC)); err != nil {
		t.Fatalf("packet %v has no transport-wide number: %v", p.header, err)
	}
	return e.TransportSequence
}

// rig is a sender with its track bound to the whole chain of interceptors, and a network that notes the packets.
type rig struct {
	sender *Sender
	rtcp   interceptor.RTCPReader
	in     []byte // what rtcp reads next

	mu   sync.Mutex
	deaf bool // the network takes nothing, as before the keys are there
	mute bool // packets are counted, not kept
	sent []onWire
}

// newRig binds a sender. Without repair the peer has no retransmission stream.
func newRig(t testing.TB, cfg Config, repair bool) *rig {
	t.Helper()
	r := &rig{sender: newSender(t, cfg)}
	registry, err := r.sender.chain()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := registry.Build("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	info := &interceptor.StreamInfo{
		SSRC: mediaSSRC, PayloadType: mediaType, ClockRate: clockRate,
		RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}},
		RTPHeaderExtensions: []interceptor.RTPHeaderExtension{
			{URI: TransportCC, ID: idTransportCC},
			{URI: uriAbsCaptureTime, ID: idCaptureTime},
			{URI: uriPlayoutDelay, ID: idPlayoutDelay},
		},
	}
	if repair {
		info.SSRCRetransmission, info.PayloadTypeRetransmission = repairSSRC, repairType
	}
	writer := chain.BindLocalStream(info, interceptor.RTPWriterFunc(r.network))
	r.rtcp = chain.BindRTCPReader(interceptor.RTCPReaderFunc(
		func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
			if len(r.in) == 0 {
				return 0, a, io.EOF
			}
			return copy(b, r.in), a, nil
		}))
	if _, err := r.sender.track.Bind(binding{formats: r.sender.cfg.Formats, info: info, writer: writer}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) network(header *rtp.Header, payload []byte, _ interceptor.Attributes) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deaf {
		return 0, nil
	}
	size := header.MarshalSize() + len(payload) + int(header.PaddingSize)
	if r.mute {
		return size, nil
	}
	r.sent = append(r.sent, onWire{
		header: header.Clone(), payload: append([]byte(nil), payload...),
		size: size, at: time.Now(),
	})
	return size, nil
}

// packets returns the packets sent so far.
func (r *rig) packets() []onWire {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]onWire(nil), r.sent...)
}

// nack requests packets of media.
func (r *rig) nack(t testing.TB, numbers ...uint16) {
	t.Helper()
	data, err := (&rtcp.TransportLayerNack{
		MediaSSRC: mediaSSRC,
		Nacks:     rtcp.NackPairsFromSequenceNumbers(numbers),
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r.in = data
	if _, _, err := r.rtcp.Read(make([]byte, 1500), nil); err != nil {
		t.Fatal(err)
	}
}

// binding is what pion passes to a track when the stream is negotiated.
type binding struct {
	webrtc.TrackLocalContext
	formats []encode.Format
	info    *interceptor.StreamInfo
	writer  interceptor.RTPWriter
}

func (b binding) ID() string        { return "binding" }
func (b binding) SSRC() webrtc.SSRC { return webrtc.SSRC(b.info.SSRC) }
func (b binding) SSRCRetransmission() webrtc.SSRC {
	return webrtc.SSRC(b.info.SSRCRetransmission)
}
func (b binding) SSRCForwardErrorCorrection() webrtc.SSRC { return 0 }
func (b binding) WriteStream() webrtc.TrackLocalWriter    { return b }
func (b binding) Write([]byte) (int, error)               { return 0, io.ErrClosedPipe }

func (b binding) WriteRTP(header *rtp.Header, payload []byte) (int, error) {
	return b.writer.Write(header, payload, nil)
}

func (b binding) CodecParameters() []webrtc.RTPCodecParameters {
	var list []webrtc.RTPCodecParameters
	for i, format := range b.formats {
		codec := parameters(format)[0]
		codec.PayloadType = mediaType + 2*webrtc.PayloadType(i)
		rtx := webrtc.RTPCodecParameters{PayloadType: codec.PayloadType + 1}
		rtx.MimeType, rtx.SDPFmtpLine = webrtc.MimeTypeRTX, associated(codec.PayloadType)
		list = append(list, codec, rtx)
	}
	return list
}

func (b binding) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter {
	var list []webrtc.RTPHeaderExtensionParameter
	for _, e := range b.info.RTPHeaderExtensions {
		list = append(list, webrtc.RTPHeaderExtensionParameter{URI: e.URI, ID: e.ID})
	}
	return list
}
