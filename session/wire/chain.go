package wire

import (
	"fmt"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/webrtc/v4"
)

// nackHistory is how many packets the NACK responder keeps; a power of two. At 20 Mbit/s that is a second.
const nackHistory = 2048

func h264(profile string) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: clockRate,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + profile,
		RTCPFeedback: []webrtc.RTCPFeedback{
			{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}, {Type: "transport-cc"}, {Type: "ack", Parameter: "ccfb"},
		},
	}}
}

// NewAPI returns pion's API for peer connections that send through the link: H.264 with retransmission, the header
// extensions and the chain of interceptors. se is the caller's for everything about ICE; its BufferFactory is the link's.
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

	registry, err := l.chain()
	if err != nil {
		return nil, err
	}
	useInboxes(l, &se.BufferFactory)
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(se)), nil
}

// chain returns the interceptors that every packet passes. The first is the one nearest to the network: pion's chain wraps
// the writer of each interceptor into that of the next.
func (l *Link) chain() (*interceptor.Registry, error) {
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
	registry.Add(factory(func() interceptor.Interceptor { return &recorder{link: l} }))
	registry.Add(numbers)
	registry.Add(factory(func() interceptor.Interceptor { return &gate{link: l} }))
	registry.Add(responder)
	registry.Add(reports)
	return registry, nil
}

type factory func() interceptor.Interceptor

func (f factory) NewInterceptor(string) (interceptor.Interceptor, error) { return f(), nil }
