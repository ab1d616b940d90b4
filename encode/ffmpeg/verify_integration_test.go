//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"testing"

	"wavryhost/encode"
	"wavryhost/encode/ffmpeg/standin"
)

// A rate change of a software encoder takes effect within 200 ms, without a keyframe.
func TestRateStepsAreKept(t *testing.T) {
	free := encode.PriceFree
	for _, f := range []encode.Factory{x264(t, nil), vpx(t, nil), vp8(t)} {
		detail, err := verifyRate(t.Context(), f, &free)
		t.Logf("%s: %s", f.Profile().Name, detail)
		if err != nil {
			t.Errorf("%s: %v", f.Profile().Name, err)
		}
	}
}

func TestThousandOpens(t *testing.T) {
	detail, err := verifyOpens(t.Context(), x264(t, nil), encode.Params{FPS: 30, BitsPerSecond: 1_000_000}, 1000)
	t.Log(detail)
	if err != nil {
		t.Error(err)
	}
}

// What is wrong with a device is in the report.
func TestVAAPIIsVerified(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		p := encode.Params{Width: 640, Height: 360, FPS: 30, BitsPerSecond: 2_000_000}
		f := vaapi(t, name, standin.New(t))
		v := Verify(t.Context(), f, p, VerifyConfig{Opens: 20})
		if !v.Proof.Usable || len(v.Checks) != len(verifySizes)+3 {
			t.Fatalf("got %+v", v)
		}
		for _, c := range v.Checks {
			t.Logf("%s: %s", c.Name, c.Detail)
			if c.Failed {
				t.Errorf("%s: %s", c.Name, c.Detail)
			}
		}
		if v := Verify(t.Context(), vaapi(t, name, standin.New(t, "corrupt")), p, VerifyConfig{Opens: 20}); v.Proof.Usable {
			t.Errorf("a device that writes garbage passes: %+v", v)
		}
	})
}

// An encoder that ignores a rate fails.
func TestVerifyFindsIgnoredRates(t *testing.T) {
	free := encode.PriceFree
	if detail, err := verifyRate(t.Context(), deafFactory{x264(t, nil)}, &free); err == nil {
		t.Errorf("an encoder that ignores rates passes: %s", detail)
	}
}
