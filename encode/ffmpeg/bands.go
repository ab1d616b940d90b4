package ffmpeg

import (
	"image"
	"slices"
)

// band is a range of rows, from the first to the one after the last.
type band struct{ top, bottom int }

// joinRows is the largest gap between two bands that are converted together. Sixteen rows of 1080p take libyuv 3 µs; a
// separate band costs about as much in cold caches and loop startup.
const joinRows = 16

// appendBands appends the rows that damage touches in a picture of the given size, as disjoint bands from top to
// bottom. Bands begin and end at even rows, because two rows share their chroma; height is even.
func appendBands(bands []band, damage []image.Rectangle, width, height int) []band {
	picture := image.Rect(0, 0, width, height)
	first := len(bands)
	for _, r := range damage {
		if r = r.Intersect(picture); !r.Empty() {
			bands = append(bands, band{r.Min.Y &^ 1, (r.Max.Y + 1) &^ 1})
		}
	}
	fresh := bands[first:]
	slices.SortFunc(fresh, func(a, b band) int { return a.top - b.top })
	n := 0
	for _, b := range fresh {
		if n > 0 && b.top <= fresh[n-1].bottom+joinRows {
			fresh[n-1].bottom = max(fresh[n-1].bottom, b.bottom)
			continue
		}
		fresh[n] = b
		n++
	}
	return bands[:first+n]
}
