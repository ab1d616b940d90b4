package capture

import (
	"context"
	"image"
)

// PointerSource delivers the pointer of one display, beside its pictures. It has a connection of its own, so the
// pointer never waits for a picture to be read.
type PointerSource interface {
	// NextPointer blocks until the pointer has moved or looks different, and returns it. The first call returns at
	// once. It returns ctx's error when ctx ends, and the errors of Source.Next. One goroutine at a time may call it.
	NextPointer(ctx context.Context) (Pointer, error)
	// Close ends the source. A blocked NextPointer returns ErrClosed. A second Close does nothing.
	Close() error
}

// Pointer is the state of a display's pointer.
type Pointer struct {
	At      image.Point // in pixels of the display
	Visible bool        // on this display, with a shape
	Serial  uint32      // of the shape
	Shape   *Shape      // set when Serial is new
}

// Shape is what the pointer looks like.
type Shape struct {
	Width, Height int
	Hot           image.Point // the pixel that points
	Pix           []byte      // premultiplied blue, green, red, alpha, without padding
}
