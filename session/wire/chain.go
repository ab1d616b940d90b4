package wire

import (
	"fmt"

	"wavryhost/adapt/pacing"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/webrtc/v4"
)

// NewAPI returns pion's API for peer connections that use the sender: its formats with retransmission, the header
// extensions and the chain of interceptors. The caller sets everything about ICE in se; the sender sets its
// BufferFactory.
func (s *Sender) NewAPI(se webrtc.SettingEngine) (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	if err := register(media, s.cfg.Formats); err != nil {
		return nil, err
	}
	for _, uri := range Extensions() {
		if err := media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri},
			webrtc.RTPCodecTypeVideo); err != nil {
			return nil, fmt.Errorf("wire: register header extension: %w", err)
		}
	}

	registry, err := s.chain()
	if err != nil {
		return nil, err
	}
	useInboxes(s, &se.BufferFactory)
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(se)), nil
}

// chain returns the interceptors that every packet passes. The first is nearest to the network: pion's chain wraps the
// writer of each interceptor into that of the next.
func (s *Sender) chain() (*interceptor.Registry, error) {
	numbers, err := twcc.NewHeaderExtensionInterceptor()
	if err != nil {
		return nil, fmt.Errorf("wire: make transport-wide numbers: %w", err)
	}
	responder, err := nack.NewResponderInterceptor(nack.ResponderSize(pacing.Kept))
	if err != nil {
		return nil, fmt.Errorf("wire: make NACK responder: %w", err)
	}
	reports, err := report.NewSenderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("wire: make sender reports: %w", err)
	}
	registry := &interceptor.Registry{}
	registry.Add(factory(func() interceptor.Interceptor { return &reportClock{} }))
	registry.Add(factory(func() interceptor.Interceptor { return &recorder{sender: s} }))
	registry.Add(numbers)
	registry.Add(factory(func() interceptor.Interceptor { return &rtxQueue{sender: s} }))
	registry.Add(responder)
	registry.Add(reports)
	return registry, nil
}

type factory func() interceptor.Interceptor

func (f factory) NewInterceptor(string) (interceptor.Interceptor, error) { return f(), nil }
