package display

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"testing"
	"time"
)

// Everything the scene draws lies in the two places that are sent, at any size of the display.
func TestSceneDrawsWhereItSays(t *testing.T) {
	for _, size := range []image.Point{{640, 360}, {200, 500}, {16, 16}} {
		s := newScene(size.X, size.Y)
		copy(s.img.Pix, s.background.Pix)
		start := time.Date(2026, 1, 2, 23, 59, 50, 0, time.UTC)
		for elapsed := time.Duration(0); elapsed < 10*time.Second; elapsed += frameTime {
			s.draw(start.Add(elapsed), elapsed)
			if elapsed == 0 && size.X > 100 && bytes.Equal(s.img.Pix, s.background.Pix) {
				t.Errorf("%v: nothing is drawn", size)
			}
			rest := image.NewRGBA(s.img.Rect)
			copy(rest.Pix, s.img.Pix)
			draw.Draw(rest, s.clock, s.background, s.clock.Min, draw.Src)
			draw.Draw(rest, s.lane, s.background, s.lane.Min, draw.Src)
			if !bytes.Equal(rest.Pix, s.background.Pix) {
				t.Fatalf("%v at %v: something is drawn outside of %v and %v", size, elapsed, s.clock, s.lane)
			}
		}
	}
}

// The figure goes from one end of its lane to the other and back.
func TestSceneFigureCrossesItsLane(t *testing.T) {
	s := newScene(640, 360)
	middle := s.lane.Min.Y + s.lane.Dy()/2
	for elapsed, x := range map[time.Duration]int{
		0: s.lane.Min.X, 4 * time.Second: s.lane.Max.X - 1, 8 * time.Second: s.lane.Min.X,
	} {
		s.draw(time.Unix(0, 0), elapsed)
		if got := s.img.RGBAAt(x, middle); got != figure {
			t.Errorf("after %v the pixel at %d is %v; want the figure's", elapsed, x, got)
		}
	}
	if got := between(
		color.RGBA{0, 100, 200, 255}, color.RGBA{100, 0, 250, 255}, 0.5,
	); got != (color.RGBA{50, 50, 225, 255}) {
		t.Errorf("the colour half way is %v", got)
	}
}
