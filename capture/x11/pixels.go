package x11

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"wavryhost/capture"
	"wavryhost/platform/xproto"
)

var le = binary.LittleEndian

// pixels is the pixel format of a server, and its conversion to the format of a capture.Frame. The zero value is the
// format of a Frame.
type pixels struct {
	// size is the size of a pixel in bytes, 2 or 4. It is 0 for pixels that need no conversion.
	size int
	// For blue, green and red: the position of the bits, and the 8-bit value of each value.
	shift [3]uint
	mask  [3]uint32
	scale [3][]byte
}

// maxChannel is the largest supported number of bits of a color. Screens of "deep color" have 10.
const maxChannel = 10

// pixelsOf returns how to read the pictures of a screen, or why that is impossible.
func pixelsOf(s xproto.Setup, sc xproto.Screen) (pixels, error) {
	for _, f := range s.Formats {
		if f.Depth != sc.Depth {
			continue
		}
		p, ok := newPixels(f, [3]uint32{sc.Blue, sc.Green, sc.Red})
		if s.LSBFirst && ok {
			return p, nil
		}
		order := "big"
		if s.LSBFirst {
			order = "little"
		}
		return pixels{}, fmt.Errorf(
			"%w: the display has depth %d with %d bits a pixel, masks %#x %#x %#x, %s-endian: only 16 or 32 bits "+
				"a pixel with color masks, little-endian, are understood; start the server with depth 24",
			capture.ErrUnsupported,
			sc.Depth,
			f.BitsPerPixel,
			sc.Red,
			sc.Green,
			sc.Blue,
			order,
		)
	}
	return pixels{}, fmt.Errorf("%w: the server names no picture format for depth %d", capture.ErrUnsupported, sc.Depth)
}

func newPixels(f xproto.Format, masks [3]uint32) (pixels, bool) {
	if (f.BitsPerPixel != 16 && f.BitsPerPixel != 32) || f.ScanlinePad != 32 {
		return pixels{}, false
	}
	if f.BitsPerPixel == 32 && masks == [3]uint32{0xff, 0xff00, 0xff0000} {
		return pixels{}, true
	}
	p := pixels{size: int(f.BitsPerPixel) / 8}
	var all uint32
	for i, m := range masks {
		shift := bits.TrailingZeros32(m)
		width := bits.OnesCount32(m)
		if m == 0 || m>>shift != 1<<width-1 || width > maxChannel || m&all != 0 || bits.Len32(m) > int(f.BitsPerPixel) {
			return pixels{}, false
		}
		all |= m
		most := 1<<width - 1
		p.shift[i], p.mask[i], p.scale[i] = uint(shift), uint32(most), make([]byte, most+1)
		for v := range p.scale[i] {
			p.scale[i][v] = byte((v*255 + most/2) / most)
		}
	}
	return p, true
}

// converts reports whether pictures need conversion.
func (p *pixels) converts() bool { return p.size != 0 }

// row returns the number of bytes that the server sends for n pixels of a row.
func (p *pixels) row(n int) int {
	if p.size == 2 {
		return xproto.Pad(2 * n)
	}
	return 4 * n
}

// convert converts a row of pixels from src to dst, which may be src.
func (p *pixels) convert(dst, src []byte) {
	if p.size == 2 {
		for i := 0; i+4 <= len(dst); i += 4 {
			p.put(dst[i:i+4:i+4], uint32(le.Uint16(src[i/2:])))
		}
		return
	}
	for i := 0; i+4 <= len(dst); i += 4 {
		p.put(dst[i:i+4:i+4], le.Uint32(src[i:]))
	}
}

func (p *pixels) put(dst []byte, v uint32) {
	dst[0] = p.scale[0][v>>p.shift[0]&p.mask[0]]
	dst[1] = p.scale[1][v>>p.shift[1]&p.mask[1]]
	dst[2] = p.scale[2][v>>p.shift[2]&p.mask[2]]
}
