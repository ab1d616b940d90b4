//go:build integration

package endtoend

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// leaky drops the given number of media packets.
type leaky struct {
	net.PacketConn
	lose atomic.Int64
}

func (l *leaky) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.PacketConn.ReadFrom(b)
		kind := b[1] & 0x7f                                                                     // RFC 5761, section 4
		media := err == nil && n > 100 && b[0] >= 128 && b[0] < 192 && (kind < 64 || kind > 95) // RFC 7983
		if !media || l.lose.Add(-1) < 0 {
			return n, from, err
		}
	}
}

// A viewer that negotiated neither NACK nor PLI gets a keyframe after a loss: only its receiver reports show the loss.
func TestViewerThatCanAskForNothing(t *testing.T) {
	h := startHost(t, hostOptions{args: []string{"--display", "synthetic", "--fps", "30"}})
	path := &leaky{PacketConn: loopback(t)}
	media, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	err := media.RegisterCodec(webrtc.RTPCodecParameters{
		PayloadType: 102,
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90_000,
			SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		},
	}, webrtc.RTPCodecTypeVideo)
	if err := errors.Join(err, webrtc.ConfigureRTCPReports(registry)); err != nil {
		t.Fatal(err)
	}
	a := preparedWith(t, path, nil, webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry))
	a.join(t, h, "default")
	const counted = "wavry_host_keyframes_total"
	eventually(t, patience, "media arrives", func() error {
		if n := a.packets.Load(); n < 100 {
			return fmt.Errorf("%d packets", n)
		}
		return nil
	})
	before := h.metric(t, counted)
	path.lose.Store(1)
	lost := time.Now()
	eventually(t, patience, "a keyframe follows the loss", func() error {
		if path.lose.Load() > 0 || h.metric(t, counted) == before {
			return errNotYet
		}
		return nil
	})
	t.Logf("a keyframe was made %v after the loss", time.Since(lost).Round(10*time.Millisecond))
	if took := time.Since(lost); took > 10*time.Second {
		t.Errorf("a keyframe was made %v after the loss; want 5 s, and no more than twice that on a busy machine", took)
	}
	a.leave(t, h)
}
