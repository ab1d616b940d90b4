package ffmpeg

import (
	"fmt"
	"math"
)

// picture is a decoded picture: the planes Y, U and V one after the other, 4:2:0 without gaps.
type picture struct {
	data          []byte
	width, height int
}

// psnr compares p with BGRX pixels of the same size, over all three planes. It converts the pixels with the formulas of
// BT.601 in plain Go, so that it does not repeat an error of the converter.
func (p picture) psnr(pix []byte, width, height int) (float64, error) {
	if p.width != width || p.height != height {
		return 0, fmt.Errorf("picture is %dx%d; want %dx%d", p.width, p.height, width, height)
	}
	luma, chroma := width*height, width/2*(height/2)
	if len(p.data) != luma+2*chroma {
		return 0, fmt.Errorf("picture has %d bytes; want %d", len(p.data), luma+2*chroma)
	}
	var sum int
	square := func(at, want int) {
		d := int(p.data[at]) - want
		sum += d * d
	}
	for y := 0; y < height; y += 2 {
		for x := 0; x < width; x += 2 {
			var b, g, r int
			for _, at := range [...]int{y*width + x, y*width + x + 1, (y+1)*width + x, (y+1)*width + x + 1} {
				pb, pg, pr := int(pix[4*at]), int(pix[4*at+1]), int(pix[4*at+2])
				square(at, (66*pr+129*pg+25*pb+4224)>>8) // 16 and a half, times 256
				b, g, r = b+pb, g+pg, r+pr
			}
			at := luma + y/2*(width/2) + x/2
			square(at, (112*b-74*g-38*r+4*32896)>>10) // four pixels; 128 and a half, times 256
			square(at+chroma, (112*r-94*g-18*b+4*32896)>>10)
		}
	}
	// Equal pictures count as one step of one sample apart, because JSON has no infinity.
	return 10 * math.Log10(255*255*float64(luma+2*chroma)/float64(max(sum, 1))), nil
}
