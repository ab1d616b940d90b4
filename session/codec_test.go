package session

import (
	"errors"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session/admission"
	"wavryhost/session/codec"
	"wavryhost/session/peer"
)

// encoderOf returns a fake encoder of a format.
func encoderOf(format encode.Format) *encodetest.Fake {
	return encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "fake " + format.String(), Format: format}})
}

func TestViewersOfTwoCodecsWatchOneDisplay(t *testing.T) {
	vp9 := encoderOf(encode.VP9)
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
		both: {encode.CodecH264, webrtc.MimeTypeH264, "fake"},
		one:  {encode.CodecVP9, webrtc.MimeTypeVP9, "fake VP9"},
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
	if d := h.Host().Displays[0]; d.Viewers != 2 || d.Encodings != 2 {
		t.Errorf("%d viewers, %d encodes; want 2 and 2", d.Viewers, d.Encodings)
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
	if err := h.End(t.Context(), both.id, EndDeleted, ""); err != nil {
		t.Fatal(err)
	}
	one.playing(t, 3)
	if err := h.End(t.Context(), one.id, EndDeleted, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the encoders are closed", func() bool { s := vp9.Stats(); return s.Opened == 1 && s.Closed == 1 })
}

// VP8 is the last choice. A viewer that decodes nothing else gets it.
func TestViewerOfVP8Alone(t *testing.T) {
	vp8 := encoderOf(encode.VP8)
	h := openHouse(t, func(c *Config) { c.Encoders = []encode.Factory{vp8, encoderOf(encode.VP9)} })
	defer h.close(t)
	h.alive(t)
	one := newRemoteOf(t, webrtc.MimeTypeVP8, "")
	defer one.close()
	one.watch(h)
	one.playing(t, 5)
	s, err := h.Session(one.id)
	if err != nil {
		t.Fatal(err)
	}
	if mime := one.Track().Codec().MimeType; s.Codec != encode.CodecVP8 || mime != webrtc.MimeTypeVP8 {
		t.Errorf("the session shows %s, the viewer gets %s", s.Codec, mime)
	}
	if wrong := one.Malformed(); wrong != nil {
		t.Error(wrong)
	}
	keys := vp8.Stats().Keys
	eventually(t, "a keyframe that was asked for", func() bool {
		if err := one.pli(); err != nil {
			t.Fatal(err)
		}
		return vp8.Stats().Keys > keys
	})
	eventually(t, "the viewer gets two keyframes", func() bool { _, keys := one.got(); return keys >= 2 })
}

func TestRefusalSaysWhichCodecsThereAre(t *testing.T) {
	for _, c := range []struct {
		name         string
		mime, format string
		encoders     []encode.Factory
		words        []string
	}{
		{"of one codec", webrtc.MimeTypeVP8, "", []encode.Factory{encoderOf(encode.H264)}, []string{"takes " +
			"VP8,", "encodes H264"}},
		{
			"of " +
				"two", webrtc.MimeTypeVP8, "",
			[]encode.Factory{encoderOf(encode.VP9), encoderOf(encode.H264)},
			[]string{"takes VP8,", "encodes H264, VP9"},
		},
		{
			"ten " +
				"bits", webrtc.MimeTypeVP9, "profile-id=2",
			[]encode.Factory{encoderOf(encode.VP9)},
			[]string{"takes no codec,", "encodes VP9"},
		},
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
	h := openHouse(t, func(c *Config) { c.Encoders, c.MaxEncodings = append(c.Encoders, encoderOf(encode.VP9)), 1 })
	defer h.close(t)
	h.alive(t)
	one := newRemoteOf(t, webrtc.MimeTypeVP9, "profile-id=0")
	defer one.close()
	one.watch(h)
	one.playing(t, 1)

	// A viewer that decodes several codecs gets the codec that is encoded already.
	both := newRemote(t)
	defer both.close()
	both.watch(h)
	both.playing(t, 1)
	if s, err := h.Session(both.id); err != nil || s.Codec != encode.CodecVP9 {
		t.Errorf("got %s, %v; want VP9", s.Codec, err)
	}
	other := newRemoteOf(t, webrtc.MimeTypeH264, "packetization-mode=1;profile-level-id=42e01f")
	defer other.close()
	offer := other.offer(false)
	_, err := h.Create(t.Context(), Offer{Display: "default", SDP: offer})
	r, ok := errors.AsType[*RefusalError](err)
	if !ok || r.Resource != string(admission.Encoders) || !strings.Contains(err.Error(), "displays.max_encodings") {
		t.Errorf("got %v; want a refusal for want of encodes", err)
	}
	for _, id := range []string{one.id, both.id} {
		if err := h.End(t.Context(), id, EndDeleted, ""); err != nil {
			t.Fatal(err)
		}
	}
	other.comeWith(h, offer)
	other.playing(t, 1)
}

// A codec changes while the session runs: pictures come in the old one until the other one has a keyframe.
func TestTheCodecOfASessionChanges(t *testing.T) {
	av1 := encoderOf(encode.AV1)
	h := openHouse(t, func(c *Config) { c.Encoders = append(c.Encoders, av1) })
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 5)
	s, err := h.registry.find(r.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to   codec.Choice
		mime string
	}{
		{codec.Choice{Format: encode.AV1, Reason: codec.Text}, webrtc.MimeTypeAV1},
		{codec.Choice{Format: encode.H264, Reason: codec.Motion}, webrtc.MimeTypeH264},
	} {
		before := h.events(EventCodec)
		if err := h.opener.change(t.Context(), s, s.sub.feed(), c.to); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the codec changes", func() bool {
			one, err := h.Session(r.id)
			return err == nil && one.Codec == c.to.Format.Codec && one.CodecReason == string(c.to.Reason)
		})
		r.playing(t, 5)
		eventually(t, "the viewer gets the other codec", func() bool { return r.Track().Codec().MimeType == c.mime })
		if n := h.events(EventCodec) - before; n != 1 {
			t.Errorf("%d events of a change of codec; want 1", n)
		}
		if n := testutil.ToFloat64(h.met.codecChanges.WithLabelValues(string(c.to.Reason))); n != 1 {
			t.Errorf("%v changes are counted for %s; want 1", n, c.to.Reason)
		}
	}
	eventually(t, "the encoder of the codec that is not used is closed", func() bool {
		stats := av1.Stats()
		return stats.Opened == 1 && stats.Closed == 1
	})
	if err := h.End(t.Context(), r.id, EndDeleted, ""); err != nil {
		t.Fatal(err)
	}
}
