//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"errors"
	"image"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/encode/ffmpeg/standin"
)

// nvencNames are the encoders of the NVIDIA cards for tests.
var nvencNames = []string{"h264_nvenc", "hevc_nvenc", "av1_nvenc"}

// nvenc returns the factory of one of nvencNames on these cards.
func nvenc(t *testing.T, name string, cards ...standin.Device) encode.Factory {
	t.Helper()
	standin.Insert(t, cards...)
	p, ok := encode.FindProfile(name)
	if !ok {
		t.Fatalf("no profile %s", name)
	}
	p.Limits = encode.Limits{} // the card says which sizes it supports
	return New(p, slog.New(slog.DiscardHandler))
}

// freeOr returns the price of rate changes in our build of FFmpeg, which has patches (scripts/ffmpeg.patches), or stock
// for another one. scripts/go links our build statically.
func freeOr(stock encode.Price) encode.Price {
	if strings.Contains(os.Getenv("PKG_CONFIG"), "--static") {
		return encode.PriceFree
	}
	return stock
}

func TestNVENCKeepsTheContract(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		encodetest.Run(t, nvenc(t, name, standin.New(t)))
	})
}

func TestNVENCIsProved(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		for _, c := range []struct {
			setting string
			price   encode.Price
			why     string
		}{
			{"", freeOr(encode.PriceKeyframe), ""},
			{"rate=key", encode.PriceKeyframe, ""},
			{"rate=refused", encode.PriceReopen, ""},
			{"rate=fixed", encode.PriceReopen, ""},
			{"rate=ignored", encode.PriceReopen, ""},
			{"corrupt", 0, "frame 0"},
			{"max=512", 0, "exceeds 512"},
		} {
			t.Run(c.setting, func(t *testing.T) {
				proof := Prove(t.Context(), nvenc(t, name, standin.New(t, c.setting)), vaapiParams)
				t.Logf("%+v", proof)
				if proof.Usable != (c.why == "") || !strings.Contains(proof.Why, c.why) {
					t.Fatalf("got usable %v, %q; want the reason %q", proof.Usable, proof.Why, c.why)
				}
				if c.why == "" && (proof.Price == nil || *proof.Price != c.price) {
					t.Errorf("got price %v; want %v", proof.Price, c.price)
				}
				if c.why == "" && proof.PSNR < 30 {
					t.Errorf("got PSNR %.1f dB; want 30 at least", proof.PSNR)
				}
			})
		}
	})
}

// The driver names the limits of a card. The profile is not asked.
func TestNVENCProofHasTheCardsSizes(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		got := Prove(t.Context(), nvenc(t, name, standin.New(t, "min=160", "max=2048")), vaapiParams)
		if want := image.Pt(2048, 2048); got.Limits.Max != want || !got.Usable {
			t.Errorf("got %+v; want sizes up to %v", got, want)
		}
		if want := image.Pt(160, 160); got.Limits.Min != want {
			t.Errorf("got %+v; want sizes from %v", got, want)
		}
	})
}

// Each fault has its own error, from which the session decides what to do.
func TestNVENCFaultsAtOpening(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		for _, c := range []struct {
			settings []string // of each card
			want     error
			text     string
		}{
			{nil, encode.ErrNoEncoder, "no CUDA-capable device"},
			{[]string{"sessions=0"}, encode.ErrBusy, "incompatible client key"},
			{[]string{"max=512"}, encode.ErrSize, "Width 640 exceeds 512"},
			{[]string{"min=512"}, encode.ErrSize, "less than the minimum"},
			{[]string{"encode=none"}, encode.ErrNoEncoder, "unsupported device"},
			{[]string{"driver=old"}, encode.ErrNoEncoder, "does not support the required nvenc API"},
			{[]string{"lost"}, nil, "cuCtxCreate"},
			// A card that cannot encode beside another, full card.
			{[]string{"encode=none", "sessions=0"}, encode.ErrBusy, ""},
		} {
			t.Run(strings.Join(c.settings, " "), func(t *testing.T) {
				var cards []standin.Device
				for _, s := range c.settings {
					cards = append(cards, standin.New(t, s))
				}
				before := descriptors(t)
				e, err := nvenc(t, name, cards...).Open(vaapiParams)
				if err == nil {
					t.Fatalf("opened; closing: %v", e.Close())
				}
				for _, reason := range []error{encode.ErrBusy, encode.ErrSize, encode.ErrNoEncoder} {
					if got, want := errors.Is(err, reason), c.want == reason; got != want { //nolint:errorlint // of the table
						t.Errorf("got %v; want it to be %v alone", err, c.want)
					}
				}
				if !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %v; want %q in it", err, c.text)
				}
				if after := descriptors(t); after != before {
					t.Errorf("got %d descriptors after the refusal; want %d", after, before)
				}
			})
		}
	})
}

func TestNVENCOpensAndCloses(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		d := standin.New(t, "sessions=1")
		f := nvenc(t, name, d)
		p := encode.Params{Width: 256, Height: 128, FPS: 60, BitsPerSecond: 500_000}
		before := descriptors(t)
		for n := range 200 {
			e, err := f.Open(p)
			if err != nil {
				t.Fatalf("opening %d: %v", n, err)
			}
			if n == 0 {
				if _, err := f.Open(p); !errors.Is(err, encode.ErrBusy) {
					t.Fatalf("got %v; want ErrBusy", err)
				}
			}
			for i := range 2 {
				if _, err := e.Encode(moving(i, 256, 128), encode.Order{}); err != nil {
					t.Fatalf("opening %d: %v", n, err)
				}
				if err := e.SetRate(encode.Rate{BitsPerSecond: 1_000_000 * (i + 1), FPS: 60}); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("got %d descriptors after 200 encoders; want %d", after, before)
		}
		if c := d.Counts(t); c.Contexts != 0 || c.Surfaces != 0 || c.Others != 0 || c.Rates == 0 {
			t.Errorf("left on the card: %+v", c)
		}
	})
}

// A card that breaks while it encodes ends the encoder with an error, and the next one works if the card does.
func TestNVENCLostWhileEncoding(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		d := standin.New(t)
		f := nvenc(t, name, d)
		before := descriptors(t)
		e := open(t, f, vaapiParams)
		if _, err := e.Encode(moving(0, 640, 360), encode.Order{}); err != nil {
			t.Fatal(err)
		}
		d.Set(t, "lost")
		_, err := e.Encode(moving(1, 640, 360), encode.Order{})
		if err == nil || !strings.Contains(err.Error(), "card is gone") {
			t.Errorf("got %v; want the driver's reason", err)
		}
		recovers(t, d, f, e, before)
	})
}

func TestNVENCCrashEndsTheProcess(t *testing.T) {
	for _, name := range nvencNames {
		t.Run(name, func(t *testing.T) {
			crashes(t, func(d standin.Device) encode.Factory { return nvenc(t, name, d) }, func(d standin.Device) []string {
				return standin.Nvidia(t, d)
			})
		})
	}
}

// While a card hangs, so does the call. It returns once the card works again.
func TestNVENCHangs(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		d := standin.New(t)
		hangs(t, d, open(t, nvenc(t, name, d), vaapiParams))
	})
}

// A card may refuse a rate that it took in the trial. Then the encoder is opened again with it.
func TestNVENCRefusesARateLater(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		d := standin.New(t)
		e := open(t, nvenc(t, name, d), vaapiParams)
		source := newNoiseSource(640, 360)
		before, _, err := source.encode(t.Context(), e, 30)
		if err != nil {
			t.Fatal(err)
		}
		d.Set(t, "rate=refused")
		if err := e.SetRate(encode.Rate{BitsPerSecond: vaapiParams.BitsPerSecond / 4, FPS: 60}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := source.encode(t.Context(), e, priceSettle); err != nil {
			t.Fatal(err)
		}
		after, _, err := source.encode(t.Context(), e, 30)
		if err != nil || float64(after) > 0.3*float64(before) {
			t.Errorf("got %d bits after a cut to a quarter, %d before, %v", after, before, err)
		}
	})
}

// A rate that rises and falls costs no keyframe, and is in force within 200 ms.
func TestNVENCKeepsRateSteps(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		price := freeOr(encode.PriceKeyframe)
		detail, err := verifyRate(t.Context(), priced(nvenc(t, name, standin.New(t)), price), &price)
		t.Log(detail)
		if err != nil && price == encode.PriceFree {
			t.Error(err)
		}
	})
}

// Each card is an encoder of its own.
func TestNVENCOnTwoCards(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		cards := []standin.Device{standin.New(t), standin.New(t)}
		profiles := nvenc(t, name, cards...).Profile().On([]string{"0", "1", "2"})
		for n, p := range profiles {
			e, err := New(p, slog.New(slog.DiscardHandler)).Open(vaapiParams)
			if n == len(cards) {
				if !errors.Is(err, encode.ErrNoEncoder) {
					t.Errorf("a card that is not there: %v; want ErrNoEncoder", err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Encode(moving(0, 640, 360), encode.Order{}); err != nil {
				t.Fatal(err)
			}
			for i := range n + 1 {
				if c := cards[i].Counts(t); c.Pictures != 1 {
					t.Errorf("%d pictures on card %d after one on card %d; want 1", c.Pictures, i, n)
				}
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// The quantizers of all codecs are on one scale, whatever the card counts in.
func TestNVENCReportsItsQuantizer(t *testing.T) {
	standin.Each(t, nvencNames, func(t *testing.T, name string) {
		e := open(t, nvenc(t, name, standin.New(t)), vaapiParams)
		source := newNoiseSource(640, 360)
		if _, _, err := source.encode(t.Context(), e, 30); err != nil {
			t.Fatal(err)
		}
		unit, err := e.Encode(nil, encode.Order{Time: time.Now()})
		if err != nil || unit.QP < 20 || unit.QP > 45 {
			t.Errorf("quantizer %.1f, %v; want 20 to 45 for noise of 0.3 bits per pixel", unit.QP, err)
		}
	})
}
