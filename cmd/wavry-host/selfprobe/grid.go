package selfprobe

import (
	"wavryhost/capture"
)

// The size of a Grid. At 64 by 36 the artifacts of an encoder vanish, and windows and text areas still show.
const columns, rows = 64, 36

// Grid is the brightness of a picture in cells, from 0 to 255. It does not depend on the picture's size.
type Grid [columns * rows]float64

// gridOf returns the grid of a picture, whose brightness at a pixel at returns.
func gridOf(width, height int, at func(x, y int) float64) *Grid {
	g := new(Grid)
	for row := range rows {
		top, bottom := row*height/rows, max((row+1)*height/rows, row*height/rows+1)
		for column := range columns {
			left, right := column*width/columns, max((column+1)*width/columns, column*width/columns+1)
			sum := 0.0
			for y := top; y < bottom; y++ {
				for x := left; x < right; x++ {
					sum += at(x, y)
				}
			}
			g[row*columns+column] = sum / float64((bottom-top)*(right-left))
		}
	}
	return g
}

// Luma returns the grid of the plane Y of a video picture, in the range of BT.601 (16 to 235).
func Luma(plane []byte, stride, width, height int) *Grid {
	return gridOf(width, height, func(x, y int) float64 {
		return (float64(plane[y*stride+x]) - 16) * 255 / 219
	})
}

// captured returns the grid of a captured frame.
func captured(f *capture.Frame) (*Grid, error) {
	pix, stride, err := f.Map()
	if err != nil {
		return nil, err
	}
	return gridOf(f.Width, f.Height, func(x, y int) float64 {
		p := pix[y*stride+4*x:]
		return .114*float64(p[0]) + .587*float64(p[1]) + .299*float64(p[2])
	}), nil
}

// Similarity compares two pictures by the index of structural similarity (Wang and others, 2004) over the whole
// picture. It is 1 for equal pictures, near 0 for a black one beside any other, and below 0 for a negative.
func (g *Grid) Similarity(other *Grid) float64 {
	const c1, c2 = (.01 * 255) * (.01 * 255), (.03 * 255) * (.03 * 255)
	n := float64(len(g))
	var a, b float64
	for i := range g {
		a += g[i] / n
		b += other[i] / n
	}
	var aa, bb, ab float64
	for i := range g {
		x, y := g[i]-a, other[i]-b
		aa += x * x / n
		bb += y * y / n
		ab += x * y / n
	}
	return (2*a*b + c1) * (2*ab + c2) / ((a*a + b*b + c1) * (aa + bb + c2))
}
