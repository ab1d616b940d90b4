//go:build linux

package wayland

import (
	"context"
	"errors"
	"image"
	"strings"
	"testing"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/wlproto/wlprototest"
)

// blue is an opaque color of a pointer.
const blue = 0xff102030

func point(t *testing.T, c *wlprototest.Compositor) *Pointer {
	t.Helper()
	p, err := NewPointer(t.Context(), Config{Socket: c.Socket, Output: "OUT-1"}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func pointerUntil(t *testing.T, p *Pointer, what string, ok func(capture.Pointer) bool) capture.Pointer {
	t.Helper()
	return capturetest.PointerUntil(t, p, patience, what, ok)
}

func TestPointerContract(t *testing.T) {
	for name, format := range map[string]uint32{"with alpha": 0, "red first": formatABGR} {
		t.Run(name, func(t *testing.T) {
			c := wlprototest.New(t, wlprototest.Config{Globals: wlprototest.Pointer(), Outputs: screens, Format: format})
			c.Shape("OUT-1", image.Pt(4, 3), image.Pt(1, 2), 0, blue)
			n := 0
			capturetest.RunPointer(t, func(ctx context.Context) (capture.PointerSource, error) {
				return NewPointer(ctx, Config{Socket: c.Socket, Output: "OUT-1"}, logger(t))
			}, func() {
				n++
				c.Point("OUT-1", n%90, n%50)
			})
		})
	}
}

// Ordinary, animated, huge, empty and hidden pointers are what the compositor shows, and none moves the picture.
func TestPointerShapes(t *testing.T) {
	c := wlprototest.New(t, wlprototest.Config{Globals: wlprototest.Pointer(), Outputs: screens})
	p := point(t, c)
	pictures, err := New(t.Context(), Config{
		Socket: c.Socket, Output: "OUT-1", Demand: capture.Demand{Cursor: capture.CursorHidden},
	}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pictures.Close() }()
	capturetest.Next(t, pictures).Release()
	frames := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := pictures.Next(ctx)
		frames <- err
	}()

	c.Point("OUT-1", 20, 10)
	pointerUntil(t, p, "without a shape", func(p capture.Pointer) bool { return p.At == image.Pt(20, 10) && !p.Visible })
	c.Shape("OUT-1", image.Pt(2, 2), image.Pt(1, 0), 0, blue)
	got := pointerUntil(t, p, "ordinary", func(p capture.Pointer) bool { return p.Visible })
	if s := got.Shape; s.Width != 2 || s.Height != 2 || s.Hot != image.Pt(1, 0) ||
		string(s.Pix[:4]) != "\x30\x20\x10\xff" || got.Display != image.Pt(100, 60) {
		t.Errorf("got %+v with %+v", got, got.Shape)
	}
	for i := uint32(1); i < 6; i++ {
		c.Shape("OUT-1", image.Pt(2, 2), image.Pt(1, 0), 0, blue+i)
		pointerUntil(t, p, "animated", func(p capture.Pointer) bool { return p.Visible && p.Shape.Pix[0] == byte(0x30+i) })
	}
	c.Shape("OUT-1", image.Pt(512, 300), image.Pt(500, 1), 0, blue)
	pointerUntil(t, p, "huge", func(p capture.Pointer) bool {
		return p.Visible && p.Shape.Width == 512 && p.Shape.Height == 300 && p.Shape.Hot == image.Pt(500, 1)
	})
	c.Shape("OUT-1", image.Pt(512, 300), image.Pt(500, 1), 0, 0)
	if got := pointerUntil(t, p, "empty", func(p capture.Pointer) bool { return !p.Visible }); got.Shape != nil {
		t.Errorf("an empty pointer has the shape %+v", got.Shape)
	}
	c.Shape("OUT-1", image.Pt(3, 3), image.Point{}, 0, blue)
	pointerUntil(t, p, "ordinary again", func(p capture.Pointer) bool { return p.Visible && p.Shape.Width == 3 })
	c.Shape("OUT-1", image.Point{}, image.Point{}, 0, 0)
	pointerUntil(t, p, "of 0x0 pixels", func(p capture.Pointer) bool { return !p.Visible })
	c.Shape("OUT-1", image.Pt(3, 3), image.Point{}, 0, blue)
	before := pointerUntil(t, p, "after 0x0", func(p capture.Pointer) bool { return p.Visible && p.Shape.Width == 3 })
	c.Leave("OUT-1")
	pointerUntil(t, p, "elsewhere", func(p capture.Pointer) bool { return !p.Visible })
	c.Point("OUT-1", -2, -2)
	now := pointerUntil(t, p, "at the edge", func(p capture.Pointer) bool { return p.Visible && p.At == image.Pt(-2, -2) })
	if now.Shape != before.Shape {
		t.Error("the shape is another one although it looks the same")
	}
	c.Point("OUT-1", -3, 5)
	pointerUntil(t, p, "outside", func(p capture.Pointer) bool { return !p.Visible })

	cancel()
	if err := <-frames; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v from the pictures; want %v", err, context.Canceled)
	}
}

// The shape is upright, whatever the transform of its image, and the hot spot is where it points.
func TestPointerTransforms(t *testing.T) {
	for transform, want := range map[uint32]image.Point{0: {1, 2}, 1: {4, 1}, 2: {6, 4}, 3: {2, 6}, 4: {6, 2}} {
		c := wlprototest.New(t, wlprototest.Config{Globals: wlprototest.Pointer(), Outputs: screens})
		p := point(t, c)
		size := image.Pt(8, 7)
		if transform&1 != 0 {
			size = image.Pt(7, 8)
		}
		c.Shape("OUT-1", image.Pt(8, 7), image.Pt(1, 2), transform, blue)
		c.Point("OUT-1", 20, 10)
		got := pointerUntil(t, p, "turned", func(p capture.Pointer) bool { return p.Visible })
		if got.Shape.Hot != want || image.Pt(got.Shape.Width, got.Shape.Height) != size || got.At != image.Pt(20, 10) {
			t.Errorf("transform %d: got a hot spot of %v in %dx%d; want %v in %v", transform, got.Shape.Hot, got.Shape.Width,
				got.Shape.Height, want, size)
		}
	}
}

// The compositor's faults end the pointer with one reason, and never block it.
func TestPointerFaults(t *testing.T) {
	const frame = "ext_image_copy_capture_frame_v1"
	set := func(w, h int) func(c *wlprototest.Compositor) {
		return func(c *wlprototest.Compositor) { c.Constrain("OUT-1", w, h) }
	}
	// on returns a hook that runs do instead of each request op of a frame.
	on := func(op uint16, do func(c *wlprototest.Client)) func(*wlprototest.Client, string, uint16, []byte) bool {
		return func(c *wlprototest.Client, i string, o uint16, _ []byte) bool {
			if i != frame || o != op {
				return true
			}
			do(c)
			return false
		}
	}
	for name, tt := range map[string]struct {
		fault  func(*wlprototest.Client, string, uint16, []byte) bool
		act    func(*wlprototest.Compositor)
		reason error
		text   string
	}{
		"the compositor ends": {act: func(c *wlprototest.Compositor) { c.Stop() }, reason: capture.ErrLost},
		"the output goes":     {act: func(c *wlprototest.Compositor) { c.Remove("OUT-1") }, reason: capture.ErrLost},
		"garbage": {fault: on(3, func(c *wlprototest.Client) {
			c.Raw([]byte("\x01\x00\x00\x00\x00\x00\x03\x00garbage!"))
		}), reason: capture.ErrLost, text: "malformed"},
		"an error": {fault: on(3, func(c *wlprototest.Client) {
			c.Event(1, 0, uint32(7), uint32(2), "no way")
		}), reason: capture.ErrLost, text: "no way"},
		"half a message, then the end": {fault: on(3, func(c *wlprototest.Client) {
			c.Raw([]byte{1, 0, 0, 0, 0, 0})
			c.Close()
		}), reason: capture.ErrLost},
		"each copy fails": {
			fault: on(3, func(c *wlprototest.Client) { c.FailCopies() }), reason: capture.ErrLost, text: "no shape",
		},
		"the session is stopped": {fault: on(3, func(c *wlprototest.Client) {
			for id := range uint32(60) {
				c.Stopped(id)
			}
		}), reason: capture.ErrLost, text: "stopped"},
		"far too wide":   {act: set(1<<20, 1), reason: capture.ErrUnsupported, text: "1048576x1"},
		"negative":       {act: set(-4, 4), reason: capture.ErrUnsupported, text: "-4x4"},
		"negative both":  {act: set(-4, -1<<31), reason: capture.ErrUnsupported, text: "-4x-2147483648"},
		"far too high":   {act: set(1, 1<<31-1), reason: capture.ErrUnsupported, text: "1x2147483647"},
		"huge but legal": {act: set(1025, 1025), reason: capture.ErrUnsupported, text: "1025x1025"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := wlprototest.New(t, wlprototest.Config{Globals: wlprototest.Pointer(), Outputs: screens})
			c.Point("OUT-1", 5, 5)
			p := point(t, c)
			c.Hook(tt.fault)
			done := make(chan error, 1)
			go func() {
				for {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					_, err := p.NextPointer(ctx)
					cancel()
					if err != nil {
						done <- err
						return
					}
				}
			}()
			if tt.act != nil {
				tt.act(c)
			} else {
				c.Shape("OUT-1", image.Pt(3, 3), image.Point{}, 0, blue)
			}
			err := <-done
			if !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v; want %q", err, tt.text)
			}
			capturetest.CheckReason(t, err, tt.reason)
			if _, again := p.NextPointer(t.Context()); !errors.Is(again, tt.reason) {
				t.Errorf("after that: got %v; want the same reason", again)
			}
		})
	}
}

// NewPointer tells one reason why a pointer cannot be had apart from the picture.
func TestNewPointerReasons(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  wlprototest.Config
		want error
		text string
	}{
		"wlr-screencopy": {
			wlprototest.Config{Globals: wlprototest.Screencopy(3), Outputs: screens},
			capture.ErrUnsupported,
			"in the picture only",
		},
		"no seat": {
			wlprototest.Config{Globals: wlprototest.ImageCopy(), Outputs: screens}, capture.ErrUnsupported, "no pointer",
		},
		"a seat without a pointer": {
			wlprototest.Config{Globals: wlprototest.Pointer(), Outputs: screens, NoPointer: true},
			capture.ErrUnsupported,
			"no pointer",
		},
		"no such output": {wlprototest.Config{Globals: wlprototest.Pointer()}, capture.ErrNotFound, "no such output"},
	} {
		t.Run(name, func(t *testing.T) {
			c := wlprototest.New(t, tt.cfg)
			_, err := NewPointer(t.Context(), Config{Socket: c.Socket, Output: "OUT-1"}, logger(t))
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v; want %q", err, tt.text)
			}
			capturetest.CheckReason(t, err, tt.want)
		})
	}
}

// A thousand shapes use the same few objects.
func TestPointerReusesObjects(t *testing.T) {
	c := wlprototest.New(t, wlprototest.Config{Globals: wlprototest.Pointer(), Outputs: screens})
	c.Point("OUT-1", 5, 5)
	p := point(t, c)
	for i := range 1000 {
		side := 1 + i%40
		c.Shape("OUT-1", image.Pt(side, side), image.Point{}, 0, blue)
		pointerUntil(t, p, "another size", func(p capture.Pointer) bool { return p.Visible && p.Shape.Width == side })
	}
	if n := p.conn.Objects(); n > 40 {
		t.Errorf("got %d objects after a thousand shapes; want some dozens", n)
	}
}
