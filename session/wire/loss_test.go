package wire

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// lossy drops every fiftieth packet that arrives, of media and retransmissions, before the receiver's NACK generator.
// It counts the retransmissions that it passes, and how many of these have a transport-wide number.
type lossy struct {
	interceptor.NoOp
	again, numbered atomic.Int32
}

func (l *lossy) BindRemoteStream(info *interceptor.StreamInfo, next interceptor.RTPReader) interceptor.RTPReader {
	seen := 0
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := next.Read(b, a)
		if seen++; err == nil && seen%50 == 0 {
			n, a, err = next.Read(b, a)
		}
		var header rtp.Header
		if err == nil && info.MimeType == webrtc.MimeTypeRTX {
			l.again.Add(1)
			if _, e := header.Unmarshal(b[:n]); e == nil && header.Extension {
				for _, e := range info.RTPHeaderExtensions {
					if e.URI == TransportCC && header.GetExtension(uint8(e.ID)) != nil {
						l.numbered.Add(1)
					}
				}
			}
		}
		return n, a, err
	})
}

// reported notes what is reported of the packets of a sender, by their ID.
type reported struct {
	mu       sync.Mutex
	lost     map[uint64]bool
	disorder int // packets reported out of the order they were sent in
}

func (r *reported) add(feedback []adapt.Feedback, form adapt.FeedbackKind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range feedback {
		if f.Kind != form {
			continue
		}
		last := uint64(0)
		for _, p := range f.Packets {
			if p.ID <= last {
				r.disorder++
			}
			last = p.ID
			r.lost[p.ID] = p.Lost
		}
	}
}

// count returns the number of reported packets, and of those reported lost.
func (r *reported) count() (all, lost, disorder int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, is := range r.lost {
		if is {
			lost++
		}
	}
	return len(r.lost), lost, r.disorder
}

// Retransmissions must pass the pacer and arrive: pion's own pacers do not know a retransmission stream and lose them.
func TestLostPacketsAreSentAgain(t *testing.T) {
	t.Run("transport-wide feedback", func(t *testing.T) {
		lostPacketsAreSentAgain(t, adapt.TWCC,
			webrtc.ConfigureTWCCSender)
	})
	t.Run("feedback by RFC 8888", func(t *testing.T) {
		lostPacketsAreSentAgain(t, adapt.CCFB,
			webrtc.ConfigureCongestionControlFeedback)
	})
}

// lostPacketsAreSentAgain uses a receiver with one form of reports.
func lostPacketsAreSentAgain(t *testing.T, form adapt.FeedbackKind, configure func(*webrtc.MediaEngine,
	*interceptor.Registry) error,
) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := newSender(t, Config{StartRate: 20_000_000})
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
	generator, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(10*time.Millisecond),
		nack.GeneratorMaxNacksPerPacket(20))
	if err != nil {
		t.Fatal(err)
	}
	registry := &interceptor.Registry{}
	loss := &lossy{}
	registry.Add(factory(func() interceptor.Interceptor { return loss }))
	registry.Add(generator)
	if err := configure(media, registry); err != nil {
		t.Fatal(err)
	}
	receiver, err := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(settings)).
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
	if _, err := receiver.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	rtpSender, err := sender.AddTrack(l.track)
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{})
	once := sync.OnceFunc(func() { close(connected) }) // on a machine that stands still for seconds it comes back
	sender.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once()
		}
	})
	negotiate(t, receiver, sender)
	told := reported{lost: map[uint64]bool{}}
	go func() { // pion handles NACKs while somebody reads
		for {
			packets, _, err := rtpSender.ReadRTCP()
			if err != nil {
				return
			}
			told.add(l.Receive(time.Now(), packets).Feedback, form)
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
	for written := 0; written < frames; {
		<-ticker.C
		// A keyframe would replace a waiting frame, whose packets then never come. Another frame is refused, and
		// written again.
		w, err := l.track.WriteAccessUnit(unit(perFrame*1000, false, time.Now()))
		switch {
		case err == nil:
			written++
			sent += w.Packets
		case !errors.Is(err, ErrFull):
			t.Fatal(err)
		}
	}
	seen := map[uint16]bool{}
	// The last packets may be lost without a later packet that shows the gap.
	for len(seen) < sent-perFrame {
		select {
		case n := <-numbers:
			seen[n] = true
		case <-ctx.Done():
			t.Fatalf("%d of %d packets arrived; sent again: %d", len(seen), sent, l.Stats().Retransmissions)
		}
	}
	counts := l.Stats()
	if counts.Refused[pacing.RefusedFull]+counts.Refused[pacing.RefusedShare] != 0 {
		t.Errorf("counts are %+v; want no retransmission refused for its room", counts)
	}
	want := loss.again.Load()
	if form == adapt.CCFB {
		want = 0
	}
	if again := loss.again.Load(); again == 0 || want != loss.numbered.Load() {
		t.Errorf("%d packets came again, %d of them numbered; want some, and %d", again, loss.numbered.Load(), want)
	}
	// Every sent packet is reported, except the last ones. Retransmissions count like others.
	for {
		all, lost, disorder := told.count()
		if uint64(all)+2*perFrame >= counts.Packets {
			if uint64(lost) > counts.Retransmissions+perFrame || lost == 0 || disorder != 0 {
				t.Errorf("%d packets reported lost, %d out of order; %d were sent again",
					lost, disorder, counts.Retransmissions)
			}
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d packets were reported; %+v, %d lost %d",
				all, counts.Packets, l.Stats(), lost, loss.again.Load())
		}
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
