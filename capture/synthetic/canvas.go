package synthetic

import (
	"encoding/binary"
	"image"
	"math"
)

// pixel is a color as it lies in memory, little-endian: 0xRRGGBB.
type pixel uint32

// mix returns the color between a (t 0) and b (t 1).
func mix(a, b pixel, t float64) pixel {
	channel := func(shift uint) pixel {
		x, y := float64(a>>shift&0xff), float64(b>>shift&0xff)
		return pixel(x+(y-x)*t+0.5) & 0xff << shift
	}
	return channel(0) | channel(8) | channel(16)
}

// canvas is a picture in BGRX to draw on. Drawing is clipped to it.
type canvas struct {
	pix           []byte
	stride        int
	width, height int
}

func newCanvas(width, height int) canvas {
	return canvas{pix: make([]byte, width*4*height), stride: width * 4, width: width, height: height}
}

func (c *canvas) bounds() image.Rectangle { return image.Rect(0, 0, c.width, c.height) }

func (c *canvas) set(x, y int, p pixel) {
	if image.Pt(x, y).In(c.bounds()) {
		binary.LittleEndian.PutUint32(c.pix[y*c.stride+x*4:], uint32(p))
	}
}

func (c *canvas) at(x, y int) pixel {
	return pixel(binary.LittleEndian.Uint32(c.pix[y*c.stride+x*4:]))
}

// row returns the bytes of one row of a rectangle inside the canvas.
func (c *canvas) row(r image.Rectangle, y int) []byte {
	return c.pix[y*c.stride+r.Min.X*4 : y*c.stride+r.Max.X*4]
}

func (c *canvas) fill(r image.Rectangle, p pixel) {
	r = r.Intersect(c.bounds())
	if r.Empty() {
		return
	}
	first := c.row(r, r.Min.Y)
	binary.LittleEndian.PutUint32(first, uint32(p))
	for n := 4; n < len(first); n *= 2 {
		copy(first[n:], first[:n])
	}
	for y := r.Min.Y + 1; y < r.Max.Y; y++ {
		copy(c.row(r, y), first)
	}
}

// restore copies a rectangle from another canvas of the same size.
func (c *canvas) restore(from *canvas, r image.Rectangle) {
	r = r.Intersect(c.bounds())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		copy(c.row(r, y), from.row(r, y))
	}
}

// disc draws a filled circle with a smooth edge over the picture.
func (c *canvas) disc(x, y, radius float64, p pixel) {
	r := discBounds(x, y, radius).Intersect(c.bounds())
	// Away from the edge, no square root is needed.
	inner, outer := max(radius-1, 0)*max(radius-1, 0), (radius+1)*(radius+1)
	for py := r.Min.Y; py < r.Max.Y; py++ {
		for px := r.Min.X; px < r.Max.X; px++ {
			dx, dy := float64(px)+0.5-x, float64(py)+0.5-y
			switch d := dx*dx + dy*dy; {
			case d <= inner:
				c.set(px, py, p)
			case d < outer:
				c.blend(px, py, p, cover(d, radius))
			}
		}
	}
}

// ring draws the outline of a circle with smooth edges over the picture.
func (c *canvas) ring(x, y, radius, stroke float64, p pixel) {
	r := discBounds(x, y, radius+stroke/2).Intersect(c.bounds())
	for py := r.Min.Y; py < r.Max.Y; py++ {
		for px := r.Min.X; px < r.Max.X; px++ {
			dx, dy := float64(px)+0.5-x, float64(py)+0.5-y
			d := dx*dx + dy*dy
			c.blend(px, py, p, cover(d, radius+stroke/2)-cover(d, radius-stroke/2))
		}
	}
}

func (c *canvas) blend(x, y int, p pixel, t float64) {
	if t > 0 {
		c.set(x, y, mix(c.at(x, y), p, t))
	}
}

// discBounds returns the bounds of a circle in pixels.
func discBounds(x, y, radius float64) image.Rectangle {
	return image.Rect(int(math.Floor(x-radius-1)), int(math.Floor(y-radius-1)),
		int(math.Ceil(x+radius+1)), int(math.Ceil(y+radius+1)))
}

// cover returns the share of a pixel that lies inside a circle, from the squared distance to its center.
func cover(squared, radius float64) float64 {
	return min(max(radius+0.5-math.Sqrt(squared), 0), 1)
}

// text draws a line of text with its upper left corner at p. Each pixel of a glyph is a square of scale pixels.
func (c *canvas) text(at image.Point, s []byte, scale int, p pixel) {
	for i, char := range s {
		for y, bits := range glyph(char) {
			for x := range glyphWidth {
				if bits>>(glyphWidth-1-x)&1 == 1 {
					corner := at.Add(image.Pt((i*glyphPitch+x)*scale, y*scale))
					c.fill(image.Rectangle{Min: corner, Max: corner.Add(image.Pt(scale, scale))}, p)
				}
			}
		}
	}
}

// textSize returns the size of a line of n characters.
func textSize(n, scale int) image.Point {
	return image.Pt((n*glyphPitch-1)*scale, glyphHeight*scale)
}
