//go:build cgo && !noffmpeg

package ffmpeg

import (
	"bytes"
	"fmt"
	"image"
	"math/rand/v2"
	"testing"

	"github.com/asticode/go-astiav"

	"wavryhost/capture"
)

// newFrame returns a frame with rows further apart than they are long, as in shared memory.
func newFrame(width, height int) *capture.Frame {
	f := capture.NewFrame(nil)
	f.Width, f.Height, f.Stride = width, height, 4*width+32
	f.Pix = make([]byte, f.Stride*height)
	f.Damage = []image.Rectangle{f.Bounds()}
	return f
}

func fill(rng *rand.Rand, f *capture.Frame, r image.Rectangle) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := f.Pix[y*f.Stride+4*r.Min.X : y*f.Stride+4*r.Max.X]
		for i := range row {
			row[i] = byte(rng.Uint32())
		}
	}
}

func planes(t *testing.T, c *converter) []byte {
	t.Helper()
	b, err := c.picture.Data().Bytes(1)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustConverter(t testing.TB, width, height int, format astiav.PixelFormat) *converter {
	t.Helper()
	c, err := newConverter(width, height, format)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.free)
	return c
}

func TestDamageOnlyConversionEqualsWhole(t *testing.T) {
	for _, test := range []struct {
		format        astiav.PixelFormat
		frame, target image.Point
	}{
		{astiav.PixelFormatYuv420P, image.Pt(322, 246), image.Pt(322, 246)},
		{astiav.PixelFormatNv12, image.Pt(322, 246), image.Pt(322, 246)},
		{astiav.PixelFormatYuv420P, image.Pt(323, 247), image.Pt(324, 248)}, // odd: the last column and row are repeated
		{astiav.PixelFormatNv12, image.Pt(323, 247), image.Pt(324, 248)},
		{astiav.PixelFormatNv12, image.Pt(401, 301), image.Pt(200, 160)}, // scaled
		{astiav.PixelFormatYuv420P, image.Pt(1920, 1080), image.Pt(1280, 720)},
		{astiav.PixelFormatYuv420P, image.Pt(1920, 1080), image.Pt(1440, 810)},
		{astiav.PixelFormatYuv420P, image.Pt(640, 360), image.Pt(320, 180)},
		{astiav.PixelFormatYuv420P, image.Pt(640, 360), image.Pt(160, 90)},
		{astiav.PixelFormatYuv420P, image.Pt(641, 361), image.Pt(482, 270)},
		{astiav.PixelFormatYuv420P, image.Pt(640, 360), image.Pt(214, 120)},
		{astiav.PixelFormatYuv420P, image.Pt(320, 180), image.Pt(640, 360)},
		{astiav.PixelFormatYuv420P, image.Pt(100, 75), image.Pt(320, 180)},
	} {
		t.Run(fmt.Sprintf("%s %v to %v", test.format, test.frame, test.target), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, uint64(test.format)))
			f := newFrame(test.frame.X, test.frame.Y)
			fill(rng, f, f.Bounds())
			kept := mustConverter(t, test.target.X, test.target.Y, test.format)
			if err := kept.convert(f); err != nil {
				t.Fatal(err)
			}
			for n := range 60 {
				f.Damage = f.Damage[:0]
				for range rng.IntN(6) {
					x, y := rng.IntN(f.Width), rng.IntN(f.Height)
					r := image.Rect(x, y, x+1+rng.IntN(90), y+1+rng.IntN(40)).Intersect(f.Bounds())
					fill(rng, f, r)
					f.Damage = append(f.Damage, r)
				}
				if err := kept.convert(f); err != nil {
					t.Fatal(err)
				}
				whole := mustConverter(t, test.target.X, test.target.Y, test.format)
				if err := whole.convert(f); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(planes(t, kept), planes(t, whole)) {
					t.Fatalf("after %d changes the pictures differ; last damage %v", n+1, f.Damage)
				}
			}
		})
	}
}

// The last column and row of an odd size appear, and are repeated next to it, as sharp as the others.
func TestOddSizesAreKeptWhole(t *testing.T) {
	for _, format := range []astiav.PixelFormat{astiav.PixelFormatYuv420P, astiav.PixelFormatNv12} {
		f := newFrame(65, 33)
		for y := range f.Height {
			for x := range f.Width {
				if x == f.Width-1 || y == f.Height-1 {
					copy(f.Pix[y*f.Stride+4*x:], []byte{255, 255, 255})
				}
			}
		}
		c := mustConverter(t, 66, 34, format)
		if err := c.convert(f); err != nil {
			t.Fatal(err)
		}
		got := planes(t, c)
		for y := range 34 {
			for x := range 66 {
				want := byte(16)
				if x >= f.Width-1 || y >= f.Height-1 {
					want = 235
				}
				if got[y*66+x] != want {
					t.Fatalf("%s: luma %d at %d,%d; want %d", format, got[y*66+x], x, y, want)
				}
			}
		}
	}
}

func TestOnlyDamageIsConverted(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	f := newFrame(128, 128)
	fill(rng, f, f.Bounds())
	c := mustConverter(t, 128, 128, astiav.PixelFormatYuv420P)
	if err := c.convert(f); err != nil {
		t.Fatal(err)
	}
	before := planes(t, c)
	fill(rng, f, f.Bounds())
	f.Damage = []image.Rectangle{image.Rect(0, 40, 128, 48)}
	if err := c.convert(f); err != nil {
		t.Fatal(err)
	}
	after := planes(t, c)
	if !bytes.Equal(before[:40*128], after[:40*128]) || !bytes.Equal(before[48*128:128*128], after[48*128:128*128]) {
		t.Error("rows outside the damage were converted")
	}
	if bytes.Equal(before[40*128:48*128], after[40*128:48*128]) {
		t.Error("damaged rows were not converted")
	}
	f.Damage = nil
	if err := c.convert(f); err != nil || !bytes.Equal(after, planes(t, c)) {
		t.Errorf("a frame without damage changed the picture; error %v", err)
	}
}

func TestConversionIsBT601Limited(t *testing.T) {
	const width, height = 320, 192
	for _, size := range []image.Point{{width, height}, {2 * width, 2 * height}} { // as it is, and scaled down
		f := newFrame(size.X, size.Y)
		f.Stride = 4 * size.X
		drawMoving(f.Pix, size.X, size.Y, 1)
		c := mustConverter(t, width, height, astiav.PixelFormatYuv420P)
		if err := c.convert(f); err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 4*width*height)
		drawMoving(want, width, height, 1)
		got := picture{data: planes(t, c), width: width, height: height}
		psnr, err := got.psnr(want, width, height)
		// The two roundings differ by up to 2; the scaled blocks also begin a pixel beside those drawn small.
		if least := 45.0 - 15*float64(size.X/width-1); err != nil || psnr < least {
			t.Errorf("%v: PSNR %.1f dB, %v; want %.0f", size, psnr, err, least)
		}
	}
}

func TestAPictureThatAnEncoderHoldsIsNotTouched(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	f := newFrame(64, 64)
	fill(rng, f, f.Bounds())
	c := mustConverter(t, 64, 64, astiav.PixelFormatYuv420P)
	if err := c.convert(f); err != nil {
		t.Fatal(err)
	}
	held := c.picture.Clone()
	defer held.Free()
	before, err := held.Data().Bytes(1)
	if err != nil {
		t.Fatal(err)
	}
	fill(rng, f, image.Rect(0, 0, 64, 8))
	f.Damage = []image.Rectangle{image.Rect(0, 0, 64, 8)}
	if err := c.convert(f); err != nil {
		t.Fatal(err)
	}
	if after, err := held.Data().Bytes(1); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the held picture changed; error %v", err)
	}
	if got := planes(t, c); bytes.Equal(got[:64*8], before[:64*8]) || !bytes.Equal(got[64*8:64*64], before[64*8:64*64]) {
		t.Error("the new picture is not the old one with the damage converted")
	}
}

func TestFramesThatLieAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*capture.Frame){
		"short pixels": func(f *capture.Frame) { f.Pix = f.Pix[:len(f.Pix)-33] },
		"short stride": func(f *capture.Frame) { f.Stride = 4*f.Width - 1 },
		"no width":     func(f *capture.Frame) { f.Width = 1 },
		"no height":    func(f *capture.Frame) { f.Height = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFrame(64, 64)
			spoil(f)
			if err := mustConverter(t, 64, 64, astiav.PixelFormatYuv420P).convert(f); err == nil {
				t.Error("converted")
			}
		})
	}
}

func TestConversionDoesNotAllocate(t *testing.T) {
	f := newFrame(640, 360)
	for _, target := range []image.Point{{640, 360}, {320, 180}} {
		c := mustConverter(t, target.X, target.Y, astiav.PixelFormatYuv420P)
		if err := c.convert(f); err != nil {
			t.Fatal(err)
		}
		f.Damage = []image.Rectangle{image.Rect(0, 0, 9, 9), image.Rect(0, 99, 640, 180), image.Rect(7, 300, 8, 301)}
		if n := testing.AllocsPerRun(100, func() {
			if err := c.convert(f); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("to %v: %v allocations a frame; want none", target, n)
		}
	}
}
