// Package scene draws the moving pictures that encoders and products are compared on, and compares pictures.
package scene

import (
	"bytes"
	_ "embed"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"wavryhost/capture"
)

// Scene draws the frames of a kind of content, at 60 frames per second. Each frame is a change of the frame before it,
// with its damage. So frames are drawn in order, from 0, over the same pixels.
type Scene struct {
	Name string
	Draw func(f *capture.Frame, n int)
}

// makers make what draws each scene.
var makers = []struct {
	name string
	make func(width, height int) func(*capture.Frame, int)
}{
	{"scroll", func(w, h int) func(*capture.Frame, int) { return scrolling(Terminal(w, h), 2) }},
	{"scroll fast", func(w, h int) func(*capture.Frame, int) { return scrolling(Terminal(w, h), 16) }},
	{"typing", func(w, h int) func(*capture.Frame, int) { return typing(Terminal(w, h)) }},
	{"film", film},
	{"slides", func(w, h int) func(*capture.Frame, int) { return slides(Terminal(w, h)) }},
	{"page", func(w, h int) func(*capture.Frame, int) { return reading(Terminal(w, h)) }},
}

// All returns the scenes.
func All(width, height int) (list []Scene) {
	for _, m := range makers {
		list = append(list, Scene{m.name, m.make(width, height)})
	}
	return list
}

// Find returns the scene with a name, and whether there is one.
func Find(name string, width, height int) (Scene, bool) {
	for _, m := range makers {
		if m.name == name {
			return Scene{m.name, m.make(width, height)}, true
		}
	}
	return Scene{}, false
}

// Frame draws frame n over the pixels of the frame before it: rows of 4*width bytes, in the order B, G, R, X.
func (s Scene) Frame(pix []byte, width, height, n int, start time.Time) *capture.Frame {
	f := capture.NewFrame(nil)
	f.Width, f.Height, f.Stride, f.Pix = width, height, 4*width, pix
	f.Time, f.Seq = start.Add(time.Duration(n)*time.Second/60), uint64(n+1)
	s.Draw(f, n)
	return f
}

//go:embed page.png
var pageFile []byte

// Terminal returns a frame of a terminal full of small text, as xterm shows it. The size is at most 1920x1080.
func Terminal(width, height int) *capture.Frame {
	page, err := png.Decode(bytes.NewReader(pageFile))
	if err != nil {
		panic(err) // it is in the program
	}
	f := capture.NewFrame(nil)
	f.Width, f.Height, f.Stride, f.Pix = width, height, 4*width, make([]byte, 4*width*height)
	for y := range height {
		for x := range width {
			r, g, b, _ := page.At(x, y).RGBA()
			copy(f.Pix[y*f.Stride+4*x:], []byte{byte(b >> 8), byte(g >> 8), byte(r >> 8)})
		}
	}
	f.Damage = []image.Rectangle{f.Bounds()}
	f.Time = time.Now()
	return f
}

// lineRows is the height of a line of the terminal.
const lineRows = 13

// scrolling scrolls the lines of the page in random order, some rows with each frame.
func scrolling(page *capture.Frame, rows int) func(*capture.Frame, int) {
	return func(f *capture.Frame, n int) {
		for y := range f.Height {
			at := y + n*rows
			line := rand.New(rand.NewPCG(uint64(at/lineRows), 3)).IntN(page.Height / lineRows)
			copy(f.Pix[y*f.Stride:][:4*f.Width], page.Pix[(line*lineRows+at%lineRows)*page.Stride:])
		}
		f.Damage = append(f.Damage, f.Bounds())
	}
}

// typing writes a letter with each sixth frame, over a page that stands still.
func typing(page *capture.Frame) func(*capture.Frame, int) {
	const columns = 6
	return func(f *capture.Frame, n int) {
		if n == 0 {
			copy(f.Pix, page.Pix)
			f.Damage = append(f.Damage, f.Bounds())
			return
		}
		if n%6 != 0 {
			return
		}
		rng := rand.New(rand.NewPCG(uint64(n), 4))
		from := image.Pt(columns*rng.IntN(f.Width/columns), lineRows*rng.IntN(f.Height/lineRows))
		to := image.Pt(columns*(n/6%(f.Width/columns)), lineRows*(f.Height/lineRows/2))
		for y := range lineRows {
			copy(f.Pix[(to.Y+y)*f.Stride+4*to.X:][:4*columns], page.Pix[(from.Y+y)*page.Stride+4*from.X:])
		}
		f.Damage = append(f.Damage, image.Rectangle{to, to.Add(image.Pt(columns, lineRows))})
	}
}

// side is the width and height of a texture.
const side = 1024

// texture is a natural-looking picture: noise at several scales, in three colors.
func texture(seed uint64) [][3]float32 {
	rng := rand.New(rand.NewPCG(seed, 5))
	out := make([][3]float32, side*side)
	for scale, weight := side/4, float32(60); scale >= 2; scale, weight = scale/2, weight*0.62 {
		n := side / scale
		grid := make([][3]float32, n*n)
		for i := range grid {
			light := float32(rng.NormFloat64())
			for c := range grid[i] {
				grid[i][c] = weight * (light + 0.3*float32(rng.NormFloat64()))
			}
		}
		for y := range side {
			fy := float32(y) / float32(scale)
			for x := range side {
				fx := float32(x) / float32(scale)
				x0, y0 := int(fx), int(fy)
				dx, dy := fx-float32(x0), fy-float32(y0)
				dx, dy = dx*dx*(3-2*dx), dy*dy*(3-2*dy)
				a, b := grid[y0*n+x0], grid[y0*n+(x0+1)%n]
				c, d := grid[(y0+1)%n*n+x0], grid[(y0+1)%n*n+(x0+1)%n]
				for k := range 3 {
					out[y*side+x][k] += (a[k]*(1-dx)+b[k]*dx)*(1-dy) + (c[k]*(1-dx)+d[k]*dx)*dy
				}
			}
		}
	}
	return out
}

// film pans and zooms over a texture with a little grain. A disk with another texture moves across it.
func film(width, height int) func(*capture.Frame, int) {
	back, front := texture(1), texture(2)
	grain := make([]int8, 1<<16)
	rng := rand.New(rand.NewPCG(6, 7))
	for i := range grain {
		grain[i] = int8(max(-8, min(8, 1.5*rng.NormFloat64())))
	}
	at := func(tex [][3]float32, fx, fy float64) (out [3]float32) {
		x0, y0 := math.Floor(fx), math.Floor(fy)
		dx, dy := float32(fx-x0), float32(fy-y0)
		x, y := int(x0)&(side-1), int(y0)&(side-1)
		a, b := tex[y*side+x], tex[y*side+(x+1)&(side-1)]
		c, d := tex[(y+1)&(side-1)*side+x], tex[(y+1)&(side-1)*side+(x+1)&(side-1)]
		for k := range 3 {
			out[k] = (a[k]*(1-dx)+b[k]*dx)*(1-dy) + (c[k]*(1-dx)+d[k]*dx)*dy
		}
		return out
	}
	var drawn [][]byte // drawing is slower than encoding
	return func(f *capture.Frame, n int) {
		f.Damage = append(f.Damage, f.Bounds())
		if n < len(drawn) {
			copy(f.Pix, drawn[n])
			return
		}
		t := float64(n) / 60
		zoom := 0.6 + 0.1*math.Sin(t)
		cx, cy := 90*t+40*math.Sin(2*t), 35*t
		radius := float64(height) / 4
		ox, oy := float64(width)*(0.5+0.35*math.Sin(0.9*t)), float64(height)*(0.5+0.2*math.Cos(1.3*t))
		noise := uint32(n) * 2654435761
		for y := range f.Height {
			row := f.Pix[y*f.Stride:]
			for x := range f.Width {
				var p [3]float32
				if dx, dy := float64(x)-ox, float64(y)-oy; dx*dx+dy*dy < radius*radius {
					p = at(front, dx*0.7+100*t, dy*0.7)
				} else {
					p = at(back, (float64(x)-640)*zoom+cx, (float64(y)-360)*zoom+cy)
				}
				noise = noise*1664525 + 1013904223
				g := float32(grain[noise>>16])
				for k := range 3 {
					row[4*x+k] = uint8(max(0, min(255, 120+p[k]+g)))
				}
			}
		}
		if n == len(drawn) {
			drawn = append(drawn, slices.Clone(f.Pix))
		}
	}
}

// slides shows another slide each second: lines of the page beside a photograph.
func slides(page *capture.Frame) func(*capture.Frame, int) {
	photo := texture(8)
	return func(f *capture.Frame, n int) {
		if n%60 != 0 {
			return
		}
		k := n / 60
		for y := range f.Height {
			row := f.Pix[y*f.Stride:]
			copy(row[:4*f.Width], page.Pix[(y+k*lineRows*7)%page.Height*page.Stride:])
			for x := f.Width / 2; x < f.Width; x++ {
				p := photo[(y+37*k)%side*side+(x+211*k)%side]
				for c := range 3 {
					row[4*x+c] = uint8(max(0, min(255, 120+p[c])))
				}
			}
		}
		f.Damage = append(f.Damage, f.Bounds())
	}
}

// reading scrolls a page as a reader does: three lines with each notch of the wheel, one or two notches a second, each
// over six pictures. Half of the page is a photograph.
func reading(page *capture.Frame) func(*capture.Frame, int) {
	const (
		notch = 3 * lineRows
		over  = 6  // pictures of a notch
		rest  = 40 // pictures from one notch to the next
	)
	photo := texture(9)
	return func(f *capture.Frame, n int) {
		if n%rest > over {
			return
		}
		at := n/rest*notch + min(n%rest, over)*notch/over
		for y := range f.Height {
			row := f.Pix[y*f.Stride:]
			copy(row[:4*f.Width], page.Pix[(y+at)%page.Height*page.Stride:])
			for x := f.Width * 5 / 8; x < f.Width*15/16; x++ {
				p := photo[(y+at)%side*side+x%side]
				for c := range 3 {
					row[4*x+c] = uint8(max(0, min(255, 120+p[c])))
				}
			}
		}
		f.Damage = append(f.Damage, f.Bounds())
	}
}

// SSIM returns the mean structural similarity of two planes, in windows of 8x8 samples each 4 samples (Wang et al.
// 2004, with the windows of FFmpeg's filter).
func SSIM(a, b []byte, width, height, strideA, strideB int) float64 {
	const c1, c2 = 0.01 * 255 * 0.01 * 255 * 64, 0.03 * 255 * 0.03 * 255 * 64 * 63
	columns, rows := width/4, height/4
	sums := make([][4]int, columns*rows)
	for y := range rows {
		for x := range columns {
			var s [4]int
			for dy := range 4 {
				pa, pb := a[(4*y+dy)*strideA+4*x:][:4], b[(4*y+dy)*strideB+4*x:][:4]
				for k := range 4 {
					va, vb := int(pa[k]), int(pb[k])
					s[0] += va
					s[1] += vb
					s[2] += va*va + vb*vb
					s[3] += va * vb
				}
			}
			sums[y*columns+x] = s
		}
	}
	total := 0.0
	for y := range rows - 1 {
		for x := range columns - 1 {
			var s [4]float64
			for _, o := range []int{0, 1, columns, columns + 1} {
				for k, v := range sums[y*columns+x+o] {
					s[k] += float64(v)
				}
			}
			vars, covar := s[2]*64-s[0]*s[0]-s[1]*s[1], s[3]*64-s[0]*s[1]
			total += (2*s[0]*s[1] + c1) * (2*covar + c2) / ((s[0]*s[0] + s[1]*s[1] + c1) * (vars + c2))
		}
	}
	return total / float64((rows-1)*(columns-1))
}

// PSNR returns the peak signal-to-noise ratio of two planes in dB. Equal planes count as different by one level in one
// sample.
func PSNR(a, b []byte, width, height, strideA, strideB int) float64 {
	sum := 0
	for y := range height {
		for x := range width {
			d := int(a[y*strideA+x]) - int(b[y*strideB+x])
			sum += d * d
		}
	}
	return 10 * math.Log10(255*255*float64(width*height)/float64(max(sum, 1)))
}
