package synthetic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"time"
)

// The layout of the code strip. The package documentation describes it.
const (
	CodeColumns  = 32 // columns of cells over the width of the picture
	CodeRows     = 4  // rows of cells in the strip
	CodeGrid     = 36 // rows of cells over the height of the picture
	CodeContrast = 48 // least difference between white and black reference cells, in luma levels

	codeSync  = 2                         // reference cells at each end of a row
	codeCells = CodeColumns - 2*codeSync  // data cells in a row
	codeBytes = CodeRows * codeCells / 8  // 14: frame 4, time 6, checksum 4
	codeBody  = codeBytes - crc32.Size    // the part that the checksum covers
	minWidth  = CodeColumns * minCellSide // a smaller picture cannot carry a code
	minHeight = CodeGrid * minCellSide

	// minCellSide is the least side of a cell with a whole pixel in its middle half.
	minCellSide = 3
)

// ErrNoCode is returned when a picture has no readable code.
var ErrNoCode = errors.New("synthetic: no readable code")

// Code is the content of the strip.
type Code struct {
	// Frame is the number of the frame, modulo 2^32.
	Frame uint64
	// Time is when the frame was drawn, in whole milliseconds.
	Time time.Time
}

// put writes the content of the data cells.
func (c Code) put(b *[codeBytes]byte) {
	binary.BigEndian.PutUint32(b[0:], uint32(c.Frame))
	ms := uint64(c.Time.UnixMilli())
	binary.BigEndian.PutUint16(b[4:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[6:], uint32(ms))
	binary.BigEndian.PutUint32(b[codeBody:], crc32.ChecksumIEEE(b[:codeBody]))
}

// Draw draws the strip into a picture of four bytes per pixel in the order B, G, R, X, with rows stride bytes apart.
func (c Code) Draw(pix []byte, stride, width, height int) {
	c.draw(&canvas{pix: pix, stride: stride, width: width, height: height}, new([codeBytes]byte))
}

// draw draws the strip. It uses bits meanwhile.
func (c Code) draw(to *canvas, bits *[codeBytes]byte) {
	c.put(bits)
	for row := range CodeRows {
		for column := range CodeColumns {
			colour := black
			if cell(bits, column, row) {
				colour = white
			}
			to.fill(image.Rect(column*to.width/CodeColumns, row*to.height/CodeGrid,
				(column+1)*to.width/CodeColumns, (row+1)*to.height/CodeGrid), colour)
		}
	}
}

// cell reports whether a cell of the strip is white.
func cell(bits *[codeBytes]byte, column, row int) bool {
	switch column {
	case 0, CodeColumns - 1:
		return true
	case 1, CodeColumns - 2:
		return false
	}
	k := row*codeCells + column - codeSync
	return bits[k/8]>>(7-k%8)&1 == 1
}

// Decode reads the code from a picture of four bytes per pixel in the order B, G, R, X, with rows stride bytes apart.
func Decode(pix []byte, stride, width, height int) (Code, error) {
	return decode(pix, stride, width, height, 4, func(p []byte) int {
		return (29*int(p[0]) + 150*int(p[1]) + 77*int(p[2])) >> 8
	})
}

// DecodeLuma reads the code from a picture's luma plane: one byte per pixel, with rows stride bytes apart.
func DecodeLuma(pix []byte, stride, width, height int) (Code, error) {
	return decode(pix, stride, width, height, 1, func(p []byte) int { return int(p[0]) })
}

func decode(pix []byte, stride, width, height, step int, luma func([]byte) int) (Code, error) {
	if width < minWidth || height < minHeight || width > maxSide || height > maxSide {
		return Code{}, fmt.Errorf("%w: picture of %dx%d", ErrNoCode, width, height)
	}
	// Only the strip is read, so only the strip must be there.
	last := CodeRows*height/CodeGrid - 1
	if stride < width*step || len(pix) < last*stride+width*step {
		return Code{}, fmt.Errorf("%w: %d bytes of stride %d for %dx%d", ErrNoCode, len(pix), stride, width, height)
	}
	var means [CodeRows][CodeColumns]int
	for row := range CodeRows {
		y0, y1 := middle(row, height, CodeGrid)
		for column := range CodeColumns {
			x0, x1 := middle(column, width, CodeColumns)
			sum := 0
			for y := y0; y < y1; y++ {
				line := pix[y*stride:]
				for x := x0; x < x1; x++ {
					sum += luma(line[x*step : x*step+step])
				}
			}
			means[row][column] = sum / ((y1 - y0) * (x1 - x0))
		}
	}
	var white, black int
	for row := range means {
		white += means[row][0] + means[row][CodeColumns-1]
		black += means[row][1] + means[row][CodeColumns-2]
	}
	white, black = white/(2*CodeRows), black/(2*CodeRows)
	if white-black < CodeContrast {
		return Code{}, fmt.Errorf("%w: white %d and black %d are too close", ErrNoCode, white, black)
	}
	var bits [codeBytes]byte
	for k := range codeBytes * 8 {
		if 2*means[k/codeCells][codeSync+k%codeCells] > white+black {
			bits[k/8] |= 1 << (7 - k%8)
		}
	}
	if crc32.ChecksumIEEE(bits[:codeBody]) != binary.BigEndian.Uint32(bits[codeBody:]) {
		return Code{}, fmt.Errorf("%w: wrong checksum", ErrNoCode)
	}
	ms := int64(binary.BigEndian.Uint16(bits[4:]))<<32 | int64(binary.BigEndian.Uint32(bits[6:]))
	return Code{Frame: uint64(binary.BigEndian.Uint32(bits[0:])), Time: time.UnixMilli(ms)}, nil
}

// middle returns the middle half of the n-th of parts of a length.
func middle(n, length, parts int) (from, to int) {
	from, to = (4*n+1)*length/(4*parts), (4*n+3)*length/(4*parts)
	return from, max(to, from+1)
}
