//go:build cgo && !noffmpeg

package ffmpeg

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
)

// How an encoder is measured: at a size with a realistic cost per pixel, at the rate of a moving desktop, after the
// first pictures, during which an encoder allocates, and only briefly.
const (
	measureWidth, measureHeight = 1280, 720
	measureFPS, measureRate     = 60, 5_000_000
	measureWarm, measureFrames  = 4, 12
	measureLeast                = 5 // otherwise the result is useless
	measureLong                 = 1500 * time.Millisecond
)

// measure returns the time for converting and encoding a million pixels of scrolling text. For hardware this is the
// time from the call to the result, else processor time, which excludes other programs. It is the median over the
// pictures within a time limit.
func measure(
	ctx context.Context, f encode.Factory, threads int, within time.Duration,
) (perMegapixel time.Duration, err error) {
	p := encode.Params{
		Width:         measureWidth,
		Height:        measureHeight,
		FPS:           measureFPS,
		BitsPerSecond: measureRate,
		Threads:       threads,
	}
	enc, err := f.Open(p)
	if err != nil {
		return 0, fmt.Errorf("measure: %w", err)
	}
	defer func() {
		if closeErr := enc.Close(); err == nil {
			err = closeErr
		}
	}()
	page := textPage(p.Width, 2*p.Height)
	took := make([]time.Duration, 0, measureFrames)
	began := time.Now()
	for n := range measureWarm + measureFrames {
		if time.Since(began) > within || ctx.Err() != nil {
			break
		}
		frame := capture.NewFrame(nil)
		frame.Width, frame.Height, frame.Stride = p.Width, p.Height, 4*p.Width
		frame.Pix = page[4*p.Width*(4*n):][:4*p.Width*p.Height]
		frame.Damage = append(frame.Damage, frame.Bounds())
		frame.Time, frame.Seq = began.Add(time.Duration(n)*time.Second/measureFPS), uint64(n+1)
		before, known := processorTime()
		unit, err := enc.Encode(frame, encode.Order{})
		if err != nil {
			return 0, fmt.Errorf("measure: frame %d: %w", n, err)
		}
		one := unit.Convert + unit.Encode
		if after, _ := processorTime(); known && !f.Profile().Hardware {
			one = after - before
		}
		if n >= measureWarm {
			took = append(took, one)
		}
	}
	if len(took) < measureLeast {
		return 0, fmt.Errorf("measure: %d pictures within %v are too few", len(took), within)
	}
	slices.Sort(took)
	return took[len(took)/2] * 1_000_000 / (measureWidth * measureHeight), nil
}

// textPage draws lines of glyph-like marks, dark on white.
func textPage(width, height int) []byte {
	pix := make([]byte, 4*width*height)
	for i := range pix {
		pix[i] = 255
	}
	rng := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // a picture, not a secret
	var glyphs [64][10]uint8
	for i := range glyphs {
		for y := range glyphs[i] {
			glyphs[i][y] = uint8(rng.Uint32()) & 0x7e
		}
	}
	for top := 3; top+10 <= height; top += 16 {
		for left := 0; left < 8*(width/16+rng.IntN(width/16)); left += 8 {
			for y, row := range glyphs[rng.IntN(len(glyphs))] {
				for x := range 8 {
					if row>>x&1 != 0 {
						copy(pix[4*(width*(top+y)+left+x):], []byte{30, 20, 20})
					}
				}
			}
		}
	}
	return pix
}
