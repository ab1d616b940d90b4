package session

import (
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"wavryhost/encode"
	"wavryhost/session/peer/peertest"
)

func TestOffersBandwidthIsObeyed(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := &remote{Viewer: peertest.NewOf(t, peertest.Codec{Feedback: peertest.NACKs()}, "video"), t: t}
	defer r.close()
	r.comeWith(h, strings.Replace(r.offer(false), "a=setup:", "b=AS:500\r\na=setup:", 1))
	see := func() {
		t.Helper()
		s, err := h.Session(r.id)
		if err != nil {
			t.Fatal(err)
		}
		if s.Ceiling != 460_000 || s.CeilingOf != ceilingOffer || s.TargetBitrate > 460_000 {
			t.Fatalf("ceiling %d of %s, target %d; want 460000 of the offer", s.Ceiling, s.CeilingOf, s.TargetBitrate)
		}
	}
	see()
	r.playing(t, 30)
	see()
	wide, own := 5_000_000, 200_000
	if s, err := h.Change(t.Context(), r.id, Change{MaxBitrate: &wide}); err != nil || s.Ceiling != 460_000 ||
		s.CeilingOf != ceilingOffer {
		t.Errorf("with a wider ceiling: %d of %s, %v", s.Ceiling, s.CeilingOf, err)
	}
	if s, err := h.Change(t.Context(), r.id, Change{MaxBitrate: &own}); err != nil || s.Ceiling != own ||
		s.CeilingOf != ceilingSession {
		t.Errorf("with a lower ceiling: %d of %s, %v", s.Ceiling, s.CeilingOf, err)
	}
}

func TestDecodersLimitsAreObeyed(t *testing.T) {
	for _, c := range []struct {
		name, mime, format string
		macroblocks, fps   int
	}{
		{"VP9, size", webrtc.MimeTypeVP9, "profile-id=0;max-fs=300", 300, 60},
		{"VP9, rate", webrtc.MimeTypeVP9, "profile-id=0;max-fr=5", 1200, 5},
		{"VP8, size", webrtc.MimeTypeVP8, "max-fs=300;max-fr=30", 300, 30},
		{"H.264, level 1.1", webrtc.MimeTypeH264, "packetization-mode=1;profile-level-id=42e00b", 396, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := openHouse(t, func(cfg *Config) {
				cfg.Encoders = append(cfg.Encoders, encoderOf(encode.VP9), encoderOf(encode.VP8))
			})
			defer h.close(t)
			h.alive(t)
			r := newRemoteOf(t, c.mime, c.format)
			defer r.close()
			r.watch(h)
			r.playing(t, 10)
			s, err := h.Session(r.id)
			if err != nil {
				t.Fatal(err)
			}
			if n := encode.Macroblocks(s.Width, s.Height); n > c.macroblocks || n < c.macroblocks*2/3 {
				t.Errorf("%dx%d is sent, %d macroblocks; want %d at most, and not much "+
					"less", s.Width, s.Height, n, c.macroblocks)
			}
			eventually(t, "the rate is looked "+
				"at", func() bool { s, err = h.Session(r.id); return err != nil || s.FPS > 0 })
			if s.FPS > float64(c.fps)+1 {
				t.Errorf("%.1f pictures a second; want %d at most", s.FPS, c.fps)
			}
		})
	}
}
