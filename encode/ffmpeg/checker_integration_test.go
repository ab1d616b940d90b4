//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"errors"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/ffmpeg/standin"
)

// Damage between keyframes is found within half a second of pictures, and what works is not damage: neither pictures
// that a decoder of a sample misses, nor changes of the rate.
func TestDamageBetweenKeyframesIsFound(t *testing.T) {
	if !standin.Inside(t) {
		return
	}
	d := standin.New(t)
	for _, c := range []struct {
		name    string
		factory encode.Factory
	}{{"VAAPI", vaapi(t, "h264_vaapi", d)}, {"NVENC", nvenc(t, "h264_nvenc", d)}} {
		t.Run(c.name, func(t *testing.T) {
			d.Set(t)
			e := open(t, c.factory, vaapiParams).(*encoder)
			for n := range 600 {
				if n%50 == 0 {
					rate := encode.Rate{BitsPerSecond: vaapiParams.BitsPerSecond / (1 + n%3), FPS: 60}
					if err := e.SetRate(rate); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := e.Encode(moving(n, 640, 360), encode.Order{}); err != nil {
					t.Fatalf("picture %d: %v", n, err)
				}
			}
			d.Set(t, "damaged")
			for n := range 60 {
				_, err := e.Encode(moving(n+600, 640, 360), encode.Order{})
				if errors.Is(err, encode.ErrOutput) {
					t.Logf("%v, %v after the first damaged picture", err, time.Duration(n)*time.Second/60)
					if n > 30 {
						t.Errorf("found after %d pictures; want 30 at most", n)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Error("damage in 60 pictures was not found")
		})
	}
}

// benchPictures returns a keyframe and pictures of scrolling text.
func benchPictures(b *testing.B, width, height int) (units [][]byte) {
	b.Helper()
	p := encode.Params{Width: width, Height: height, FPS: 60, BitsPerSecond: 8_000_000}
	e, err := x264(b, nil).Open(p)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	page := textPage(width, 2*height)
	for n := range 60 {
		f := capture.NewFrame(nil)
		f.Width, f.Height, f.Stride, f.Pix = width, height, 4*width, page[4*width*(4*n):][:4*width*height]
		f.Damage = append(f.Damage, f.Bounds())
		f.Time, f.Seq = time.Unix(1000, 0).Add(time.Duration(n)*time.Second/60), uint64(n+1)
		au, err := e.Encode(f, encode.Order{})
		if err != nil {
			b.Fatal(err)
		}
		units = append(units, au.Data)
	}
	return units
}

// BenchmarkCheck measures what one picture of the sample costs. There are five in a second.
func BenchmarkCheck(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(size.String(), func(b *testing.B) {
			units := benchPictures(b, size.X, size.Y)
			c := newChecker(encode.H264, size.X, size.Y)
			defer c.close()
			if err := c.key(units[0], time.Time{}); err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				n = n%(len(units)-12) + 12
				if err := c.dec.parse(units[n]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
