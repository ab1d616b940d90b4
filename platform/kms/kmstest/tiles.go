//go:build linux

package kmstest

import (
	"testing"

	"wavryhost/platform/kms/drm"
)

// ModifierXTiled is the layout of Intel's X tiles: 512 bytes of 8 rows each, one row after the other
// (I915_FORMAT_MOD_X_TILED of drm_fourcc.h).
const ModifierXTiled = 1<<56 | 1

const tileWidth, tileHeight = 512, 8 // bytes, rows

// XTiled returns where a pixel of four bytes is in X tiles.
func XTiled(pitch, x, y int) int {
	tile := y/tileHeight*(pitch/tileWidth) + 4*x/tileWidth
	return (tile*tileHeight+y%tileHeight)*tileWidth + 4*x%tileWidth
}

// AddTiled adds a framebuffer of format XRGB8888 in X tiles, and returns its number.
func (c *Card) AddTiled(tb testing.TB, width, height int) uint32 {
	tb.Helper()
	up := func(n, to int) int { return (n + to - 1) / to * to }
	fb := c.Add(tb, width, up(height, tileHeight), drm.FormatXRGB8888, up(4*width, tileWidth))
	c.Change(fb, func(f *FB) { f.Height, f.Modifiers[0] = uint32(height), ModifierXTiled })
	return fb
}

// Draw draws a picture into a framebuffer of format XRGB8888, in its layout. pix has blue, green, red and a fourth byte
// of each pixel, without padding.
func (c *Card) Draw(fb uint32, pix []byte) {
	c.Change(fb, func(f *FB) {
		width, pitch := int(f.Width), int(f.Pitches[0])
		for i := 0; i+4 <= len(pix); i += 4 {
			x, y := i/4%width, i/4/width
			at := y*pitch + 4*x
			if f.Modifiers[0] == ModifierXTiled {
				at = XTiled(pitch, x, y)
			}
			copy(f.Pix[int(f.Offsets[0])+at:], pix[i:i+4])
		}
	})
}
