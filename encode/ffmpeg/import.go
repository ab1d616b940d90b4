//go:build cgo && !noffmpeg

package ffmpeg

/*
#cgo pkg-config: libavfilter
#include <stdlib.h>
#include "import.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"image"
	"unsafe"

	"github.com/asticode/go-astiav"

	"wavryhost/capture"
	"wavryhost/encode"
)

// scaling are the options of the filter that scales and converts on the device. Without the matrix, drivers guess it.
const scaling = "format=nv12:out_range=tv:out_color_matrix=smpte170m:out_color_primaries=bt709:" +
	"out_color_transfer=iec61966-2-1:out_chroma_location=center"

// importer makes pictures of the surfaces of other programs, on the device of a surface. Nothing of them passes through
// main memory.
type importer struct {
	from    image.Point // the size of the surfaces
	context *C.struct_wavry_import
	picture *astiav.Frame // the latest, or nil
}

// load makes a picture of a frame. The caller keeps the frame.
func (s *surface) load(f *capture.Frame, from *capture.DMABuf) error {
	if len(from.Planes) == 0 || len(from.Planes) > C.WAVRY_PLANES {
		return fmt.Errorf("import a picture: it has %d planes; want 1 to %d", len(from.Planes), C.WAVRY_PLANES)
	}
	c := C.struct_wavry_dmabuf{
		width: C.int(f.Width), height: C.int(f.Height), fourcc: C.uint32_t(from.FourCC),
		modifier: C.uint64_t(from.Modifier), ready: C.int(from.Ready), planes: C.int(len(from.Planes)),
	}
	for i, p := range from.Planes {
		c.fd[i], c.offset[i], c.stride[i] = C.int(p.FD), C.uint32_t(p.Offset), C.uint32_t(p.Stride)
	}
	lines, err := captured(astiav.LogLevelWarning, func() error {
		if err := s.prepare(image.Pt(f.Width, f.Height)); err != nil {
			return err
		}
		return failure(C.wavry_import(s.imported.context, &c, (*C.AVFrame)(s.imported.picture.UnsafePointer())))
	})
	if err != nil {
		s.imported.close()
		return fmt.Errorf("import a picture of %dx%d in format %#08x, modifier %#x: %w", f.Width, f.Height, from.FourCC,
			from.Modifier, explained(err, lines))
	}
	state(s.imported.picture)
	return nil
}

// prepare opens what surfaces of a size need.
func (s *surface) prepare(from image.Point) error {
	im := &s.imported
	if im.picture == nil {
		if im.picture = astiav.AllocFrame(); im.picture == nil {
			return errors.New("allocate a frame: out of memory")
		}
	}
	if im.context != nil && im.from == from {
		return nil
	}
	C.wavry_import_close(&im.context) //nolint:gocritic // cgo's check of the pointer compares it with itself
	im.from = from
	options := C.CString(scaling)
	defer C.free(unsafe.Pointer(options))
	//nolint:gocritic // as above
	return failure(C.wavry_import_open(&im.context, s.device, C.int(from.X), C.int(from.Y), C.int(s.width),
		C.int(s.height), options))
}

// drop forgets the picture.
func (im *importer) drop() {
	if im.picture != nil {
		im.picture.Free()
		im.picture = nil
	}
}

// close frees all that is on the device.
func (im *importer) close() {
	im.drop()
	C.wavry_import_close(&im.context) //nolint:gocritic // as above
}

// save writes the imported picture, if there is one, to a picture in main memory, and frees all that is on the device.
func (s *surface) save(to *astiav.Frame) error {
	defer s.imported.close()
	if s.imported.picture == nil {
		return nil
	}
	lines, err := captured(astiav.LogLevelWarning, func() error {
		return failure(C.wavry_download((*C.AVFrame)(to.UnsafePointer()),
			(*C.AVFrame)(s.imported.picture.UnsafePointer())))
	})
	if err != nil {
		return fmt.Errorf("save the picture of the device: %w", explained(err, lines))
	}
	return nil
}

// take makes f the picture to encode, and releases it. Without one, the picture stays that of the frame before.
func (e *encoder) take(f *capture.Frame) error {
	if f == nil {
		return e.converter.take(nil)
	}
	from, ok := f.Surface.(*capture.DMABuf)
	if !ok || e.surface == nil || e.profile.Surfaces.Kind != capture.DMA {
		if e.surface != nil {
			e.surface.imported.drop()
		}
		return e.converter.take(f)
	}
	defer f.Release()
	if err := e.surface.load(f, from); err != nil {
		return fmt.Errorf("%w: %w", encode.ErrSurface, err)
	}
	e.converter.forget()
	return nil
}
