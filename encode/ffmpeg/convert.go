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
	"wavryhost/encode"
)

// converter keeps one picture in the encoder's format and updates it from frames. It uses BT.601 limited range, which
// libyuv makes of RGB.
type converter struct {
	picture *astiav.Frame
	width   int // of the picture, pixels
	height  int

	// The size of the previous frame; 0 before the first, and -1 after one of which another picture was made.
	lastWidth, lastHeight int

	bands  []band
	rows   []C.int // bands for C, in separate memory, since cgo checks all of the memory that it is passed
	scaled []byte  // BGRX of the picture's size, since the first frame of another size
}

// newConverter returns a converter to pictures in a 4:2:0 format. The caller must free it.
func newConverter(width, height int, format astiav.PixelFormat) (*converter, error) {
	picture, err := newPicture(width, height, format)
	if err != nil {
		return nil, err
	}
	state(picture)
	return &converter{picture: picture, width: width, height: height}, nil
}

// newPicture returns a picture in main memory. The caller must free it.
func newPicture(width, height int, format astiav.PixelFormat) (*astiav.Frame, error) {
	picture := astiav.AllocFrame()
	if picture == nil {
		return nil, errors.New("allocate a frame: out of memory")
	}
	picture.SetWidth(width)
	picture.SetHeight(height)
	picture.SetPixelFormat(format)
	// 64 bytes is the widest vector that libyuv and x264 load.
	if err := picture.AllocBuffer(64); err != nil {
		picture.Free()
		return nil, fmt.Errorf("allocate a picture of %dx%d: %w", width, height, err)
	}
	return picture, nil
}

func (c *converter) free() { c.picture.Free() }

// take converts a frame and releases it. Without one, the picture stays that of the frame before.
func (c *converter) take(f *capture.Frame) error {
	if f == nil {
		if c.empty() {
			return errors.New("no picture to encode again")
		}
		return nil
	}
	defer f.Release()
	return c.convert(f)
}

// forget notes that the picture is older than the frame of which another picture was made. It will be that of a frame
// again, but no part of it stays.
func (c *converter) forget() { c.lastWidth, c.lastHeight = -1, -1 }

// empty reports whether no frame has been taken.
func (c *converter) empty() bool { return c.lastWidth == 0 }

// convert updates the picture to the content of f.
func (c *converter) convert(f *capture.Frame) error {
	pix, stride, err := f.Map()
	if err != nil {
		return fmt.Errorf("convert: %w: %w", encode.ErrSurface, err)
	}
	switch {
	case f.Width < 2 || f.Height < 2:
		return fmt.Errorf("convert: frame of %dx%d is too small", f.Width, f.Height)
	case stride < 4*f.Width || len(pix) < stride*(f.Height-1)+4*f.Width:
		return fmt.Errorf("convert: frame of %dx%d has a stride of %d and %d bytes of pixels",
			f.Width, f.Height, stride, len(pix))
	}
	// A 4:2:0 picture has even sides. If a frame's side is odd, the picture's is one more.
	evenWidth, evenHeight := (f.Width+1)&^1, (f.Height+1)&^1

	whole := f.Width != c.lastWidth || f.Height != c.lastHeight
	c.bands = c.bands[:0]
	if whole {
		c.bands = append(c.bands, band{0, evenHeight})
	} else {
		c.bands = appendBands(c.bands, f.Damage, evenWidth, evenHeight)
	}
	if len(c.bands) == 0 {
		return nil
	}

	width, height := f.Width, f.Height
	if evenWidth != c.width || evenHeight != c.height {
		if err := c.scale(pix, stride, f.Width, f.Height); err != nil {
			c.lastWidth, c.lastHeight = 0, 0 // the picture may be torn
			return err
		}
		pix, stride, width, height = c.scaled, 4*c.width, c.width, c.height
	}

	c.rows = c.rows[:0]
	for _, b := range c.bands {
		c.rows = append(c.rows, C.int(b.top), C.int(b.bottom))
	}
	frame := (*C.AVFrame)(c.picture.UnsafePointer())
	code := C.wavry_convert(frame, (*C.uint8_t)(unsafe.SliceData(pix)), C.int(stride), C.int(width), C.int(height),
		unsafe.SliceData(c.rows), C.int(len(c.bands)))
	if code < 0 {
		c.lastWidth, c.lastHeight = 0, 0 // the picture may be torn
		return fmt.Errorf("convert %dx%d: %w", width, height, avError(code))
	}
	c.lastWidth, c.lastHeight = f.Width, f.Height
	return nil
}

// scaleMargin is the number of rows around a band of a scaled picture that depend on the band's rows; it is multiplied
// by the scale. The filters reach over one row on either side, and rounding over another.
const scaleMargin = 2

// scale scales the bands of a frame to the size of the picture. The result has the corresponding bands.
func (c *converter) scale(pix []byte, stride, width, height int) error {
	if c.scaled == nil {
		c.scaled = make([]byte, 4*c.width*c.height)
	}
	n, margin := 0, scaleMargin*(1+c.height/height)
	for _, b := range c.bands {
		top := max(0, b.top*c.height/height-margin) &^ 1
		bottom := min(c.height, ((b.bottom*c.height+height-1)/height+margin+1)&^1)
		if n > 0 && top <= c.bands[n-1].bottom {
			c.bands[n-1].bottom = max(c.bands[n-1].bottom, bottom)
			continue
		}
		c.bands[n] = band{top, bottom}
		n++
	}
	c.bands = c.bands[:n]
	for _, b := range c.bands {
		code := C.wavry_scale((*C.uint8_t)(&pix[0]), C.int(stride), C.int(width), C.int(height),
			(*C.uint8_t)(&c.scaled[0]), C.int(4*c.width), C.int(c.width), C.int(c.height), C.int(b.top), C.int(b.bottom))
		if code < 0 {
			return fmt.Errorf("scale %dx%d to %dx%d: %w", width, height, c.width, c.height, avError(code))
		}
	}
	return nil
}

func avError(code C.int) error { return astiav.Error(code) }
