package wayland

import (
	"fmt"
	"image"
	"slices"

	"wavryhost/capture"
)

// Formats of wl_shm that can be read, by preference. Other ones than the first two are named by their FourCC.
const (
	formatARGB = 0
	formatXRGB = 1
	formatXBGR = 0x34324258
	formatABGR = 0x34324241
)

var formats = []uint32{formatXRGB, formatARGB, formatXBGR, formatABGR}

// layout is the form of the compositor's pictures.
type layout struct {
	width, height, stride int
	format                uint32
	transform             uint32 // of wl_output
	flipped               bool   // the bottom row is first
}

// maxSide is the longest side of a picture that is accepted, and maxSize its size in bytes.
const (
	maxSide = 32767
	maxSize = 512 << 20
)

// check returns why pictures of this layout cannot be captured.
func (l layout) check() error {
	switch {
	case l.width <= 0 || l.height <= 0 || l.width > maxSide || l.height > maxSide:
		return fmt.Errorf("%w: an output of %dx%d pixels", capture.ErrUnsupported, l.width, l.height)
	case l.stride < 4*l.width || l.stride%4 != 0 || l.stride > maxSize/l.height:
		return fmt.Errorf("%w: rows of %d bytes in a picture of %dx%d pixels", capture.ErrUnsupported, l.stride, l.width,
			l.height)
	}
	if slices.Contains(formats, l.format) {
		return nil
	}
	return fmt.Errorf("%w: pixels of format %s", capture.ErrUnsupported, fourCC(l.format))
}

// fourCC names a format.
func fourCC(f uint32) string {
	b := []byte{byte(f), byte(f >> 8), byte(f >> 16), byte(f >> 24)}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%#x", f)
		}
	}
	return string(b)
}

// direct reports whether frames are as the compositor writes them.
func (l layout) direct() bool { return l.transform == 0 && !l.flipped && !l.swapped() }

// swapped reports whether red comes before blue.
func (l layout) swapped() bool { return l.format == formatXBGR || l.format == formatABGR }

// upright returns the size of frames.
func (l layout) upright() (width, height int) {
	if l.transform&1 != 0 {
		return l.height, l.width
	}
	return l.width, l.height
}

// source returns where the pixel of a frame is in the compositor's picture, as an affine map: the pixel x, y is at
// origin + x*right + y*down.
func (l layout) source() (origin, right, down image.Point) {
	w, h := l.upright()
	at := func(x, y int) image.Point {
		var p image.Point
		switch l.transform {
		case 0:
			p = image.Pt(x, y)
		case 1:
			p = image.Pt(y, w-1-x)
		case 2:
			p = image.Pt(w-1-x, h-1-y)
		case 3:
			p = image.Pt(h-1-y, x)
		case 4:
			p = image.Pt(w-1-x, y)
		case 5:
			p = image.Pt(y, x)
		case 6:
			p = image.Pt(x, h-1-y)
		default:
			p = image.Pt(h-1-y, w-1-x)
		}
		if l.flipped {
			p.Y = l.height - 1 - p.Y
		}
		return p
	}
	origin = at(0, 0)
	return origin, at(1, 0).Sub(origin), at(0, 1).Sub(origin)
}

// convert writes the compositor's picture as a frame without padding.
func (l layout) convert(dst, src []byte) {
	w, h := l.upright()
	origin, right, down := l.source()
	step := right.Y*l.stride + right.X*4
	blue, red := 0, 2
	if l.swapped() {
		blue, red = 2, 0
	}
	for y := range h {
		from := (origin.Y+y*down.Y)*l.stride + (origin.X+y*down.X)*4
		row := dst[y*w*4 : (y+1)*w*4]
		for x := 0; x < len(row); x += 4 {
			p := src[from : from+4 : from+4]
			row[x], row[x+1], row[x+2], row[x+3] = p[blue], p[1], p[red], p[3]
			from += step
		}
	}
}

// place returns where a rectangle of the compositor's picture is in a frame.
func (l layout) place(r image.Rectangle) image.Rectangle {
	r = r.Intersect(image.Rect(0, 0, l.width, l.height))
	if r.Empty() {
		return image.Rectangle{}
	}
	a, b := l.back(r.Min), l.back(r.Max.Sub(image.Pt(1, 1)))
	return image.Rect(min(a.X, b.X), min(a.Y, b.Y), max(a.X, b.X)+1, max(a.Y, b.Y)+1)
}

// back returns where a pixel of the compositor's picture is in a frame.
func (l layout) back(p image.Point) image.Point {
	origin, right, down := l.source()
	p = p.Sub(origin)
	// The inverse of a turn or a mirroring is its transpose.
	return image.Pt(p.X*right.X+p.Y*right.Y, p.X*down.X+p.Y*down.Y)
}
