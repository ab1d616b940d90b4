package pipeline

import (
	"image"
	"testing"

	"wavryhost/capture"
)

func testFrame(released *int, w, h int, damage ...image.Rectangle) *capture.Frame {
	f := capture.NewFrame(func(*capture.Frame) { *released++ })
	f.Width, f.Height, f.Stride, f.Damage = w, h, 4*w, damage
	f.Pix = make([]byte, 4*w*h)
	return f
}

func TestMailboxKeepsTheNewestFrameAndTheDamageOfTheDropped(t *testing.T) {
	var a, b, c int
	box := newMailbox()
	r1, r2 := image.Rect(0, 0, 10, 10), image.Rect(20, 20, 30, 30)
	first, second := testFrame(&a, 64, 64, r1), testFrame(&b, 64, 64, r2)
	if box.put(first) {
		t.Error("the first frame replaced one")
	}
	if !box.put(second) {
		t.Error("the second frame replaced none")
	}
	if a != 1 || b != 0 {
		t.Errorf("released %d and %d times; want 1 and 0", a, b)
	}
	f := box.take()
	if len(f.Damage) != 2 || f.Damage[0] != r1 || f.Damage[1] != r2 {
		t.Errorf("damage %v; want %v and %v", f.Damage, r1, r2)
	}
	if len(second.Damage) != 1 {
		t.Errorf("damage of the frame others may share is %v; want it untouched", second.Damage)
	}
	if &f.Pix[0] != &second.Pix[0] {
		t.Error("pixels are not the newest frame's")
	}
	f.Release()
	if b != 1 {
		t.Errorf("newest frame released %d times; want 1", b)
	}
	if box.waiting() || box.take() != nil {
		t.Error("a frame is left after take")
	}

	box.put(testFrame(&c, 32, 32, r1))
	box.put(testFrame(&c, 64, 64, r2))
	f = box.take()
	if len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
		t.Errorf("damage after a change of size %v; want the whole picture", f.Damage)
	}
	f.Release()
	if c != 2 {
		t.Errorf("released %d frames; want 2", c)
	}
}

func TestMailboxPutWithoutDropDoesNotAllocate(t *testing.T) {
	var n int
	box := newMailbox()
	f := testFrame(&n, 16, 16)
	if got := testing.AllocsPerRun(10_000, func() {
		box.put(f)
		box.take()
	}); got != 0 {
		t.Errorf("%v allocations; want 0", got)
	}
}

func TestDirtyIsTheDamagedFraction(t *testing.T) {
	var n int
	f := testFrame(&n, 100, 100, image.Rect(0, 0, 50, 50))
	if got := dirty(f); got != .25 {
		t.Errorf("got %v; want 0.25", got)
	}
	if got := dirty(nil); got != 0 {
		t.Errorf("no frame: got %v; want 0", got)
	}
}
