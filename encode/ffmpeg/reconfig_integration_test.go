//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest/scene"
)

// An open x264 is tuned for its content without a keyframe, and keeps that when its rate changes.
func TestX264IsTunedForItsContent(t *testing.T) {
	const width, height, fps = 320, 192, 60
	var log bytes.Buffer
	x264, _ := encode.FindProfile("libx264")
	f := New(x264, slog.New(slog.NewTextHandler(&log, nil)))
	quality := func(later encode.Content) float64 {
		e := open(t, f, encode.Params{Width: width, Height: height, FPS: fps, BitsPerSecond: 1e6})
		d, err := newDecoder(encode.CodecH264)
		if err != nil {
			t.Fatal(err)
		}
		defer d.free()
		film, _ := scene.Find("film", width, height)
		pix, start := make([]byte, 4*width*height), time.Now()
		sum := 0.0
		for n := range 60 {
			o := encode.Order{Content: encode.ContentText}
			if n >= 10 {
				o.Content = later
			}
			if n == 20 {
				if err := e.SetRate(encode.Rate{BitsPerSecond: 800_000, FPS: fps}); err != nil {
					t.Fatal(err)
				}
			}
			unit, err := e.Encode(film.Frame(pix, width, height, n, start), o)
			if err != nil {
				t.Fatal(err)
			}
			if unit.Key != (n == 0) {
				t.Errorf("picture %d: key %v", n, unit.Key)
			}
			got, err := d.decode(unit.Data)
			if err != nil {
				t.Fatal(err)
			}
			if n >= 30 {
				c := e.(*encoder).converter
				sum += scene.SSIM(got.data, planeOf(c), width, height, width, width) / 30
			}
		}
		return sum
	}
	asText, asFilm := quality(encode.ContentText), quality(encode.ContentFilm)
	t.Logf("SSIM of film: %.4f tuned for text, %.4f for film", asText, asFilm)
	if 1-asFilm > 0.85*(1-asText) {
		t.Errorf("SSIM of film is %.4f tuned for text, %.4f for film; want a sixth less loss", asText, asFilm)
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log.String())
	}
}

// x264 uses its rate where the content needs it, and no picture takes much more than its share.
func TestX264UsesItsRate(t *testing.T) {
	const width, height, fps, rate = 640, 360, 60, 1_000_000
	x264, _ := encode.FindProfile("libx264")
	e := open(t, New(x264, slog.New(slog.DiscardHandler)), encode.Params{
		Width: width, Height: height, FPS: fps, BitsPerSecond: rate,
	})
	film, _ := scene.Find("film", width, height)
	pix, start, bits := make([]byte, 4*width*height), time.Now(), 0
	for n := range 4 * fps {
		unit, err := e.Encode(film.Frame(pix, width, height, n, start), encode.Order{})
		if err != nil {
			t.Fatal(err)
		}
		if n < 2*fps {
			continue
		}
		bits += 8 * len(unit.Data)
		if share := float64(8*len(unit.Data)*fps) / rate; share > 1.3 {
			t.Errorf("picture %d takes %.2f shares", n, share)
		}
	}
	if used := float64(bits) / (2 * rate); used < 0.93 || used > 1.02 {
		t.Errorf("two seconds of film take %.3f of the rate; want 0.97", used)
	}
}
