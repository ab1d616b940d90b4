package capture_test

import (
	"bytes"
	"errors"
	"image"
	"sync"
	"testing"

	"wavryhost/capture"
)

// surfaceFrame returns a frame of 4x2 pixels in the memory of no device, all of whose bytes are v.
func surfaceFrame(c *capture.Copier, v byte) *capture.Frame {
	f := capture.NewSurfaceFrame(&capture.DMABuf{Buffer: uint64(v)}, c, nil)
	f.Width, f.Height = 4, 2
	return f
}

func newCopier() *capture.Copier {
	return &capture.Copier{Copy: func(s capture.Surface, dst []byte, stride int) error {
		v := s.(*capture.DMABuf).Buffer
		if v == 0 || stride != 16 {
			return errors.New("device removed")
		}
		for i := range dst {
			dst[i] = byte(v)
		}
		return nil
	}}
}

func TestMapCopiesASurfaceOnceForAllItsFrames(t *testing.T) {
	c := newCopier()
	f := surfaceFrame(c, 7)
	g := f.WithDamage([]image.Rectangle{image.Rect(0, 0, 1, 1)}, true)
	var wg sync.WaitGroup
	for _, one := range []*capture.Frame{f, g, f, g} {
		wg.Go(func() {
			pix, stride, err := one.Map()
			if err != nil || stride != 16 || !bytes.Equal(pix, bytes.Repeat([]byte{7}, 32)) {
				t.Errorf("got %v, stride %d, %v", pix, stride, err)
			}
		})
	}
	wg.Wait()
	if n := c.Copies(); n != 1 {
		t.Errorf("got %d copies; want 1", n)
	}
	// The memory of a released frame is used again, and not before.
	first, _, err := g.Map()
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
	second := surfaceFrame(c, 8)
	if pix, _, err := second.Map(); err != nil || &pix[0] == &first[0] || first[0] != 7 {
		t.Errorf("got the memory of a frame that is held, or error %v", err)
	}
	g.Release()
	third := surfaceFrame(c, 9)
	if pix, _, err := third.Map(); err != nil || &pix[0] != &first[0] {
		t.Errorf("got other memory, or error %v; want that of the released frame", err)
	}
}

func TestMapOfASurfaceThatCannotBeRead(t *testing.T) {
	c := newCopier()
	f := surfaceFrame(c, 0)
	for range 2 {
		if pix, _, err := f.Map(); err == nil || pix != nil {
			t.Errorf("got %d bytes, error %v; want the device's error", len(pix), err)
		}
	}
	f.Release()
	if n := c.Copies(); n != 0 {
		t.Errorf("got %d copies; want none", n)
	}
}

func TestMapOfMainMemory(t *testing.T) {
	f := capture.NewFrame(nil)
	f.Pix, f.Stride, f.Width, f.Height = make([]byte, 40), 20, 4, 2
	g := f.WithDamage(nil, false)
	for _, one := range []*capture.Frame{f, g} {
		if pix, stride, err := one.Map(); err != nil || stride != 20 || &pix[0] != &f.Pix[0] {
			t.Errorf("got other memory, stride %d, error %v", stride, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = f.Map() }); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}

func TestFrameWithOtherDamage(t *testing.T) {
	released := false
	f := capture.NewFrame(func(*capture.Frame) { released = true })
	f.Pix, f.Stride, f.Width, f.Height, f.Seq, f.Took = []byte{1}, 4, 1, 1, 9, 3
	damage := []image.Rectangle{image.Rect(0, 0, 1, 1)}
	g := f.WithDamage(damage, true)
	f.Release()
	if released {
		t.Error("the pixels are released while a frame over them is held")
	}
	if &g.Pix[0] != &f.Pix[0] || g.Bounds() != f.Bounds() || g.Seq != 9 || g.Took != 3 ||
		g.Damage[0] != damage[0] || !g.Exact {
		t.Errorf("got %+v", g)
	}
	g.Release()
	if !released {
		t.Error("the pixels are not released with the last frame over them")
	}
}

func TestKinds(t *testing.T) {
	for _, s := range []capture.Surface{&capture.DMABuf{}, capture.PixelBuffer(1), &capture.CUDAArray{}} {
		if s.Kind() == capture.Memory || s.Kind().String() == "memory" {
			t.Errorf("%T is in main memory", s)
		}
	}
	if got := capture.Kind(99).String(); got != "kind(99)" {
		t.Errorf("got %q", got)
	}
}
