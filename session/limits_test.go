package session

import (
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"wavryhost/encode"
)

func TestLimitsOfDecoders(t *testing.T) {
	for _, c := range []struct {
		codec, form   string
		width, height int
		fps           int // what is left of 60
		scaled        bool
	}{
		{encode.VP9, "", 3840, 2160, 60, false},
		{encode.VP9, "max-fs=12288;max-fr=60", 2560, 1600, 60, true},
		{encode.VP9, "max-fs=12288", 1920, 1080, 60, false},
		{encode.VP9, "max-fs=junk;max-fr=0", 1920, 1080, 60, false},
		{encode.VP9, "max-fr=15", 1920, 1080, 15, false},
		{encode.H264, "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1", 3840, 2160, 60, false},
		{encode.H264, "profile-level-id=42e01f;packetization-mode=1", 1280, 720, 30, false},
		{encode.H264, "profile-level-id=42e01f;packetization-mode=1", 1920, 1080, 30, true},
		{encode.H264, "profile-level-id=42e033;packetization-mode=1", 5120, 1440, 34, false},
		{encode.H264, "profile-level-id=42e033;packetization-mode=1", 7680, 2160, 30, true},
		{encode.H264, "profile-level-id=42e01f;packetization-mode=1;max-fs=8160;max-mbps=489600", 1920, 1080, 60, false},
		{encode.H264, "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1;max-fs=3600", 1920, 1080, 60, true},
		{encode.H264, "", 1920, 1080, 60, false},
	} {
		f := format{codec: c.codec, parameters: make(parameters)}
		f.parameters.read(c.form)
		l := f.limits()
		a := ask{bitrate: 20_000_000, fps: 60, scale: 1}
		a.bound(l, c.width, c.height)
		w, h := int(float64(c.width)*a.scale), int(float64(c.height)*a.scale)
		if (a.scale < 1) != c.scaled || !l.Admits(w, h, a.fps) {
			t.Errorf("%s %s: %dx%d becomes %dx%d at %d pictures a second; want scaled %v, within %+v", c.codec, c.form, c.width, c.height, w, h, a.fps, c.scaled, l)
		}
		if a.scale < 1 && l.Admits(w*51/50, h*51/50, a.fps) {
			t.Errorf("%s %s: %dx%d is smaller than it has to be", c.codec, c.form, w, h)
		}
		if !c.scaled && a.fps != c.fps {
			t.Errorf("%s %s: %d pictures a second; want %d", c.codec, c.form, a.fps, c.fps)
		}
	}
}

func TestAnsweredLevels(t *testing.T) {
	full := encode.Stream{Width: 1920, Height: 1080, FPS: 60, BitsPerSecond: 20_000_000}
	for _, c := range []struct {
		form string
		most encode.Stream
		want string
	}{
		{"profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1", full, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e02a"},
		{"profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1", encode.Stream{Width: 320, Height: 240, FPS: 10, BitsPerSecond: 1_000_000}, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
		{"profile-level-id=640032;packetization-mode=1;level-asymmetry-allowed=1", full, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64002a"},
		{"profile-level-id=42e01f;packetization-mode=1", full, "packetization-mode=1;profile-level-id=42e01f"},
		{"profile-level-id=42E033;packetization-mode=1", full, "packetization-mode=1;profile-level-id=42e02a"},
		{"", full, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e02a"},
	} {
		f := format{codec: encode.H264, parameters: make(parameters)}
		f.parameters.read(c.form)
		if got := f.answer(c.most); got != c.want {
			t.Errorf("%s for %+v: %s; want %s", c.form, c.most, got, c.want)
		}
	}
}

func TestBandwidthOfOffers(t *testing.T) {
	for _, c := range []struct {
		session, video string
		want           int
	}{
		{"", "", 0},
		{"", "b=AS:500\n", 460_000},
		{"", "b=TIAS:500000\n", 500_000},
		{"b=CT:300\n", "b=AS:500\n", 276_000},
		{"b=AS:500\n", "b=TIAS:400000\n", 400_000},
		{"", "b=AS:500\nb=TIAS:400000\n", 400_000},
		{"", "b=AS:0\nb=AS:x\nb=RS:1\nb=X-y:7\nb=AS:-5\nb=AS:99999999999999999999\n", 0},
		{"", "b=AS:1\n", leastCeiling},
	} {
		r := viewerOf(t, 96, usualForm, nil, "video")
		o, err := parseOffer(swap(`^t=0 0`, strings.TrimSpace(c.session+"t=0 0"), `^(a=setup.*)\n`, c.video+"$1\n")(r.offer(false)), []string{encode.H264})
		r.close()
		if err != nil {
			t.Fatal(err)
		}
		if got := o.ceiling(encode.H264); got != c.want {
			t.Errorf("%q and %q: %d; want %d", c.session, c.video, got, c.want)
		}
	}
}

func TestOffersBandwidthIsObeyed(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := viewerOf(t, 96, usualForm, []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}, "video")
	defer r.close()
	r.comeWith(h, swap(`^(a=setup.*)\n`, "b=AS:500\n$1\n")(r.offer(false)))
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
	if s, err := h.Change(t.Context(), r.id, Change{MaxBitrate: &wide}); err != nil || s.Ceiling != 460_000 || s.CeilingOf != ceilingOffer {
		t.Errorf("with a wider ceiling: %d of %s, %v", s.Ceiling, s.CeilingOf, err)
	}
	if s, err := h.Change(t.Context(), r.id, Change{MaxBitrate: &own}); err != nil || s.Ceiling != own || s.CeilingOf != ceilingSession {
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
		{"H.264, level 1.1", webrtc.MimeTypeH264, "packetization-mode=1;profile-level-id=42e00b", 396, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := openHouse(t, func(cfg *Config) { cfg.Encoders = append(cfg.Encoders, encoderOf(encode.VP9, nil)) })
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
				t.Errorf("%dx%d is sent, %d macroblocks; want %d at most, and not much less", s.Width, s.Height, n, c.macroblocks)
			}
			eventually(t, "the rate is looked at", func() bool { s, err = h.Session(r.id); return err != nil || s.FPS > 0 })
			if s.FPS > float64(c.fps)+1 {
				t.Errorf("%.1f pictures a second; want %d at most", s.FPS, c.fps)
			}
		})
	}
}
