// Package capture is the contract between what shows a display and what encodes it.
//
// A Source delivers frames of one display. Its implementations are the folders below this one; cmd picks one and hands it
// to the session. The package is plain Go: it knows no operating system, no codec and no network.
package capture

import (
	"context"
	"errors"
	"image"
	"sync/atomic"
	"time"
)

var (
	// ErrUnsupported is returned by a backend that cannot work on this system at all.
	ErrUnsupported = errors.New("capture: not supported on this system")
	// ErrLost is returned by Source.Next when the display went away (its server died, it was unplugged). The Source is
	// then of no more use; opening a new one may succeed later.
	ErrLost = errors.New("capture: display lost")
	// ErrClosed is returned by Source.Next during and after Close.
	ErrClosed = errors.New("capture: source closed")
)

// Source delivers the frames of one display. Its methods may be called from several goroutines, but Next from one at a
// time.
type Source interface {
	// Next blocks until the display differs from the frame that Next returned before, then returns the display as it is
	// at that moment. The first call returns at once with the whole picture. A Source that cannot tell whether anything
	// changed returns a frame at each call; the caller paces its calls, and a call made while a change is pending
	// returns without waiting.
	//
	// The caller owns the returned frame and must Release it. The Source does not write into a frame's pixels before it
	// is released, and it holds enough buffers for three frames at once; with all of them held, Next waits for a
	// release.
	//
	// The size of the frames may change from one to the next, when the display's does. Next returns ctx's error when
	// ctx ends, ErrClosed when the Source is closed, and an error that wraps ErrLost when the display went away.
	Next(ctx context.Context) (*Frame, error)
	// Refresh makes the Next call under way, or the one to come, return at once with the whole picture damaged.
	Refresh()
	// Alive returns when the display answered last. While Next runs, that is at most a second ago unless the display hangs: a
	// Source that hears nothing asks. It is how a hung display is told from a still one, so it never blocks.
	Alive() time.Time
	// Close releases what the Source holds, once the frames it gave out are released. A blocked Next returns ErrClosed.
	// A second Close does nothing.
	Close() error
}

// Frame is one picture of a display.
type Frame struct {
	// Pix holds the pixels as B, G, R and a fourth byte without meaning, top row first, Stride bytes from one row to
	// the next.
	Pix           []byte
	Stride        int
	Width, Height int // pixels

	// Damage lists what differs from the previous frame of the same Source, in pixels, inside the picture. It is empty
	// when nothing is known to differ, and one rectangle over the whole picture when everything may.
	Damage []image.Rectangle

	// Time is when the pixels were read, with a monotonic clock reading. It is carried to the end of the pipeline and
	// becomes the RTP timestamp.
	Time time.Time
	// Seq counts the frames of a Source from 1.
	Seq uint64
	// Took is how long the capture itself took, the waiting for a change not counted.
	Took time.Duration

	refs    atomic.Int32
	release func(*Frame)
}

// NewFrame returns a frame with one owner. release is called once, by whichever goroutine lets go of the frame last.
func NewFrame(release func(*Frame)) *Frame {
	f := &Frame{release: release}
	f.refs.Store(1)
	return f
}

// Bounds returns the whole picture's rectangle.
func (f *Frame) Bounds() image.Rectangle { return image.Rect(0, 0, f.Width, f.Height) }

// Retain adds an owner, who must Release the frame too.
func (f *Frame) Retain() *Frame {
	if f.refs.Add(1) <= 1 {
		panic("capture: Retain of a released frame")
	}
	return f
}

// Release gives up one owner's hold of the frame. Its pixels must not be touched afterwards. Releasing more often than the
// frame has owners panics.
func (f *Frame) Release() {
	switch n := f.refs.Add(-1); {
	case n < 0:
		panic("capture: Release of a released frame")
	case n == 0 && f.release != nil:
		f.release(f)
	}
}

// maxDamage is how many rectangles are worth telling apart; X servers answer with hundreds for scattered changes, and the
// converter works in bands of rows anyway.
const maxDamage = 16

// MergeDamage returns the union of two damage lists, as at most 16 rectangles. It may reuse a's memory.
func MergeDamage(a, b []image.Rectangle) []image.Rectangle {
next:
	for _, r := range b {
		if r.Empty() {
			continue
		}
		for i := range a {
			if r.In(a[i]) {
				continue next
			}
			if a[i].In(r) {
				a[i] = r
				continue next
			}
		}
		a = append(a, r)
	}
	if len(a) > maxDamage {
		box := a[0]
		for _, r := range a[1:] {
			box = box.Union(r)
		}
		a = append(a[:0], box)
	}
	return a
}
