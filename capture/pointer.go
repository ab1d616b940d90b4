package capture

import (
	"context"
	"image"
)

// PointerOpener opens the pointer of a display. It takes no longer than ctx, which the PointerSource outlives. Its
// error wraps ErrUnsupported if the display's pointer can only be had in the picture.
type PointerOpener func(ctx context.Context) (PointerSource, error)

// PointerSource delivers the pointer of one display, beside its pictures. It has a connection of its own, so the
// pointer never waits for a picture to be read.
type PointerSource interface {
	// NextPointer blocks until the pointer has moved or looks different, or the display has another size, and returns
	// it. The first call returns at once. It returns ctx's error when ctx ends, and the errors of Source.Next. One
	// goroutine at a time may call it.
	NextPointer(ctx context.Context) (Pointer, error)
	// Close ends the source. A blocked NextPointer returns ErrClosed. A second Close does nothing.
	Close() error
}

// Pointer is the state of a display's pointer.
type Pointer struct {
	At      image.Point // in pixels of the display
	Display image.Point // the display's size
	Visible bool        // a part of it is on this display, and has a shape
	// Shape is what it looks like. It is the same one, which nobody changes, as long as the shape does. It is nil
	// while the pointer is not visible.
	Shape *Shape
}

// Shape is what a pointer looks like.
type Shape struct {
	Width, Height int
	Hot           image.Point // the pixel that points
	Pix           []byte      // premultiplied blue, green, red, alpha, without padding
}
