//go:build linux

package kms

import (
	"errors"
	"image"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"wavryhost/capture"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
)

// Buffers with bad sizes or offsets are refused. All others are read within their bounds.
func FuzzLayout(f *testing.F) {
	f.Add(uint32(drm.FormatXRGB8888), 64, 48, uint32(256), uint32(0), 0, 0, 64, 48, uint64(0))
	f.Add(uint32(drm.FormatRGB565), 10, 10, uint32(20), uint32(7), 3, 3, 5, 7, uint64(drm.ModifierInvalid))
	f.Add(uint32(drm.FormatXRGB2101010), 65535, 1, uint32(0xffffffff), uint32(0xffffffff), -1, -1, 1, 1, uint64(0))
	f.Fuzz(func(_ *testing.T, format uint32, w, h int, pitch, offset uint32, x0, y0, x1, y1 int, modifier uint64) {
		if w < 0 || h < 0 || w > 65535 || h > 65535 {
			return // the answer is refused before
		}
		b := &kms.Buffer{
			Width: w, Height: h, Format: format, Modifier: modifier, Parts: []drm.Part{{Pitch: pitch, Offset: offset}},
		}
		area := image.Rectangle{Min: image.Pt(x0, y0), Max: image.Pt(x1, y1)}
		l, err := layoutOf(b, area, "fake")
		if err != nil || l.end > 1<<20 {
			return
		}
		dst := make([]byte, 4*l.size.X*l.size.Y)
		l.read(dst, make([]byte, l.end))
	})
}

// Surfaces begin inside their files. Whatever else a buffer has is refused, or left to the importer.
func FuzzSurface(f *testing.F) {
	f.Add(uint32(drm.FormatXRGB8888), 8, 8, uint32(32), uint32(0), uint32(0), uint32(0), 0, 0, 8, 8, uint64(0), false)
	f.Add(uint32(drm.FormatXRGB8888), 9, 9, uint32(512), uint32(7), uint32(64), uint32(4095), 1, 1, 5, 5,
		uint64(1<<56|1), true)
	f.Add(uint32(7), 1, 1, uint32(1<<32-1), uint32(1<<32-1), uint32(1), uint32(4096), 0, 0, 1, 1, uint64(1<<56-1), true)
	fd, err := unix.MemfdCreate("buffer", unix.MFD_CLOEXEC)
	if err == nil {
		err = unix.Ftruncate(fd, 4096)
	}
	if err != nil {
		f.Fatal(err)
	}
	files := []*os.File{os.NewFile(uintptr(fd), "buffer")}
	f.Cleanup(func() { _ = files[0].Close() })
	s := newSurfaces("fake", capture.NewSlots(maxFrames, func() {}))
	f.Cleanup(s.close)
	f.Fuzz(func(t *testing.T, format uint32, w, h int, pitch, offset, pitch2, offset2 uint32, x0, y0, x1, y1 int,
		modifier uint64, two bool,
	) {
		if w < 0 || h < 0 || w > 65535 || h > 65535 {
			return // the answer is refused before
		}
		b := &kms.Buffer{
			Width: w, Height: h, Format: format, Modifier: modifier, Parts: []drm.Part{{Pitch: pitch, Offset: offset}},
		}
		if two {
			b.Parts = append(b.Parts, drm.Part{Pitch: pitch2, Offset: offset2})
		}
		p := &picture{Scanout: &kms.Scanout{Picture: b}}
		p.Area = image.Rectangle{Min: image.Pt(x0, y0), Max: image.Pt(x1, y1)}
		d, err := s.describe(p, files)
		if err != nil {
			return
		}
		if len(d.Planes) != len(b.Parts) {
			t.Fatalf("got %d planes; want %d", len(d.Planes), len(b.Parts))
		}
		for _, plane := range d.Planes {
			if plane.Offset >= 4096 {
				t.Errorf("a plane begins at byte %d of 4096", plane.Offset)
			}
		}
		if _, err := s.hash(d, p.Area.Size()); err != nil && !errors.Is(err, capture.ErrUnsupported) {
			t.Error(err)
		}
	})
}
