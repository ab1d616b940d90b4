//go:build linux

package kms

import (
	"context"
	"image"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

// withPointer returns a card whose pointer is half transparent red of 8x8 pixels at 10, 20.
func withPointer(t *testing.T) (*kmstest.Card, uint32) {
	t.Helper()
	k := kmstest.New(t, 64, 48)
	cursor := k.Add(t, 8, 8, drm.FormatARGB8888, 32)
	k.Change(cursor, func(f *kmstest.FB) {
		for i := 0; i < len(f.Pix); i += 4 {
			f.Pix[i+2], f.Pix[i+3] = 128, 128
		}
	})
	k.Set(0, func(o *kmstest.Output) {
		o.Cursor, o.CursorX, o.CursorY, o.CursorHotX, o.CursorHotY = cursor, 10, 20, 1, 2
	})
	return k, cursor
}

func TestPointerContract(t *testing.T) {
	k, _ := withPointer(t)
	h := kmstest.Serve(t, nil, k)
	n := 0
	capturetest.RunPointer(t, func(ctx context.Context) (capture.PointerSource, error) {
		p, err := NewPointer(ctx, Config{Socket: h.Socket, Output: hdmi})
		if err != nil {
			return nil, err
		}
		return p, nil
	}, func() {
		n++
		k.Set(0, func(o *kmstest.Output) { o.CursorX = n % 50 })
	})
}

func TestPointer(t *testing.T) {
	k, cursor := withPointer(t)
	p, err := NewPointer(t.Context(), Config{Socket: kmstest.Serve(t, nil, k).Socket, Output: hdmi})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const within = 20 * time.Second
	first := capturetest.PointerUntil(t, p, within, "visible", func(p capture.Pointer) bool { return p.Visible })
	if first.At != image.Pt(11, 22) || first.Display != image.Pt(64, 48) || first.Shape.Hot != image.Pt(1, 2) ||
		first.Shape.Width != 8 || [4]byte(first.Shape.Pix) != [4]byte{0, 0, 128, 128} {
		t.Errorf("got %+v, %+v", first, first.Shape)
	}
	gone := func(p capture.Pointer) bool { return !p.Visible && p.Shape == nil }
	k.Set(0, func(o *kmstest.Output) { o.CursorX = -8 })
	capturetest.PointerUntil(t, p, within, "moved out", gone)
	k.Set(0, func(o *kmstest.Output) { o.CursorX = -7 })
	again := capturetest.PointerUntil(t, p, within, "moved in", func(p capture.Pointer) bool { return p.Visible })
	if again.At != image.Pt(-6, 22) || again.Shape != first.Shape {
		t.Errorf("got %+v; want it at -6,22 with the same shape", again)
	}
	k.Set(0, func(o *kmstest.Output) { o.Cursor = 0 })
	capturetest.PointerUntil(t, p, within, "hidden", gone)
	k.Set(0, func(o *kmstest.Output) { o.Cursor, o.Width, o.CursorX = cursor, 32, 5 })
	capturetest.PointerUntil(t, p, within, "another size", func(p capture.Pointer) bool {
		return p.Visible && p.Display == image.Pt(32, 48) && p.At == image.Pt(6, 22)
	})
	k.Set(0, func(o *kmstest.Output) { o.Unplugged = true })
	for {
		if _, err := p.NextPointer(t.Context()); err != nil {
			capturetest.CheckReason(t, err, capture.ErrLost)
			break
		}
	}
}

// The pointer is in the picture as demanded, and a move damages where it was and is.
func TestPointerInThePicture(t *testing.T) {
	k, _ := withPointer(t)
	fill(k, k.Shown(0), image.Rect(0, 0, 64, 48), 0x00ff00)
	h := kmstest.Serve(t, nil, k)
	if f := next(t, open(t, h.Socket, capture.Demand{Cursor: capture.CursorHidden})); f.Pix[20*f.Stride+40+2] != 0 {
		t.Error("the pointer is in the picture; want it hidden")
	}
	s := open(t, h.Socket, capture.Demand{})
	f := next(t, s)
	if got := [3]byte(f.Pix[27*f.Stride+4*17:]); got != [3]byte{0, 127, 128} {
		t.Errorf("got %v below the pointer; want a blend", got)
	}
	if got := [3]byte(f.Pix[28*f.Stride+4*17:]); got != [3]byte{0, 255, 0} {
		t.Errorf("got %v beside the pointer; want green", got)
	}
	k.Set(0, func(o *kmstest.Output) { o.CursorX, o.CursorY = 60, -4 })
	f = next(t, s)
	if got := [3]byte(f.Pix[27*f.Stride+4*17:]); got != [3]byte{0, 255, 0} {
		t.Errorf("got %v where the pointer was; want green", got)
	}
	if got := [3]byte(f.Pix[3*f.Stride+4*63:]); got != [3]byte{0, 127, 128} {
		t.Errorf("got %v where the pointer is; want a blend", got)
	}
}

// A pointer that cannot be read leaves the picture.
func TestPointerThatCannotBeRead(t *testing.T) {
	k, cursor := withPointer(t)
	k.Change(cursor, func(f *kmstest.FB) { f.Modifiers[0] = 1 << 56 })
	h := kmstest.Serve(t, nil, k)
	next(t, open(t, h.Socket, capture.Demand{}))
	p, err := NewPointer(t.Context(), Config{Socket: h.Socket, Output: hdmi})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got, err := p.NextPointer(t.Context()); err != nil || got.Visible {
		t.Errorf("got %+v, %v; want a pointer that is not visible", got, err)
	}
}
