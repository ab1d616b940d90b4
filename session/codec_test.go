package session

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session/admission"
	"wavryhost/session/peer"
)

// encoderOf returns a fake encoder of a codec; change, where there is one, has the last word.
func encoderOf(codec string, change func(*encodetest.Config)) *encodetest.Fake {
	cfg := encodetest.Config{Profile: encode.Profile{Name: "fake " + codec, Codec: codec}}
	if change != nil {
		change(&cfg)
	}
	return encodetest.New(cfg)
}

func TestViewersOfTwoCodecsWatchOneDisplay(t *testing.T) {
	vp9 := encoderOf(encode.VP9, nil)
	h := openHouse(t, func(c *Config) { c.Encoders = append(c.Encoders, vp9) })
	defer h.close(t)
	h.alive(t)
	both, one := newRemote(t), newRemoteOf(t, webrtc.MimeTypeVP9, "profile-id=0")
	defer both.close()
	defer one.close()
	both.watch(h)
	one.watch(h)
	both.playing(t, 5)
	one.playing(t, 5)

	for r, want := range map[*remote]struct{ codec, mime, encoder string }{
		both: {encode.H264, webrtc.MimeTypeH264, "fake"},
		one:  {encode.VP9, webrtc.MimeTypeVP9, "fake VP9"},
	} {
		s, err := h.Session(r.id)
		if err != nil {
			t.Fatal(err)
		}
		mime, wrong := r.Track().Codec().MimeType, r.Malformed()
		if s.Codec != want.codec || s.Encoder != want.encoder || mime != want.mime {
			t.Errorf("the session shows %s by %q, the viewer gets %s; want %+v", s.Codec, s.Encoder, mime, want)
		}
		if wrong != nil {
			t.Errorf("%s: %v", want.codec, wrong)
		}
		if frames, keys := r.got(); keys == 0 {
			t.Errorf("%s: no keyframe among %d pictures", want.codec, frames)
		}
	}
	if d := h.Host().Displays[0]; d.Viewers != 2 || d.Encodes != 2 {
		t.Errorf("%d viewers, %d encodes; want 2 and 2", d.Viewers, d.Encodes)
	}

	// What one of them asks for is not encoded for the other.
	h264Keys, vp9Keys := h.enc.Stats().Keys, vp9.Stats().Keys
	eventually(t, "a keyframe of VP9 that was asked for", func() bool {
		if err := one.pli(); err != nil {
			t.Fatal(err)
		}
		return vp9.Stats().Keys > vp9Keys
	})
	if n := h.enc.Stats().Keys; n != h264Keys {
		t.Errorf("%d keyframes of H264 for requests by the other", n-h264Keys)
	}
	if err := h.End(t.Context(), both.id, EndDeleted); err != nil {
		t.Fatal(err)
	}
	one.playing(t, 3)
	if err := h.End(t.Context(), one.id, EndDeleted); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the encoders are closed", func() bool { s := vp9.Stats(); return s.Opened == 1 && s.Closed == 1 })
}

func TestRefusalSaysWhichCodecsThereAre(t *testing.T) {
	for _, c := range []struct {
		name         string
		mime, format string
		encoders     []encode.Factory
		words        []string
	}{
		{"of one codec", webrtc.MimeTypeVP8, "", []encode.Factory{encoderOf(encode.H264, nil)}, []string{"takes VP8,", "encodes H264"}},
		{"of two", webrtc.MimeTypeVP8, "", []encode.Factory{encoderOf(encode.VP9, nil), encoderOf(encode.H264, nil)}, []string{"takes VP8,", "encodes H264, VP9"}},
		{"ten bits", webrtc.MimeTypeVP9, "profile-id=2", []encode.Factory{encoderOf(encode.VP9, nil)}, []string{"takes no codec,", "encodes VP9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := openHouse(t, func(cfg *Config) { cfg.Encoders = c.encoders })
			defer h.close(t)
			r := newRemoteOf(t, c.mime, c.format)
			defer r.close()
			_, err := h.Create(t.Context(), Offer{Display: "default", SDP: r.offer(false)})
			if !errors.Is(err, peer.ErrUnacceptable) {
				t.Fatalf("got %v; want ErrUnacceptable", err)
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %q; want it to say %q", err, w)
				}
			}
			if n := len(h.Sessions()); n != 0 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

func TestOneEncodeIsOfOneCodec(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.Encoders, c.MaxRungs = append(c.Encoders, encoderOf(encode.VP9, nil)), 1 })
	defer h.close(t)
	h.alive(t)
	one := newRemoteOf(t, webrtc.MimeTypeVP9, "profile-id=0")
	defer one.close()
	one.watch(h)
	one.playing(t, 1)

	// Who takes several codecs gets the one that is encoded.
	both := newRemote(t)
	defer both.close()
	both.watch(h)
	both.playing(t, 1)
	if s, err := h.Session(both.id); err != nil || s.Codec != encode.VP9 {
		t.Errorf("got %s, %v; want VP9", s.Codec, err)
	}
	other := newRemoteOf(t, webrtc.MimeTypeH264, "packetization-mode=1;profile-level-id=42e01f")
	defer other.close()
	offer := other.offer(false)
	_, err := h.Create(t.Context(), Offer{Display: "default", SDP: offer})
	r, ok := errors.AsType[*RefusalError](err)
	if !ok || r.Resource != string(admission.Encoders) || !strings.Contains(err.Error(), "max_encodes") {
		t.Errorf("got %v; want a refusal for want of encodes", err)
	}
	for _, id := range []string{one.id, both.id} {
		if err := h.End(t.Context(), id, EndDeleted); err != nil {
			t.Fatal(err)
		}
	}
	other.comeWith(h, offer)
	other.playing(t, 1)
}

func TestAViewerOfAnotherCodecMakesTheOthersMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openTheater(t, Config{}, encoderOf(encode.H264, nil), encoderOf(encode.VP9, nil))
		var all []*spectator
		for i, wish := range []int{500_000, 2_000_000, 8_000_000} {
			v := newSpectator()
			v.wish.bitrate = wish
			v.sit(th.rungs[i])
			all = append(all, v)
		}
		th.live(time.Second)
		if n := th.encodes(); n != 3 {
			t.Fatalf("%d encodes for three rates; want 3", n)
		}
		late := newSpectator()
		late.sit(th.seatFor(encode.VP9, 2_000_000))
		th.live(time.Second)
		if n := th.encodes(); n != 3 {
			t.Errorf("%d encodes with a viewer of another codec; want 3", n)
		}
		if got := late.rung().see().encoder; got != "fake VP9" {
			t.Errorf("the late viewer is on an encode by %q", got)
		}
		for _, v := range append(all, late) {
			before, _ := v.got()
			th.live(100 * time.Millisecond)
			if after, _ := v.got(); after == before {
				t.Error("a viewer gets no pictures")
			}
			v.decodable(t)
		}
		for _, v := range all {
			if v.rung().codec != encode.H264 {
				t.Errorf("a viewer came to a rung of %s", v.rung().codec)
			}
		}
		// When it has left, its rung is free for them again.
		late.rung().leave(late)
		th.live(2 * time.Second)
		if n := th.encodes(); n != 3 || all[0].rung() == all[1].rung() || all[1].rung() == all[2].rung() {
			t.Errorf("%d encodes for three rates afterwards; want 3", n)
		}
		th.close(t)
	})
}

func TestAFailingEncoderIsReplacedWithinItsCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := func(name string) func(*encodetest.Config) {
			return func(c *encodetest.Config) {
				c.Profile.Name = name
				c.OnEncode = func(n int) error {
					if n > 10 {
						return errTest
					}
					return nil
				}
			}
		}
		h264 := encoderOf(encode.H264, nil)
		th := openTheater(t, Config{}, encoderOf(encode.VP9, failing("first")), h264, encoderOf(encode.VP9, failing("second")))
		a, b := newSpectator(), newSpectator()
		a.sit(th.seatFor(encode.H264, 2_000_000))
		b.sit(th.seatFor(encode.VP9, 2_000_000))
		move(th.screen, time.Second)
		for _, c := range []struct{ from, to string }{{"first", "second"}} {
			if n := testutil.ToFloat64(th.met.fallbacks.WithLabelValues(encode.VP9, c.from, c.to, fallbackErr)); n != 1 {
				t.Errorf("counted %v fallbacks from %s to %s; want 1", n, c.from, c.to)
			}
		}
		if s := h264.Stats(); s.Opened != 1 || s.Keys != 1 {
			t.Errorf("H264: %d encoders, %d keyframes; want 1 and 1", s.Opened, s.Keys)
		}
		if n, _ := a.got(); n < 50 {
			t.Errorf("the viewer of H264 got %d pictures in a second", n)
		}
		for _, au := range b.pictures(0) {
			if au.Data[0]&0xf0 != 0x80 {
				t.Fatalf("the viewer of VP9 got a picture that begins with %02x", au.Data[0])
			}
		}
		th.close(t)
	})
}

func TestACodecWithoutEncodersStandsAndHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openTheater(t, Config{}, encoderOf(encode.H264, nil))
		a, b := newSpectator(), newSpectator()
		a.sit(th.seatFor(encode.H264, 2_000_000))
		b.sit(th.seatFor(encode.VP9, 2_000_000)) // the encoders were tried anew, and those of VP9 failed
		move(th.screen, time.Second)
		if n, _ := a.got(); n < 50 {
			t.Errorf("the viewer of H264 got %d pictures in a second", n)
		}
		if n, _ := b.got(); n != 0 || !b.rung().see().stuck {
			t.Errorf("the viewer of VP9 got %d pictures; want its rung stuck", n)
		}
		th.close(t)
	})
}

func TestTheRateOfADearEncoderIsHeldBackForItsOwnViewersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dear := encoderOf(encode.VP9, func(c *encodetest.Config) { c.Profile.Price = encode.PriceReopen })
		th := openTheater(t, Config{}, encoderOf(encode.H264, nil), dear)
		a, b := newSpectator(), newSpectator()
		a.sit(th.seatFor(encode.H264, 2_000_000))
		b.sit(th.seatFor(encode.VP9, 2_000_000))
		move(th.screen, 100*time.Millisecond)
		if a.last().Price != adapt.PriceFree || b.last().Price != adapt.PriceReopen {
			t.Errorf("the viewers reckon with prices %v and %v", a.last().Price, b.last().Price)
		}
		for _, v := range []*spectator{a, b} {
			v.set(func(a *ask) { a.bitrate = a.bitrate * 21 / 20 })
		}
		move(th.screen, 100*time.Millisecond)
		if x, y := a.rung().see().rate, b.rung().see().rate; x <= y {
			t.Errorf("rates %d and %d after a twentieth more; want the free one changed alone", x, y)
		}
		th.close(t)
	})
}

func TestRosterKeepsCodecsApart(t *testing.T) {
	r := newRoster([]encode.Factory{encoderOf(encode.VP9, nil), encoderOf(encode.H264, nil)}, unlimited)
	if got := r.codecs(); !slices.Equal(got, []string{encode.H264, encode.VP9}) {
		t.Errorf("got %v; want the preferred codec first", got)
	}
	now := time.Now()
	for _, codec := range encode.Codecs() {
		if p, ok := r.best(now, codec); !ok || p.Codec != codec || len(r.order(now, codec)) != 1 {
			t.Errorf("%s: the best is %+v, %v", codec, p, ok)
		}
	}
	r.replace([]encode.Factory{encoderOf(encode.H264, nil)})
	if _, ok := r.best(now, encode.VP9); ok || !slices.Equal(r.codecs(), []string{encode.H264}) {
		t.Errorf("got %v; want what was taken away gone", r.codecs())
	}
}
