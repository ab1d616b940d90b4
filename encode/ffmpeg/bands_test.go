package ffmpeg

import (
	"image"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestBands(t *testing.T) {
	const width, height = 100, 200
	for _, test := range []struct {
		name   string
		damage []image.Rectangle
		want   []band
	}{
		{"nothing", nil, nil},
		{"empty rectangle", []image.Rectangle{image.Rect(5, 5, 5, 9)}, nil},
		{"odd rows widen to even ones", []image.Rectangle{image.Rect(1, 3, 2, 5)}, []band{{2, 6}}},
		{"one row", []image.Rectangle{image.Rect(0, 7, 100, 8)}, []band{{6, 8}}},
		{"whole", []image.Rectangle{image.Rect(0, 0, width, height)}, []band{{0, 200}}},
		{
			"beyond the picture",
			[]image.Rectangle{image.Rect(-9, 190, 900, 900), image.Rect(0, 300, 9, 310)},
			[]band{{190, 200}},
		},
		{"unsorted and overlapping", []image.Rectangle{
			image.Rect(0, 150, 9, 160), image.Rect(0, 20, 9, 40),
			image.Rect(0, 30, 9, 60),
		}, []band{{20, 60}, {150, 160}}},
		{"one inside another", []image.Rectangle{image.Rect(0, 20, 9, 90), image.Rect(0, 30, 9, 40)}, []band{{20, 90}}},
		{"small gap is joined", []image.Rectangle{image.Rect(0, 0, 9, 10), image.Rect(0, 26, 9, 30)}, []band{{0, 30}}},
		{"large gap is not", []image.Rectangle{image.Rect(0, 0, 9, 10), image.Rect(0, 28, 9, 30)}, []band{{0, 10}, {28, 30}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := appendBands(nil, test.damage, width, height); !slices.Equal(got, test.want) {
				t.Errorf("got %v; want %v", got, test.want)
			}
		})
	}
}

func TestBandsCoverTheDamageInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var bands []band
	for range 2000 {
		width, height := 2+rng.IntN(300), 2*(1+rng.IntN(300))
		var damage []image.Rectangle
		for range rng.IntN(16) {
			x, y := rng.IntN(width), rng.IntN(height)
			damage = append(damage, image.Rect(x, y, x+1+rng.IntN(width), y+1+rng.IntN(40)))
		}
		bands = appendBands(bands[:0], damage, width, height)
		last := -1
		for _, b := range bands {
			if b.top <= last || b.bottom <= b.top || b.bottom > height || b.top%2 != 0 || b.bottom%2 != 0 {
				t.Fatalf("%dx%d, damage %v: bad bands %v", width, height, damage, bands)
			}
			last = b.bottom
		}
		for _, r := range damage {
			r = r.Intersect(image.Rect(0, 0, width, height))
			covers := func(b band) bool { return b.top <= r.Min.Y && r.Max.Y <= b.bottom }
			if !slices.ContainsFunc(bands, covers) {
				t.Fatalf("%dx%d: %v is in none of %v", width, height, r, bands)
			}
		}
	}
}
