//go:build integration && linux

package kms

import (
	"context"
	"image"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/guesttest"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

func TestMain(m *testing.M) { guesttest.Main(m) }

// cards are the cards of the guest, by the names of their drivers.
var cards = map[string]struct {
	device  string // of QEMU
	cursor  bool   // the driver has a plane for it
	exports bool   // DMA-BUFs
}{
	"bochs-drm":  {device: "bochs-display"},
	"virtio_gpu": {device: "virtio-gpu-pci", cursor: true, exports: true},
	"qxl":        {device: "qxl", cursor: true, exports: true},
	"cirrus":     {device: "cirrus-vga", exports: true},
}

// TestOnCards captures what drivers of the kernel show.
func TestOnCards(t *testing.T) {
	if !guesttest.Inside() {
		var m guesttest.Machine
		for _, c := range cards {
			m.Devices = append(m.Devices, c.device)
		}
		guesttest.Run(t, m)
		return
	}
	socket := kmstest.Listen(t, func(ctx context.Context, ln net.Listener) {
		h := kms.NewHelper(kms.HelperConfig{Allow: func(net.Conn) error { return nil }}, logger(t))
		if err := h.Run(ctx, ln); err != nil {
			t.Error(err)
		}
	}, nil)
	list, err := kms.Outputs(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	for driver := range cards {
		t.Run(driver, func(t *testing.T) {
			for _, o := range list {
				if o.Driver == driver {
					checkCard(t, socket, o)
					return
				}
			}
			t.Errorf("got outputs %+v; want one of %s", list, driver)
		})
	}
}

// checkCard checks one card.
func checkCard(t *testing.T, socket string, o kms.Output) {
	t.Helper()
	address, _ := kms.Card(o.ID)
	nodes, err := filepath.Glob("/sys/bus/pci/devices/" + address + "/drm/card*")
	if err != nil || len(nodes) != 1 {
		t.Fatalf("the card of %+v has the nodes %v, %v", o, nodes, err)
	}
	// The helper is connected already, and must not be the master.
	p := newProgram(t, "/dev/dri/"+filepath.Base(nodes[0]))
	opener := func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		s, err := New(ctx, Config{Socket: socket, Output: o.ID, Demand: d}, logger(t))
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	small := p.mode(640, 480)
	c := p.canvas(640, 480, drm.FormatXRGB8888)
	t.Run("contract in place", func(t *testing.T) {
		p.show(c, small)
		n := 0
		capturetest.Run(t, opener, capturetest.Options{Change: func() {
			n++
			c.fill(image.Rect(n%50, 10, n%50+200, 20+n%30), uint32(n)*0x10305)
		}})
	})
	t.Run("contract of flips", func(t *testing.T) {
		both := [2]*canvas{c, p.canvas(640, 480, drm.FormatXRGB8888)}
		n := 0
		capturetest.Run(t, opener, capturetest.Options{Change: func() {
			n++
			next := both[n%2]
			for i := max(1, n-20); i <= n; i++ {
				next.fill(image.Rect(5*(i%10), 10, 5*(i%10)+33, 17+i%30), uint32(i)*0x10305)
			}
			p.show(next, small)
		}})
	})
	t.Run("surfaces", func(t *testing.T) { p.checkSurfaces(t, opener, cards[o.Driver].exports) })
	t.Run("pixels and modes", func(t *testing.T) { p.checkModes(t, opener) })
	t.Run("cursor", func(t *testing.T) {
		if !cards[o.Driver].cursor {
			t.Skip("the driver draws the cursor into the picture")
		}
		p.checkCursor(t, Config{Socket: socket, Output: o.ID})
	})
	t.Run("opens", func(t *testing.T) { capturetest.RunOpens(t, 20, opener) })
}

// mode returns the mode of a size.
func (p *program) mode(width, height uint16) drm.ModeArg {
	p.tb.Helper()
	for _, m := range p.modes {
		if m.HDisplay == width && m.VDisplay == height {
			return m
		}
	}
	p.tb.Fatalf("the card has no mode of %dx%d", width, height)
	return drm.ModeArg{}
}

// checkModes compares each pixel in two modes and all formats of the card, under one source.
func (p *program) checkModes(t *testing.T, open capture.Opener) {
	t.Helper()
	s, err := open(t.Context(), capture.Demand{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, size := range [][2]uint16{{800, 600}, {1024, 768}, {640, 480}} {
		mode := p.mode(size[0], size[1])
		c := p.canvas(int(size[0]), int(size[1]), drm.FormatXRGB8888)
		for y := range c.height {
			for x := range c.width {
				c.fill(image.Rect(x, y, x+1, y+1), uint32(x)<<16&0xff0000|uint32(y)<<8&0xff00|uint32(x*y)&0xff)
			}
		}
		p.show(c, mode)
		f := until(t, s, func(f *capture.Frame) bool { return f.Width == c.width && f.Height == c.height })
		wrong := 0
		for y := range c.height {
			for x := range c.width {
				if got := [3]byte(f.Pix[y*f.Stride+4*x:]); got != [3]byte{byte(x * y), byte(y), byte(x)} {
					wrong++
				}
			}
		}
		if wrong != 0 {
			t.Errorf("%d pixels of %dx%d are wrong", wrong, c.width, c.height)
		}
		f.Release()
	}
	p.off()
	if _, err := open(t.Context(), capture.Demand{}); err == nil || !strings.Contains(err.Error(), "shows nothing") {
		t.Errorf("got %v for a screen that is off", err)
	}
	c := p.canvas(640, 480, drm.FormatXRGB8888)
	c.fill(image.Rect(0, 0, 640, 480), 0x102030)
	p.show(c, p.mode(640, 480))
	until(t, s, func(f *capture.Frame) bool {
		return [3]byte(f.Pix[100*f.Stride+400:]) == [3]byte{0x30, 0x20, 0x10}
	}).Release()
}

// checkSurfaces flips between two framebuffers, and compares the surfaces where programs can map them.
func (p *program) checkSurfaces(t *testing.T, open capture.Opener, exports bool) {
	t.Helper()
	both := [2]*canvas{p.canvas(640, 480, drm.FormatXRGB8888), p.canvas(640, 480, drm.FormatXRGB8888)}
	for i, c := range both {
		c.fill(image.Rect(0, 0, 640, 480), uint32(i+1)*0x102030)
	}
	p.show(both[0], p.mode(640, 480))
	s, err := open(t.Context(), eitherOf)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if got := s.Traits().Kind == capture.DMA; got != exports {
		t.Errorf("got pictures in %v", s.Traits().Kind)
	}
	if !exports {
		return
	}
	var numbers [2]uint64
	for n := range 8 {
		p.show(both[n%2], p.mode(640, 480))
		until(t, s, func(f *capture.Frame) bool {
			d := surfaceOf(t, f)
			if d.FourCC != drm.FormatXRGB8888 || len(d.Planes) != 1 || d.Planes[0].Stride < 4*640 {
				t.Fatalf("got %+v", d)
			}
			if _, size, err := identify(d.Planes[0].FD); err != nil || size < 4*640*480 {
				t.Fatalf("got a buffer of %d bytes, %v", size, err)
			}
			if d.Buffer == numbers[1-n%2] { // of the frame before
				return false
			}
			if n < 2 {
				numbers[n%2] = d.Buffer
				pix, _, err := f.Map()
				t.Logf("got %+v, in main memory: %v", d, err)
				if c := byte(n + 1); err == nil && [3]byte(pix[4*640*100:]) != [3]byte{0x30 * c, 0x20 * c, 0x10 * c} {
					t.Errorf("got pixel %v of picture %d", pix[:4], n)
				}
			}
			return true
		}).Release()
	}
}

// until returns the first frame that satisfies ok.
func until(t *testing.T, s capture.Source, ok func(*capture.Frame) bool) *capture.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		f, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ok(f) {
			return f
		}
		f.Release()
	}
}

// checkCursor checks the pointer apart from the picture, and in it.
func (p *program) checkCursor(t *testing.T, cfg Config) {
	t.Helper()
	c := p.canvas(640, 480, drm.FormatXRGB8888)
	c.fill(image.Rect(0, 0, 640, 480), 0x00ff00)
	p.show(c, p.mode(640, 480))
	shape := p.canvas(64, 64, drm.FormatARGB8888)
	shape.fill(image.Rect(0, 0, 8, 8), 0xffff0000)
	if err := p.cursor(shape, image.Pt(100, 50), image.Pt(1, 2)); err != nil {
		t.Fatal(err)
	}
	pointer, err := NewPointer(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pointer.Close() }()
	first := capturetest.PointerUntil(t, pointer, time.Minute, "visible", func(p capture.Pointer) bool {
		return p.Visible
	})
	if s := first.Shape; s == nil || s.Width != 64 || [4]byte(s.Pix) != [4]byte{0, 0, 255, 255} || s.Pix[4*8+3] != 0 {
		t.Errorf("got the shape %+v", s)
	}
	t.Logf("at %v with the hot spot %v", first.At, first.Shape.Hot)
	if got := first.At.Sub(first.Shape.Hot); got != image.Pt(99, 48) {
		t.Errorf("the picture of the pointer is at %v; want 99,48", got)
	}
	if err := p.cursor(shape, image.Pt(300, 200), image.Pt(1, 2)); err != nil {
		t.Fatal(err)
	}
	capturetest.PointerUntil(t, pointer, time.Minute, "moved", func(p capture.Pointer) bool {
		return p.At.Sub(p.Shape.Hot) == image.Pt(299, 198)
	})
	s, err := New(t.Context(), cfg, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	until(t, s, func(f *capture.Frame) bool {
		return [3]byte(f.Pix[200*f.Stride+4*301:]) == [3]byte{0, 0, 255} &&
			[3]byte(f.Pix[200*f.Stride+4*310:]) == [3]byte{0, 255, 0}
	}).Release()
}
