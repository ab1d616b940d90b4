package capture

import (
	"image"
	"sync/atomic"
	"time"
)

// Frame is one picture of a display, in main memory or in that of a device.
type Frame struct {
	// Pix holds the pixels of a frame in main memory: blue, green, red, and a fourth byte without meaning. The top row
	// is first; rows are Stride bytes apart. It is nil if Surface is set.
	Pix    []byte
	Stride int
	// Surface is where the pixels are if they are not in main memory. Map copies them.
	Surface       Surface
	Width, Height int // pixels

	// Damage lists the areas that differ from the previous frame of the same Source, in pixels, inside the picture. It
	// is empty when no difference is known, and one rectangle over the whole picture when everything may differ.
	Damage []image.Rectangle
	// Exact reports whether Damage has all that differs. Otherwise the Source cannot tell, and Damage is the whole
	// picture.
	Exact bool

	// Polled reports whether the Source polls the display because it does not report all that changes.
	Polled bool

	// Time is when the pixels were read, with a monotonic clock reading. It stays with the frame through the pipeline
	// and becomes the RTP timestamp.
	Time time.Time
	// Seq counts the frames of a Source from 1.
	Seq uint64
	// Took is the duration of the capture, without the wait for a change.
	Took time.Duration

	refs    atomic.Int32
	release func(*Frame)
	copied  *copied // nil in main memory
}

// NewFrame returns a frame in main memory with one owner. release is called once, by the goroutine that releases the
// frame last.
func NewFrame(release func(*Frame)) *Frame {
	f := &Frame{release: release}
	f.refs.Store(1)
	return f
}

// NewSurfaceFrame returns a frame in the memory of a device with one owner. c makes the copy for Map.
func NewSurfaceFrame(s Surface, c *Copier, release func(*Frame)) *Frame {
	f := NewFrame(func(f *Frame) {
		f.copied.free()
		if release != nil {
			release(f)
		}
	})
	f.Surface, f.copied = s, &copied{copier: c}
	return f
}

// WithDamage returns a frame over the same pixels with other damage. It holds f until it is released.
func (f *Frame) WithDamage(damage []image.Rectangle, exact bool) *Frame {
	f.Retain()
	g := NewFrame(func(*Frame) { f.Release() })
	g.Pix, g.Stride, g.Surface, g.Width, g.Height = f.Pix, f.Stride, f.Surface, f.Width, f.Height
	g.Time, g.Seq, g.Took, g.copied = f.Time, f.Seq, f.Took, f.copied
	g.Damage, g.Exact = damage, exact
	return g
}

// Bounds returns the rectangle of the whole picture.
func (f *Frame) Bounds() image.Rectangle { return image.Rect(0, 0, f.Width, f.Height) }

// Map returns the pixels in main memory, in the form of Pix. It copies a surface once for all callers. The pixels are
// valid until the frame is released.
func (f *Frame) Map() (pix []byte, stride int, err error) {
	if f.Surface == nil {
		return f.Pix, f.Stride, nil
	}
	return f.copied.of(f)
}

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
