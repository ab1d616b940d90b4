package wire

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/webrtc/v4"
)

// lossy drops every fiftieth packet of media that arrives, below the receiver's NACK generator.
type lossy struct{ interceptor.NoOp }

func (*lossy) BindRemoteStream(_ *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	seen := 0
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if seen++; err == nil && seen%50 == 0 {
			n, a, err = next.Read(b, a)
		}
		return n, a, err
	})
}

// Retransmissions have to pass the pacer and arrive: pion's own pacers know no retransmission stream and lose them.
func TestLostPacketsAreSentAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	l := newLink(t, Config{StartRate: 20_000_000})
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	api, err := l.NewAPI(settings)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()

	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	generator, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(10 * time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	registry := &interceptor.Registry{}
	registry.Add(factory(func() interceptor.Interceptor { return &lossy{} }))
	registry.Add(generator)
	receiver, err := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings)).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()

	numbers := make(chan uint16, 4096)
	receiver.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			numbers <- p.SequenceNumber
		}
	})
	if _, err := receiver.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	rtpSender, err := sender.AddTrack(l.track.Local())
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{})
	sender.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	negotiate(t, receiver, sender)
	go func() { // pion handles NACKs while somebody reads
		for {
			packets, _, err := rtpSender.ReadRTCP()
			if err != nil {
				return
			}
			l.Receive(time.Now(), packets)
		}
	}()
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	select {
	case <-connected:
	case <-ctx.Done():
		t.Fatal("not connected")
	}

	const frames, perFrame = 100, 5
	sent := 0
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for range frames {
		<-ticker.C
		w, err := l.track.WriteAccessUnit(unit(perFrame*1000, true, time.Now()))
		if err != nil && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		sent += w.Packets
	}
	seen := map[uint16]bool{}
	// The last packets may be lost with nothing after them that shows the gap.
	for len(seen) < sent-perFrame {
		select {
		case n := <-numbers:
			seen[n] = true
		case <-ctx.Done():
			t.Fatalf("%d of %d packets arrived; sent again: %d", len(seen), sent, l.Stats().Retransmissions)
		}
	}
	if s := l.Stats(); s.Retransmissions == 0 || s.DroppedRetransmissions != 0 {
		t.Errorf("counts are %+v; want retransmissions, and none dropped", s)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Run ended with %v", err)
	}
}

func negotiate(t *testing.T, offerer, answerer *webrtc.PeerConnection) {
	t.Helper()
	offer, err := offerer.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(offerer)
	if err := offerer.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	if err := answerer.SetRemoteDescription(*offerer.LocalDescription()); err != nil {
		t.Fatal(err)
	}
	answer, err := answerer.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered = webrtc.GatheringCompletePromise(answerer)
	if err := answerer.SetLocalDescription(answer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	if err := offerer.SetRemoteDescription(*answerer.LocalDescription()); err != nil {
		t.Fatal(err)
	}
}
