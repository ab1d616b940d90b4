package pipeline

import (
	"image"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func painted(pixel func(x, y int) (b, g, r byte), damage ...image.Rectangle) *capture.Frame {
	f := capture.NewFrame(nil)
	f.Width, f.Height, f.Stride = 320, 200, 4*320
	f.Pix, f.Damage = make([]byte, f.Stride*f.Height), damage
	for y := range f.Height {
		for x := range f.Width {
			p := f.Pix[y*f.Stride+4*x:]
			p[0], p[1], p[2] = pixel(x, y)
		}
	}
	return f
}

func TestContentIsTold(t *testing.T) {
	whole := image.Rect(0, 0, 320, 200)
	rng := rand.New(rand.NewPCG(1, 1))
	glyphs := func(x, y int) (b, g, r byte) { // strokes of two pixels on paper, lines with space between them
		if y%16 < 10 && x%9 < 2 {
			return 0, 0, 0
		}
		return 250, 250, 250
	}
	film := func(x, y int) (b, g, r byte) { // soft, with the noise of a camera
		v := byte(100 + x/8 + y/8 + rng.IntN(6))
		return v, v + byte(rng.IntN(3)), v
	}
	plain := func(int, int) (b, g, r byte) { return 1, 2, 3 }
	for name, c := range map[string]struct {
		frame *capture.Frame
		want  adapt.ContentClass
	}{
		"text":            {painted(glyphs, whole), adapt.Text},
		"nothing at all":  {painted(plain, whole), adapt.Text},
		"film":            {painted(film, whole), adapt.Motion},
		"a film's window": {painted(film, image.Rect(10, 10, 110, 90)), adapt.Motion},
		"half and half": {painted(func(x, y int) (b, g, r byte) {
			if x < 160 {
				return plain(x, y)
			}
			return film(x, y)
		}, whole), adapt.Mixed},
		"too little": {painted(film, image.Rect(0, 0, 20, 20)), adapt.Mixed},
		"narrow":     {painted(film, image.Rect(0, 0, 10, 200)), adapt.Mixed},
		"outside":    {painted(film, image.Rect(310, 190, 900, 900), whole.Add(image.Pt(500, 0))), adapt.Mixed},
		"no damage":  {painted(film), adapt.Mixed},
	} {
		var k content
		if got := k.see(c.frame, dirty(c.frame)); got.Class != c.want {
			t.Errorf("%s: class %d, %.2f of it flat; want %d", name, got.Class, k.flat, c.want)
		}
	}
	var k content
	for range 30 {
		k.see(painted(glyphs, whole), 1)
	}
	if k.see(painted(film, whole), 1); k.see(nil, 0).Class != adapt.Text {
		t.Error("a single picture changed the class")
	}
}

func TestEncoderIsToldTheContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		v := newFakeViewer()
		v.subscribe(th.encodings.list[0])
		move(th.screen, time.Second)
		if got := enc.Stats().Content; got != encode.ContentText { // the screen is of one color
			t.Errorf("content %v; want text", got)
		}
		th.close(t)
	})
}

func BenchmarkContent(b *testing.B) {
	f := painted(func(x, y int) (byte, byte, byte) { return byte(x), byte(y), 0 }, image.Rect(0, 0, 320, 200))
	var k content
	b.ReportAllocs()
	for b.Loop() {
		k.see(f, 1)
	}
}
