//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"strings"
	"testing"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// deafFactory's encoders take a rate and go on as before, as NVENC does on cards that cannot change it.
type deafFactory struct{ encode.Factory }

type deafEncoder struct{ encode.Encoder }

func (f deafFactory) Open(p encode.Params) (encode.Encoder, error) {
	e, err := f.Factory.Open(p)
	return deafEncoder{e}, err
}

func (deafEncoder) SetRate(encode.Rate) error { return nil }

// What a change costs is what is seen of it, whatever the profile says.
func TestPriceIsFoundByTrying(t *testing.T) {
	params := encode.Params{Width: 320, Height: 240, FPS: 30, BitsPerSecond: 1e6}
	for _, c := range []struct {
		name    string
		factory encode.Factory
		want    encode.Price
	}{
		{"x264", x264(t, nil), encode.PriceFree},
		{
			"x264 whose profile is too careful", x264(t, func(p *encode.Profile) { p.Price = encode.PriceKeyframe }),
			encode.PriceFree,
		},
		{"VP9", vpx(t, nil), encode.PriceFree},
		{"VP8", vp8(t), encode.PriceFree},
		{"AV1", software(t, "libaom-av1", nil), encode.PriceFree},
		{
			"a keyframe each time", encodetest.New(encodetest.Config{Profile: encode.Profile{Price: encode.PriceKeyframe}}),
			encode.PriceKeyframe,
		},
		{"a rate that is not taken", deafFactory{x264(t, nil)}, encode.PriceReopen},
		{"libvpx by its own rate", vpx(t, func(p *encode.Profile) { p.RateByTime = false }), encode.PriceReopen},
		{"x264 reopened by profile", x264(t, func(p *encode.Profile) { p.Price = encode.PriceReopen }), encode.PriceFree},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The second are the parameters of the daemon's trial.
			for _, p := range []encode.Params{params, {Width: 640, Height: 360, FPS: 30, BitsPerSecond: 2_000_000}} {
				got, err := price(t.Context(), c.factory, p)
				if err != nil || got != c.want {
					t.Errorf("%dx%d: got %v, %v; want %v", p.Width, p.Height, got, err, c.want)
				}
			}
		})
	}
	// Only what depends on a card is measured at each start.
	if proof := Prove(t.Context(), x264(t, nil), params); !proof.Usable || proof.Price != nil {
		t.Errorf("proof %+v of x264; want usable, with the price of its profile", proof)
	}
}

// What FFmpeg logs as an error while it encodes comes with the picture.
func TestComplaintsOfASuccessfulEncodeAreReturned(t *testing.T) {
	e := open(t, x264(t, nil), encode.Params{Width: 64, Height: 64, FPS: 30, BitsPerSecond: 1e6}).(*encoder)
	copy(e.why, "failed to reconfigure nvenc\n\x00")
	if got := e.complaint(); got != "failed to reconfigure nvenc" {
		t.Errorf("got %q; want the line", got)
	}
	unit, err := e.Encode(text(64, 64), encode.Order{})
	if err != nil || strings.TrimSpace(unit.Complaint) != "" {
		t.Errorf("a good picture comes with %q, %v", unit.Complaint, err)
	}
}
