package wire

import (
	"fmt"
	"slices"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// nackHistory is how many packets the NACK responder keeps; a power of two. At 20 Mbit/s that is a second.
const nackHistory = 2048

func h264(profile string) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: clockRate,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + profile,
		RTCPFeedback: []webrtc.RTCPFeedback{
			{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}, {Type: "transport-cc"},
		},
	}}
}

// NewAPI returns pion's API for peer connections that send through the link: H.264 with retransmission, the header
// extensions and the chain of interceptors. se is the caller's for everything about ICE.
func (l *Link) NewAPI(se webrtc.SettingEngine) (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	payloadType := webrtc.PayloadType(102)
	// The stream is constrained baseline, which a decoder of any of these profiles decodes; the others are for peers that
	// offer no 42e01f.
	for _, profile := range []string{"42e01f", "42001f", "4d001f"} {
		codec := h264(profile)
		codec.PayloadType = payloadType
		rtx := webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeRTX, ClockRate: clockRate, SDPFmtpLine: fmt.Sprintf("apt=%d", payloadType),
			},
			PayloadType: payloadType + 1,
		}
		for _, c := range []webrtc.RTPCodecParameters{codec, rtx} {
			if err := media.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
				return nil, fmt.Errorf("wire: register codec: %w", err)
			}
		}
		payloadType += 2
	}
	for _, uri := range []string{uriTransportCC, uriAbsCaptureTime, uriPlayoutDelay} {
		if err := media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, fmt.Errorf("wire: register header extension: %w", err)
		}
	}

	numbers, err := twcc.NewHeaderExtensionInterceptor()
	if err != nil {
		return nil, fmt.Errorf("wire: make transport-wide numbers: %w", err)
	}
	responder, err := nack.NewResponderInterceptor(nack.ResponderSize(nackHistory))
	if err != nil {
		return nil, fmt.Errorf("wire: make NACK responder: %w", err)
	}
	reports, err := report.NewSenderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("wire: make sender reports: %w", err)
	}
	registry := &interceptor.Registry{}
	// The first is the one nearest to the network.
	registry.Add(factory(func() interceptor.Interceptor { return &recorder{link: l} }))
	registry.Add(numbers)
	registry.Add(factory(func() interceptor.Interceptor { return &gate{link: l} }))
	registry.Add(responder)
	registry.Add(reports)
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(se)), nil
}

type factory func() interceptor.Interceptor

func (f factory) NewInterceptor(string) (interceptor.Interceptor, error) { return f(), nil }

// recorder notes every packet that leaves.
type recorder struct {
	interceptor.NoOp
	link *Link
}

func (r *recorder) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	var id uint8
	if i := slices.IndexFunc(info.RTPHeaderExtensions, func(e interceptor.RTPHeaderExtension) bool { return e.URI == uriTransportCC }); i >= 0 {
		id = uint8(info.RTPHeaderExtensions[i].ID) // ids have one byte
	}
	l := r.link
	return interceptor.RTPWriterFunc(func(header *rtp.Header, payload []byte, attributes interceptor.Attributes) (int, error) {
		var number rtp.TransportCCExtension
		numbered := id != 0 && number.Unmarshal(header.GetExtension(id)) == nil
		size := header.MarshalSize() + len(payload) + int(header.PaddingSize)
		p := l.history.add(number.TransportSequence, numbered, size, time.Now())
		l.mu.Lock()
		l.stats.Packets++
		l.stats.Bytes += uint64(size)
		l.mu.Unlock()
		n, err := next.Write(header, payload, attributes)
		if l.cfg.OnSent != nil {
			l.cfg.OnSent(p)
		}
		return n, err
	})
}

// gate lets the pacer's own packets through, and queues those that the NACK responder above it sends again: they come from
// pion's goroutines and have to wait for their turn. Without it they would pass the pacer by, and with pion's own pacers they
// are lost, since those know no retransmission stream.
type gate struct {
	interceptor.NoOp
	link *Link
}

func (g *gate) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	l := g.link
	newest, begun := uint16(0), false
	return interceptor.RTPWriterFunc(func(header *rtp.Header, payload []byte, attributes interceptor.Attributes) (int, error) {
		l.mu.Lock()
		// Media comes in order from the pacer alone; the rest is sent again: on its own stream, or on the media's where
		// the peer has no retransmission stream.
		again := header.SSRC != info.SSRC || begun && int16(header.SequenceNumber-newest) <= 0 // serial number arithmetic
		if !again {
			newest, begun = header.SequenceNumber, true
			l.mu.Unlock()
			return next.Write(header, payload, attributes)
		}
		defer l.mu.Unlock()
		if l.closed || len(l.resends) >= maxRetransmissions {
			l.stats.DroppedRetransmissions++
			return 0, nil
		}
		clone := header.Clone()
		l.resends = append(l.resends, resend{header: &clone, payload: slices.Clone(payload), attributes: attributes, next: next})
		l.notify()
		return header.MarshalSize() + len(payload), nil
	})
}
