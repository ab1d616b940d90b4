//go:build cgo && !noffmpeg

package ffmpeg

/*
#cgo pkg-config: libavcodec libavutil
#cgo LDFLAGS: -lyuv
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/asticode/go-astiav"

	"wavryhost/capture"
)

// converter keeps one picture in the encoder's format and follows the frames with it: BT.601 limited range, which is what
// libyuv makes of RGB.
type converter struct {
	picture *astiav.Frame
	width   int // of the picture, pixels
	height  int

	// The size of the frame before, cropped to even numbers; 0 before the first.
	lastWidth, lastHeight int

	bands  []band
	rows   []C.int // bands as C takes them; memory of its own, since cgo checks all of what it is handed
	scaled []byte  // BGRX of the picture's size, once a frame of another size has come
}

// newConverter returns a converter to pictures of a 4:2:0 format. The caller must free it.
func newConverter(width, height int, format astiav.PixelFormat) (*converter, error) {
	picture := astiav.AllocFrame()
	if picture == nil {
		return nil, errors.New("allocate a frame: out of memory")
	}
	picture.SetWidth(width)
	picture.SetHeight(height)
	picture.SetPixelFormat(format)
	picture.SetColorRange(colorRange)
	picture.SetColorSpace(colorSpace)
	// 64 bytes is the widest vector that libyuv and x264 load.
	if err := picture.AllocBuffer(64); err != nil {
		picture.Free()
		return nil, fmt.Errorf("allocate a picture of %dx%d: %w", width, height, err)
	}
	return &converter{picture: picture, width: width, height: height}, nil
}

func (c *converter) free() { c.picture.Free() }

// empty tells whether no frame has been converted.
func (c *converter) empty() bool { return c.lastWidth == 0 }

// convert brings the picture to f's content.
func (c *converter) convert(f *capture.Frame) error {
	// An odd last column or row has no chroma of its own in 4:2:0; it is cut off.
	width, height := f.Width&^1, f.Height&^1
	switch {
	case width < 2 || height < 2:
		return fmt.Errorf("convert: frame of %dx%d is too small", f.Width, f.Height)
	case f.Stride < 4*f.Width || len(f.Pix) < f.Stride*(f.Height-1)+4*f.Width:
		return fmt.Errorf("convert: frame of %dx%d has a stride of %d and %d bytes of pixels",
			f.Width, f.Height, f.Stride, len(f.Pix))
	}

	whole := width != c.lastWidth || height != c.lastHeight
	c.bands = c.bands[:0]
	if whole {
		c.bands = append(c.bands, band{0, height})
	} else {
		c.bands = appendBands(c.bands, f.Damage, width, height)
	}
	if len(c.bands) == 0 {
		return nil
	}

	pix, stride := f.Pix, f.Stride
	if width != c.width || height != c.height {
		// A scaled row depends on rows around it, so scaling is all or nothing.
		if c.scaled == nil {
			c.scaled = make([]byte, 4*c.width*c.height)
		}
		if code := C.wavry_scale((*C.uint8_t)(&pix[0]), C.int(stride), C.int(width), C.int(height),
			(*C.uint8_t)(&c.scaled[0]), C.int(4*c.width), C.int(c.width), C.int(c.height)); code < 0 {
			return fmt.Errorf("scale %dx%d to %dx%d: %w", width, height, c.width, c.height, avError(code))
		}
		pix, stride = c.scaled, 4*c.width
		c.bands = append(c.bands[:0], band{0, c.height})
	}

	c.rows = c.rows[:0]
	for _, b := range c.bands {
		c.rows = append(c.rows, C.int(b.top), C.int(b.bottom))
	}
	frame := (*C.AVFrame)(c.picture.UnsafePointer())
	code := C.wavry_convert(frame, (*C.uint8_t)(unsafe.SliceData(pix)), C.int(stride), unsafe.SliceData(c.rows), C.int(len(c.bands)))
	if code < 0 {
		c.lastWidth, c.lastHeight = 0, 0 // the picture may be torn
		return fmt.Errorf("convert %dx%d: %w", width, height, avError(code))
	}
	c.lastWidth, c.lastHeight = width, height
	return nil
}

func avError(code C.int) error { return astiav.Error(code) }
