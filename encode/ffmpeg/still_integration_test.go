//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest/scene"
)

// lumaPSNR compares the luma of a decoded picture with that of the converter.
func lumaPSNR(got picture, want *converter) (float64, error) {
	if got.width != want.width || got.height != want.height {
		return 0, fmt.Errorf("picture is %dx%d; want %dx%d", got.width, got.height, want.width, want.height)
	}
	pixels, err := want.picture.Data().Bytes(1)
	if err != nil {
		return 0, err
	}
	return scene.PSNR(got.data, pixels, got.width, got.height, got.width, got.width), nil
}

// refined encodes a still page at 60 pictures a second. It returns how many pictures it takes until one has 40 dB, how
// many until the quantizer is as low as one wants, and what the picture has then.
func refined(
	t testing.TB, f encode.Factory, page *capture.Frame, p encode.Params,
) (until40, sharp int, db float64) {
	t.Helper()
	const sharpQP = 14 // session's bound
	e := open(t, f, p)
	d, err := newDecoder(f.Profile().Format.Codec)
	if err != nil {
		t.Fatal(err)
	}
	defer d.free()
	for n := range 400 {
		var given *capture.Frame
		if n == 0 {
			given = page.Retain()
		}
		unit, err := e.Encode(given, encode.Order{Time: page.Time.Add(time.Duration(n) * time.Second / 60)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.decode(unit.Data)
		if err != nil {
			t.Fatal(err)
		}
		if db, err = lumaPSNR(got, e.(*encoder).converter); err != nil {
			t.Fatal(err)
		}
		if until40 == 0 && db >= 40 {
			until40 = n + 1
		}
		if unit.QP > 0 && unit.QP <= sharpQP {
			return until40, n + 1, db
		}
	}
	return until40, 0, db
}

// What a viewer sees of a still page of text, at the rate that a session begins with, for each codec and each step of
// the size. How the session decides to go on is session's to test: here is what the encoders make of it.
func TestStillPageGetsSharp(t *testing.T) {
	for _, c := range []struct {
		factory encode.Factory
		rate    int
		most    map[int]int
		least   float64 // dB
	}{
		// In pictures of 1/60 s: 1.0 s at 720 rows, 1.3 s at 1080, and for VP9, whose rate control is slower, what 1
		// Mbit/s allows it.
		{x264(t, nil), 1e6, map[int]int{720: 60, 1080: 78}, 44},
		{vpx(t, nil), 1e6, map[int]int{720: 90, 1080: 120}, 44},
		// At 1 Mbit/s 1080 rows have 40 dB after 35 pictures and 52 dB in the end, but libvpx stays at quantizer 18.
		{vp8(t), 2e6, map[int]int{720: 40, 1080: 40}, 43.5},
	} {
		for _, rows := range []int{720, 1080} {
			page := scene.Terminal(rows*16/9, rows)
			for _, scale := range []float64{1, 0.75, 0.5} {
				w, h := int(scale*float64(page.Width))&^1, int(scale*float64(page.Height))&^1
				name := fmt.Sprintf("%s/%dp/%dx%d", c.factory.Profile().Format, rows, w, h)
				t.Run(name, func(t *testing.T) {
					until, sharp, db := refined(
						t, c.factory, page, encode.Params{Width: w, Height: h, FPS: 60, BitsPerSecond: c.rate},
					)
					t.Logf("40 dB after %d pictures, sharp after %d with %.1f dB", until, sharp, db)
					if until == 0 || until > c.most[rows] {
						t.Errorf("40 dB after %d pictures; want %d at most", until, c.most[rows])
					}
					if sharp == 0 || db < c.least {
						t.Errorf("taken for sharp after %d pictures, with %.1f dB; want %.1f", sharp, db, c.least)
					}
				})
			}
		}
	}
}

// Text that scrolls takes no more of a high rate than it needs to look right.
func TestTextTakesNoMoreThanItNeeds(t *testing.T) {
	const width, height, rate = 640, 360, 10_000_000
	for _, name := range []string{"libx264", "libvpx-vp9", "libaom-av1", "libvpx"} {
		t.Run(name, func(t *testing.T) {
			profile, _ := encode.FindProfile(name)
			text, _ := scene.Find("scroll fast", width, height)
			p := setting{name: name, profile: profile}.measure(t, text, width, height, rate, 2)
			if p.rate > rate/4 || p.psnr < 42 {
				t.Errorf("%d kbit/s with %.1f dB; want %d at most, with 42", p.rate/1000, p.psnr, rate/4000)
			}
			profile.Finest = 0
			free := setting{name: name, profile: profile}.measure(t, text, width, height, rate, 2)
			t.Logf("%d kbit/s with %.1f dB; without a bound %d with %.1f", p.rate/1000, p.psnr, free.rate/1000, free.psnr)
			if free.rate < p.rate*11/10 {
				t.Errorf("%d kbit/s, and %d without a bound; it bounds nothing", p.rate/1000, free.rate/1000)
			}
		})
	}
}

// Where pictures get the least share, a page appears and gets better. With half of it, x264 makes blank pictures.
func TestLeastShareMakesPictures(t *testing.T) {
	const fps, seconds = 60, 3
	x264, _ := encode.FindProfile("libx264")
	after := func(rows int, shares float64) float64 {
		page := scene.Terminal(rows*16/9, rows)
		least := x264.Least.Bits + x264.Least.PerPixel*float64(page.Width*page.Height)
		e := open(t, New(x264, slog.New(slog.DiscardHandler)), encode.Params{
			Width: page.Width, Height: page.Height, FPS: fps, BitsPerSecond: int(shares * least * fps),
		})
		d, err := newDecoder(encode.CodecH264)
		if err != nil {
			t.Fatal(err)
		}
		defer d.free()
		db := 0.0
		for n := range fps * seconds {
			var f *capture.Frame
			if n == 0 {
				f = page
			}
			unit, err := e.Encode(f, encode.Order{Time: page.Time.Add(time.Duration(n) * time.Second / fps)})
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.decode(unit.Data)
			if err != nil {
				t.Fatal(err)
			}
			if db, err = lumaPSNR(got, converterOf(e)); err != nil {
				t.Fatal(err)
			}
		}
		return db
	}
	for _, rows := range []int{180, 360, 540, 720, 1080} {
		least, half := after(rows, 1), after(rows, 0.5)
		t.Logf("%d rows: %.1f dB, %.1f with half of the least share", rows, least, half)
		if least < 30 {
			t.Errorf("%d rows: %.1f dB after %d s with the least share; want 30", rows, least, seconds)
		}
	}
}
