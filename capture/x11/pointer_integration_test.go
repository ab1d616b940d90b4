//go:build integration && linux

package x11

import (
	"context"
	"errors"
	"image"
	"slices"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/render"
	"github.com/jezek/xgb/xproto"
	"github.com/jezek/xgb/xtest"
)

func openPointer(t *testing.T, cfg Config) *Pointer {
	t.Helper()
	p, err := NewPointer(t.Context(), cfg)
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
	srv := xvfb(t, "320x200x24")
	p := paint(t, srv.display)
	n := 0
	capturetest.RunPointer(t, func(ctx context.Context) (capture.PointerSource, error) {
		return NewPointer(ctx, Config{Display: srv.display})
	}, func() {
		n++
		p.warp(10+7*n%200, 10+5*n%150)
	})
}

// pixmapCursor gives the root window a black cursor of a size, all of it or nothing of it visible.
func pixmapCursor(t *testing.T, c *xgb.Conn, side uint16, hotX, hotY uint16, visible bool) {
	t.Helper()
	screen := xproto.Setup(c).DefaultScreen(c)
	mask, cursor := must(xproto.NewPixmapId(c)), must(xproto.NewCursorId(c))
	gc := must(xproto.NewGcontextId(c))
	xproto.CreatePixmap(c, 1, mask, xproto.Drawable(screen.Root), side, side)
	color := uint32(0)
	if visible {
		color = 1
	}
	xproto.CreateGC(c, gc, xproto.Drawable(mask), xproto.GcForeground, []uint32{color})
	xproto.PolyFillRectangle(c, xproto.Drawable(mask), gc, []xproto.Rectangle{{Width: side, Height: side}})
	xproto.CreateCursor(c, cursor, mask, mask, 0, 0, 0, 0, 0, 0, hotX, hotY)
	if err := xproto.ChangeWindowAttributesChecked(
		c, screen.Root, xproto.CwCursor, []uint32{uint32(cursor)},
	).Check(); err != nil {
		t.Fatal(err)
	}
}

func client(t *testing.T, display string) *xgb.Conn {
	t.Helper()
	t.Setenv("XAUTHORITY", emptyAuthority(t))
	c, err := xgb.NewConnDisplay(display)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Empty, huge and ordinary cursors are what programs made them.
func TestPointerShapes(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	c := client(t, srv.display)
	p := openPointer(t, Config{Display: srv.display})
	pixmapCursor(t, c, 256, 100, 200, true)
	got := pointerUntil(t, p, "huge", func(p capture.Pointer) bool { return p.Visible && p.Shape.Width == 256 })
	if s := got.Shape; s.Height != 256 || s.Hot != image.Pt(100, 200) || s.Pix[3] != 255 {
		t.Errorf("got %dx%d, hot spot %v, alpha %d", s.Width, s.Height, s.Hot, s.Pix[3])
	}
	if got.Display != image.Pt(640, 480) {
		t.Errorf("got a display of %v; want 640x480", got.Display)
	}
	pixmapCursor(t, c, 16, 0, 0, false)
	if got := pointerUntil(t, p, "empty", func(p capture.Pointer) bool { return !p.Visible }); got.Shape != nil {
		t.Errorf("an empty cursor has shape %+v", got.Shape)
	}
	pixmapCursor(t, c, 20, 3, 4, true)
	pointerUntil(t, p, "ordinary", func(p capture.Pointer) bool { return p.Visible && p.Shape.Hot == image.Pt(3, 4) })
}

// Each frame of an animated cursor is another shape, also while the pointer stands still.
func TestPointerAnimated(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	c := client(t, srv.display)
	if err := render.Init(c); err != nil {
		t.Fatal(err)
	}
	screen := xproto.Setup(c).DefaultScreen(c)
	font := must(xproto.NewFontId(c))
	xproto.OpenFont(c, font, uint16(len("cursor")), "cursor")
	var frames []render.Animcursorelt
	for _, glyph := range []uint16{20, 24, 68} {
		cursor := must(xproto.NewCursorId(c))
		xproto.CreateGlyphCursor(c, cursor, font, font, glyph, glyph+1, 0, 0, 0, 0xffff, 0xffff, 0xffff)
		frames = append(frames, render.Animcursorelt{Cursor: cursor, Delay: 40})
	}
	animated := must(xproto.NewCursorId(c))
	render.CreateAnimCursor(c, animated, frames)
	if err := xproto.ChangeWindowAttributesChecked(
		c, screen.Root, xproto.CwCursor, []uint32{uint32(animated)},
	).Check(); err != nil {
		t.Fatal(err)
	}
	p := openPointer(t, Config{Display: srv.display})
	changes := 0
	var last *capture.Shape
	pointerUntil(t, p, "animated", func(p capture.Pointer) bool {
		if p.Visible && p.Shape != last {
			last = p.Shape
			changes++
		}
		return changes >= 6
	})
}

// The pointer of a monitor is where it is on that monitor, and gone while it is on another one.
func TestPointerOfAMonitor(t *testing.T) {
	srv := xvfb(t, "1000x600x24")
	xrandr(t, srv, "--setmonitor", "LEFT", "400/100x600/150+0+0", "screen")
	xrandr(t, srv, "--setmonitor", "RIGHT", "600/150x500/120+400+100", "none")
	paint := paint(t, srv.display)
	p := openPointer(t, Config{Display: srv.display, Monitor: "RIGHT"})
	paint.warp(700, 150)
	got := pointerUntil(t, p, "on it", func(p capture.Pointer) bool { return p.Visible && p.At == image.Pt(300, 50) })
	if got.Display != image.Pt(600, 500) {
		t.Errorf("got a display of %v; want that of the monitor", got.Display)
	}
	paint.warp(100, 150)
	pointerUntil(t, p, "on the other one", func(p capture.Pointer) bool { return !p.Visible })
}

// A move by an input device is known within 20 ms, whether the pointer was still before or moves all the time.
func TestPointerIsQuick(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	c := client(t, srv.display)
	if err := xtest.Init(c); err != nil {
		t.Fatal(err)
	}
	root := xproto.Setup(c).DefaultScreen(c).Root
	p := openPointer(t, Config{Display: srv.display})
	pointerUntil(t, p, "first", func(capture.Pointer) bool { return true })
	var took []time.Duration
	for n := range 60 {
		at := image.Pt(20+5*n, 30+3*n)
		began := time.Now()
		xtest.FakeInput(c, xproto.MotionNotify, 0, 0, root, int16(at.X), int16(at.Y), 0)
		pointerUntil(t, p, "move", func(p capture.Pointer) bool { return p.At == at })
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	// The median is the same on a busy machine.
	if median := took[len(took)/2]; median > 20*time.Millisecond {
		t.Errorf("half of the moves took over %v; want 20 ms at most", median)
	}
}

func TestPointerOfALostServer(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	p := openPointer(t, Config{Display: srv.display})
	pointerUntil(t, p, "first", func(capture.Pointer) bool { return true })
	srv.kill()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 2 {
		if _, err := p.NextPointer(ctx); !errors.Is(err, capture.ErrLost) {
			t.Errorf("got %v; want ErrLost", err)
		}
	}
	if _, err := NewPointer(t.Context(), Config{Display: srv.display}); !errors.Is(err, capture.ErrNotFound) {
		t.Errorf("open: got %v; want ErrNotFound", err)
	}
}
