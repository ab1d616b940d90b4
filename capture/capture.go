// Package capture is the contract between a display's source of pictures and the encoder.
//
// A Source delivers frames of one display. Implementations are in the folders below this one; cmd picks one and passes
// it to the session. The package is plain Go: it depends on no operating system, codec or network.
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
	// ErrLost is returned by Source.Next when the display is gone: its server ended, or it was unplugged. The Source is
	// then useless. Opening a new one may succeed later.
	ErrLost = errors.New("capture: display lost")
	// ErrClosed is returned by Source.Next during and after Close.
	ErrClosed = errors.New("capture: source closed")
)

// Source delivers the frames of one display. Its methods may be called concurrently, except Next, which one goroutine
// at a time may call.
type Source interface {
	// Next blocks until the display differs from the frame that Next returned before. It then returns the display's
	// current picture. The first call returns the whole picture at once. A Source that cannot detect changes returns a
	// frame at each call, and the caller paces its calls. A call while a change is pending returns without waiting.
	//
	// The caller owns the returned frame and must Release it. The Source does not write into a frame's pixels before its
	// release. It has buffers for three frames; while all are held, Next waits for a release.
	//
	// The size of frames may change, because the display's size may. Next returns ctx's error when ctx ends, ErrClosed
	// when the Source is closed, and an error that wraps ErrLost when the display is gone.
	Next(ctx context.Context) (*Frame, error)
	// Refresh makes the current or the next call of Next return at once, with the whole picture damaged.
	Refresh()
	// Alive returns the time of the display's last answer. While Next runs, this is at most a second ago unless the
	// display hangs: a silent display is asked. Alive distinguishes a hung display from a still one, so it never blocks.
	Alive() time.Time
	// Close releases the Source's resources, once all its frames are released. A blocked Next returns ErrClosed. A second
	// Close does nothing.
	Close() error
}

// Frame is one picture of a display.
type Frame struct {
	// Pix holds the pixels: blue, green, red, and a fourth byte without meaning. The top row is first; rows are Stride
	// bytes apart.
	Pix           []byte
	Stride        int
	Width, Height int // pixels

	// Damage lists the areas that differ from the previous frame of the same Source, in pixels, inside the picture. It is
	// empty when no difference is known, and one rectangle over the whole picture when everything may differ.
	Damage []image.Rectangle

	// Time is when the pixels were read, with a monotonic clock reading. It stays with the frame through the pipeline and
	// becomes the RTP timestamp.
	Time time.Time
	// Seq counts the frames of a Source from 1.
	Seq uint64
	// Took is the duration of the capture, without the wait for a change.
	Took time.Duration

	refs    atomic.Int32
	release func(*Frame)
}

// NewFrame returns a frame with one owner. release is called once, by the goroutine that releases the frame last.
func NewFrame(release func(*Frame)) *Frame {
	f := &Frame{release: release}
	f.refs.Store(1)
	return f
}

// Bounds returns the rectangle of the whole picture.
func (f *Frame) Bounds() image.Rectangle { return image.Rect(0, 0, f.Width, f.Height) }

// Retain adds an owner, which must Release the frame too.
func (f *Frame) Retain() *Frame {
	if f.refs.Add(1) <= 1 {
		panic("capture: Retain of a released frame")
	}
	return f
}

// Release ends one owner's hold of the frame. The caller must not touch its pixels afterwards. More releases than
// owners panic.
func (f *Frame) Release() {
	switch n := f.refs.Add(-1); {
	case n < 0:
		panic("capture: Release of a released frame")
	case n == 0 && f.release != nil:
		f.release(f)
	}
}

// maxDamage is the number of rectangles that are kept apart. X servers report hundreds for scattered changes, and the
// converter works on bands of rows anyway.
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
