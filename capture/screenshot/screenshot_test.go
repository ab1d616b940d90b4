package screenshot

import (
	"context"
	"errors"
	"image"
	"image/color"
	"strings"
	"sync"
	"sync/atomic"
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

func newScreen() *screen {
	return &screen{img: image.NewRGBA(image.Rect(0, 0, 64, 64))}
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
	current := newScreen()
	var last byte
	capturetest.Run(t, func(_ context.Context, d capture.Demand) (capture.Source, error) {
		return New(Config{Interval: time.Millisecond, grab: current.grab, Demand: d})
	}, capturetest.Options{Change: func() {
		last++
		current.set(int(last)%64, int(last)%64, color.RGBA{last, 255 - last, 7, 255})
	}})
}

func TestOnlyChangedBandsAreDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen()
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
	s := newScreen()
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

// A library that hangs blocks neither the caller nor Close, and is not called again until it returns.
func TestLibraryHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen()
		source := s.open(t)
		var calls atomic.Int32
		hanging := func() (end func()) {
			hang := make(chan struct{})
			source.cfg.grab = func(int) (*image.RGBA, error) {
				calls.Add(1)
				picture, err := s.grab(0)
				<-hang
				return picture, err
			}
			return func() { close(hang) }
		}
		end := hanging()
		source.Refresh()
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := source.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Next: %v; want its context's error", err)
			}
			cancel()
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("the library was called %d times; want 1", n)
		}

		// What was taken then is not shown as what is there now.
		s.set(1, 1, color.RGBA{R: 9, G: 9, B: 9, A: 255})
		end()
		f, err := source.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p := f.Pix[f.Stride+4:]; p[0] != 9 {
			t.Errorf("the pixel is %v; want what is there now", p[:3])
		}
		if len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
			t.Errorf("damage is %v; want the whole picture", f.Damage)
		}
		f.Release()

		defer hanging()()
		source.Refresh()
		ended := make(chan error)
		go func() {
			_, err := source.Next(t.Context())
			ended <- err
		}()
		synctest.Wait()
		source.Close()
		if err := <-ended; !errors.Is(err, capture.ErrClosed) {
			t.Errorf("Next: %v; want ErrClosed", err)
		}
	})
}

// A display server that hangs when the source is opened is told, and not waited for.
func TestServerHangsAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		_, err := New(Config{grab: func(int) (*image.RGBA, error) {
			<-hang
			return nil, errors.New("too late")
		}})
		if !errors.Is(err, capture.ErrSilent) || !strings.Contains(err.Error(), "hang") {
			t.Errorf("New: %v; want ErrSilent, and why", err)
		}
		close(hang)
	})
}

// The size follows the display's.
func TestResize(t *testing.T) {
	s := newScreen()
	source := s.open(t)
	for _, size := range []image.Point{{64, 64}, {100, 30}, {64, 64}} {
		s.mu.Lock()
		s.img = image.NewRGBA(image.Rectangle{Max: size})
		s.mu.Unlock()
		source.Refresh()
		f, err := source.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Width != size.X || f.Height != size.Y || len(f.Pix) < f.Stride*size.Y || f.Damage[0] != f.Bounds() {
			t.Errorf("the frame is %dx%d with damage %v; want %v, all of it", f.Width, f.Height, f.Damage, size)
		}
		f.Release()
	}
}
