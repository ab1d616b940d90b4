package screenshot

import (
	"errors"
	"image"
	"image/color"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
)

// screen stands in for the display.
type screen struct {
	mu  sync.Mutex
	img *image.RGBA
	err error
}

func newScreen(width, height int) *screen {
	return &screen{img: image.NewRGBA(image.Rect(0, 0, width, height))}
}

func (s *screen) grab(int) (*image.RGBA, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	picture := *s.img
	picture.Pix = append([]byte(nil), s.img.Pix...)
	return &picture, nil
}

func (s *screen) set(x, y int, c color.RGBA) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.img.SetRGBA(x, y, c)
}

func (s *screen) open(t *testing.T) *Source {
	t.Helper()
	source, err := New(Config{Interval: time.Millisecond, grab: s.grab})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return source
}

func TestContract(t *testing.T) {
	var current *screen
	var last byte
	capturetest.Run(t, func(t *testing.T) capture.Source {
		current = newScreen(64, 48)
		return current.open(t)
	}, capturetest.Options{Change: func(*testing.T) {
		last++
		current.set(int(last)%64, int(last)%48, color.RGBA{last, 255 - last, 7, 255})
	}})
}

func TestOnlyChangedBandsAreDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(64, 64)
		source := s.open(t)
		f, err := source.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
		s.set(3, 20, color.RGBA{R: 1, G: 2, B: 3, A: 255})
		f, err = source.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Release()
		if want := image.Rect(0, 16, 64, 32); len(f.Damage) != 1 || f.Damage[0] != want {
			t.Errorf("damage is %v; want %v", f.Damage, want)
		}
		if p := f.Pix[20*f.Stride+3*4:]; p[0] != 3 || p[1] != 2 || p[2] != 1 {
			t.Errorf("the pixel is %v; want blue 3, green 2, red 1", p[:3])
		}
	})
}

func TestDisplayVanishes(t *testing.T) {
	s := newScreen(64, 64)
	source := s.open(t)
	s.mu.Lock()
	s.err = errors.New("no such display")
	s.mu.Unlock()
	if _, err := source.Next(t.Context()); !errors.Is(err, capture.ErrLost) {
		t.Errorf("Next: %v; want ErrLost", err)
	}
	if _, err := New(Config{grab: s.grab}); !errors.Is(err, capture.ErrUnsupported) {
		t.Errorf("New: %v; want ErrUnsupported", err)
	}
}
