package kms

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"image"
	"iter"
	"slices"

	"wavryhost/capture"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
)

// maxSide is the longest side of a picture that is accepted, and maxSize its size in bytes.
const (
	maxSide = 32767
	maxSize = 512 << 20
)

// secretive are the drivers whose pictures may have tiles when they do not name the layout. The others that name none
// have rows.
var secretive = []string{"amdgpu", "nouveau", "radeon"}

// layout is where the pixels of a picture are in a buffer.
type layout struct {
	format        uint32
	size          image.Point // of the picture
	offset, pitch uint64      // of its first pixel, and of rows, in bytes
	end           uint64      // behind its last pixel
}

// layoutOf returns where the part area of a buffer is, or why it cannot be read.
func layoutOf(b *kms.Buffer, area image.Rectangle, driver string) (layout, error) {
	l := layout{format: b.Format, size: area.Size()}
	pixel := l.bytes()
	switch {
	case !hasRows(b.Modifier, driver):
		return l, fmt.Errorf("%w: driver %s shows pixels of format %s in tiles (modifier %s), which only its graphics card "+
			"can read; capture the desktop as a display of x11, wayland or pipewire",
			capture.ErrUnsupported, driver, drm.FormatName(b.Format), drm.ModifierName(b.Modifier))
	case pixel == 0 || len(b.Parts) != 1:
		return l, fmt.Errorf("%w: driver %s shows pixels of format %s in %d parts; capture the desktop as a display of "+
			"x11, wayland or pipewire", capture.ErrUnsupported, driver, drm.FormatName(b.Format), len(b.Parts))
	}
	if err := checkSize(b, area, driver); err != nil {
		return l, err
	}
	l.pitch = uint64(b.Parts[0].Pitch)
	l.offset = uint64(b.Parts[0].Offset) + uint64(area.Min.Y)*l.pitch + uint64(area.Min.X)*pixel
	l.end = l.offset + uint64(area.Dy()-1)*l.pitch + uint64(area.Dx())*pixel
	return l, nil
}

// hasRows reports whether the pixels of a modifier are in rows without tiles.
func hasRows(modifier uint64, driver string) bool {
	return modifier == drm.ModifierLinear || modifier == drm.ModifierInvalid && !slices.Contains(secretive, driver)
}

// checkSize returns what is wrong with the sizes of a buffer, and of its part area.
func checkSize(b *kms.Buffer, area image.Rectangle, driver string) error {
	if area.Empty() || area.Dx() > maxSide || area.Dy() > maxSide || !area.In(image.Rect(0, 0, b.Width, b.Height)) {
		return fmt.Errorf("%w: driver %s shows the part %v of a picture of %dx%d pixels", capture.ErrUnsupported, driver,
			area, b.Width, b.Height)
	}
	least := layout{format: b.Format}.bytes() * uint64(b.Width)
	for _, p := range b.Parts {
		if pitch := uint64(p.Pitch); pitch < least || pitch*uint64(area.Dy()) > maxSize {
			return fmt.Errorf("%w: driver %s has rows of %d bytes in a picture of %dx%d pixels of format %s",
				capture.ErrUnsupported, driver, pitch, b.Width, b.Height, drm.FormatName(b.Format))
		}
		least = 0 // the other parts have no pixels
	}
	return nil
}

// fits returns an error unless the picture is inside a buffer of a size.
func (l layout) fits(size uint64) error {
	if size < l.end {
		return fmt.Errorf("%w: it has %d bytes, and pixels up to byte %d", errUnknown, size, l.end)
	}
	return nil
}

// bytes returns the size of a pixel, or 0 for formats that cannot be read.
func (l layout) bytes() uint64 {
	switch l.format {
	case drm.FormatXRGB8888, drm.FormatARGB8888, drm.FormatXBGR8888, drm.FormatABGR8888, drm.FormatXRGB2101010,
		drm.FormatARGB2101010:
		return 4
	case drm.FormatRGB565:
		return 2
	}
	return 0
}

// opaque reports whether the fourth byte has no meaning.
func (l layout) opaque() bool {
	return l.format != drm.FormatARGB8888 && l.format != drm.FormatABGR8888
}

// rows returns the rows of the picture. mem has at least l.end bytes.
func (l layout) rows(mem []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		width := uint64(l.size.X) * l.bytes()
		for y := range l.size.Y {
			if from := l.offset + uint64(y)*l.pitch; !yield(y, mem[from:from+width]) {
				return
			}
		}
	}
}

// read writes the picture as blue, green, red and a fourth byte.
func (l layout) read(dst, mem []byte) {
	for y, row := range l.rows(mem) {
		l.convert(dst[4*l.size.X*y:4*l.size.X*(y+1)], row)
	}
}

// sum returns a hash of the picture.
func (l layout) sum(seed maphash.Seed, mem []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, row := range l.rows(mem) {
		_, _ = h.Write(row)
	}
	return h.Sum64()
}

// convert writes a row.
func (l layout) convert(dst, src []byte) {
	le := binary.LittleEndian
	switch l.format {
	case drm.FormatXBGR8888, drm.FormatABGR8888:
		for i := 0; i+4 <= len(src); i += 4 {
			dst[i], dst[i+1], dst[i+2], dst[i+3] = src[i+2], src[i+1], src[i], src[i+3]
		}
	case drm.FormatXRGB2101010, drm.FormatARGB2101010:
		for i := 0; i+4 <= len(src); i += 4 {
			p := le.Uint32(src[i:])
			dst[i], dst[i+1], dst[i+2], dst[i+3] = byte(p>>2), byte(p>>12), byte(p>>22), 255
		}
	case drm.FormatRGB565:
		for i := 0; i+2 <= len(src); i += 2 {
			p := le.Uint16(src[i:])
			r, g, b := p>>11, p>>5&63, p&31
			// The high bits are repeated in the low ones, so that white is white.
			dst[2*i], dst[2*i+1], dst[2*i+2], dst[2*i+3] = byte(b<<3|b>>2), byte(g<<2|g>>4), byte(r<<3|r>>2), 255
		}
	default:
		copy(dst, src)
	}
}

// draw blends a pointer with its corner at a place into a picture without padding.
func draw(pix []byte, size image.Point, s *capture.Shape, at image.Point) {
	r := image.Rect(at.X, at.Y, at.X+s.Width, at.Y+s.Height).Intersect(image.Rectangle{Max: size})
	for y := r.Min.Y; y < r.Max.Y; y++ {
		to, from := 4*(y*size.X+r.Min.X), 4*((y-at.Y)*s.Width+r.Min.X-at.X)
		for i := range 4 * r.Dx() {
			if i%4 == 3 {
				continue
			}
			under := uint32(pix[to+i]) * uint32(255-s.Pix[from+i|3])
			// A pointer whose colors exceed its alpha is not premultiplied. The sum must not wrap around.
			pix[to+i] = byte(min(255, uint32(s.Pix[from+i])+(under+127)/255))
		}
	}
}
