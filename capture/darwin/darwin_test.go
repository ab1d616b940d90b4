package darwin

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
)

func logger(tb testing.TB) *slog.Logger {
	tb.Helper()
	return slog.New(slog.NewTextHandler(tb.Output(), nil))
}

// opened returns a source that is closed at the end of the test. Then nothing may be left of it.
func opened(t *testing.T, m *mac, d capture.Demand) *Source {
	t.Helper()
	s, err := newSource(t.Context(), m, Config{Display: m.display.ID, Demand: d}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		if left := m.left(); left != "" {
			t.Errorf("after Close, %s are left", left)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	for name, tt := range map[string]struct {
		kind   capture.Kind
		silent bool
	}{
		"memory": {capture.Memory, false}, "pixel buffers": {capture.Metal, false}, "compared": {capture.Memory, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMac(t)
			m.silent = tt.silent
			var last *Source
			n := 0
			capturetest.Run(t, func(ctx context.Context, d capture.Demand) (capture.Source, error) {
				if len(d.Kinds) == 0 {
					d.Kinds = []capture.Kind{tt.kind}
				}
				s, err := newSource(ctx, m, Config{Demand: d}, logger(t))
				if err != nil {
					return nil, err
				}
				last = s
				return s, nil
			}, capturetest.Options{
				Change: func() {
					n++
					m.paint(image.Rect(0, 0, 8, 6).Add(image.Pt(2*n%50, 2*n%40)))
				},
				Copies: func() uint64 { return last.copier.Copies() },
			})
			if left := m.left(); left != "" {
				t.Errorf("%s are left", left)
			}
		})
	}
}

// Damage is what macOS says of all pictures since the frame before, or what a comparison finds.
func TestDamage(t *testing.T) {
	at, also := image.Rect(4, 20, 10, 30), image.Rect(40, 2, 44, 6)
	bounds := image.Rect(0, 0, 64, 48)
	for name, tt := range map[string]struct {
		kind capture.Kind
		act  func(m *mac)
		want []image.Rectangle
	}{
		"one picture": {0, func(m *mac) { m.paint(at) }, []image.Rectangle{at}},
		"two pictures": {0, func(m *mac) {
			m.paint(at)
			m.paint(also)
		}, []image.Rectangle{at, also}},
		"idle between": {0, func(m *mac) {
			m.paint(at)
			m.tell(statusIdle)
		}, []image.Rectangle{at}},
		"dark between": {0, func(m *mac) {
			m.tell(statusBlank)
			m.paint(at)
		}, []image.Rectangle{image.Rect(0, 16, 64, 32)}},
		"not said": {0, func(m *mac) {
			m.silent = true
			m.paint(at)
		}, []image.Rectangle{image.Rect(0, 16, 64, 32)}},
		"not said of a surface": {capture.Metal, func(m *mac) {
			m.silent = true
			m.paint(at)
		}, []image.Rectangle{bounds}},
		"odd places of a surface": {capture.Metal, func(m *mac) {
			m.paint(image.Rect(5, 21, 8, 23))
		}, []image.Rectangle{image.Rect(4, 20, 8, 24)}},
		"beyond the picture": {0, func(m *mac) {
			m.set(func() { m.show(m.streams[0], image.Rect(60, 40, 900, 900)) })
		}, []image.Rectangle{image.Rect(60, 40, 64, 48)}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMac(t)
			s := opened(t, m, capture.Demand{Kinds: []capture.Kind{tt.kind}})
			capturetest.Next(t, s).Release()
			tt.act(m)
			f := capturetest.Next(t, s)
			defer f.Release()
			if !slices.Equal(f.Damage, tt.want) || !f.Exact {
				t.Errorf("got %v, exact: %v; want %v", f.Damage, f.Exact, tt.want)
			}
		})
	}
}

// Samples without a picture are no frames.
func TestNoFrameWithoutAPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMac(t)
		s := opened(t, m, capture.Demand{})
		capturetest.Next(t, s).Release()
		m.silent = true
		m.tell(statusIdle)
		m.tell(statusBlank)
		m.tell(statusSuspended)
		m.paint(image.Rectangle{}) // the same picture again
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if f, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got frame %v, %v; want the error of the context", f != nil, err)
		}
		synctest.Wait()
	})
}

// The stream takes the size of the display, at the next question or as soon as a sample has another scale. Frames of
// the old size keep their pixels.
func TestResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMac(t)
		s := opened(t, m, capture.Demand{})
		m.paint(image.Rect(0, 0, 64, 48))
		old := capturetest.Next(t, s)
		defer old.Release()
		next := func(want image.Point) {
			t.Helper()
			f := capturetest.Next(t, s)
			for f.Bounds().Size() != want {
				f.Release()
				f = capturetest.Next(t, s)
			}
			if len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
				t.Errorf("got damage %v; want all of %v", f.Damage, want)
			}
			f.Release()
		}
		began := time.Now()
		m.set(func() { m.setSize(100, 30) })
		next(image.Pt(100, 30))
		if took := time.Since(began); took > time.Second {
			t.Errorf("the new size took %v", took)
		}
		began = time.Now()
		m.set(func() {
			m.setSize(40, 60)
			m.lastScale = 0.5
		})
		m.paint(image.Rect(0, 0, 2, 2))
		next(image.Pt(40, 60))
		if took := time.Since(began); took > 0 {
			t.Errorf("the new size took %v although a sample showed it", took)
		}
		if old.Pix[0] != 37 {
			t.Errorf("a pixel of the old frame is %d", old.Pix[0])
		}
		synctest.Wait()
	})
}

// What ends a stream ends the Source with one reason, and in words.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		act    func(m *mac)
		reason error
		text   string
	}{
		"unplugged":  {func(m *mac) { m.set(func() { m.absent = true }) }, capture.ErrLost, "disconnected"},
		"logged out": {func(m *mac) { m.set(func() { m.away = true }) }, capture.ErrDenied, "graphical session"},
		"stopped by the person": {func(m *mac) {
			m.fail(systemError{domain, "stopped by the user", -3817}.reasoned())
		}, capture.ErrDenied, "menu bar"},
		"permission withdrawn": {func(m *mac) {
			m.fail(systemError{domain, "declined", -3801}.reasoned())
		}, capture.ErrDenied, "System Settings"},
		"stopped by macOS": {func(m *mac) {
			m.fail(systemError{domain, "Stream was stopped by the system", -3821}.reasoned())
		}, capture.ErrLost, "stopped by the system"},
		"no source": {func(m *mac) {
			m.fail(systemError{domain, "no display", -3815}.reasoned())
		}, capture.ErrLost, "disconnected"},
		"another domain": {func(m *mac) {
			m.fail(systemError{"NSOSStatusErrorDomain", "?", -3801}.reasoned())
		}, capture.ErrLost, "NSOSStatusErrorDomain -3801"},
		"status": {func(m *mac) { m.tell(statusStopped) }, capture.ErrLost, "ended the stream"},
		"pictures that cannot be read": {func(m *mac) {
			m.heap.Lock()
			m.unmapped = true
			m.heap.Unlock()
			for range maxBad {
				synctest.Wait()
				m.paint(image.Rect(0, 0, 2, 2))
			}
		}, capture.ErrLost, "CVPixelBufferLockBaseAddress"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMac(t)
				s := opened(t, m, capture.Demand{})
				capturetest.Next(t, s).Release()
				done := make(chan error, 1)
				go func() {
					_, err := s.Next(t.Context())
					done <- err
				}()
				tt.act(m)
				err := <-done
				if !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %v; want %q", err, tt.text)
				}
				capturetest.CheckReason(t, err, tt.reason)
				if _, again := s.Next(t.Context()); !errors.Is(again, tt.reason) {
					t.Errorf("after that: got %v; want the same reason", again)
				}
				if left := m.left(); left != "" {
					t.Errorf("%s are left", left)
				}
				synctest.Wait()
			})
		})
	}
}

// What keeps a display from being opened is said, with what to do.
func TestOpenFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		edit     func(m *mac)
		reason   error
		text     string
		requests int
	}{
		"no permission": {func(m *mac) { m.denied = true }, capture.ErrDenied, Grant, 1},
		"no session":    {func(m *mac) { m.away = true }, capture.ErrDenied, "not a LaunchDaemon", 0},
		"no display":    {func(m *mac) { m.absent = true }, capture.ErrNotFound, "no such display", 0},
		"no picture":    {func(m *mac) { m.quiet = true }, capture.ErrSilent, "is the display on", 0},
		"no answer":     {func(m *mac) { m.hung = make(chan struct{}) }, capture.ErrSilent, "window server", 0},
		"no stream": {func(m *mac) {
			m.startErr = systemError{domain, "failed to start", -3802}.reasoned()
		}, capture.ErrUnsupported, "failed to start", 0},
		"late start": {func(m *mac) {
			m.startErr = fmt.Errorf("%w: ScreenCaptureKit does not answer", context.DeadlineExceeded)
		}, capture.ErrSilent, "does not answer", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMac(t)
				tt.edit(m)
				began := time.Now()
				s, err := newSource(t.Context(), m, Config{}, logger(t))
				if s != nil || err == nil || !strings.Contains(err.Error(), tt.text) {
					t.Fatalf("got %v; want %q", err, tt.text)
				}
				capturetest.CheckReason(t, err, tt.reason)
				if took := time.Since(began); took > openTimeout {
					t.Errorf("it took %v", took)
				}
				if m.requests != tt.requests {
					t.Errorf("the person was asked %d times; want %d", m.requests, tt.requests)
				}
				if left := m.left(); left != "" {
					t.Errorf("%s are left", left)
				}
				if m.hung != nil {
					close(m.hung)
				}
			})
		})
	}
}

// Why there is no picture is known to who opens a dark display.
func TestDarkDisplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMac(t)
		m.quiet = true
		go func() {
			synctest.Wait()
			m.tell(statusBlank)
		}()
		_, err := newSource(t.Context(), m, Config{}, logger(t))
		if err == nil || !strings.Contains(err.Error(), "the display is dark") {
			t.Errorf("got %v", err)
		}
	})
}

// A window server that hangs shows by Alive, does not block Next, and is lost after a while. Samples of its streams are
// answers too.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMac(t)
		s := opened(t, m, capture.Demand{})
		capturetest.Next(t, s).Release()
		hung := make(chan struct{})
		m.set(func() { m.hung = hung })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v; want the error of the context", err)
		}
		if age := time.Since(s.Alive()); age < time.Second {
			t.Errorf("the display was heard %v ago; want a second at least", age)
		}
		m.tell(statusIdle)
		if age := time.Since(s.Alive()); age != 0 {
			t.Errorf("the display was heard %v ago, although it delivered a sample", age)
		}
		_, err := s.Next(t.Context())
		capturetest.CheckReason(t, err, capture.ErrLost)
		close(hung)
		synctest.Wait()
	})
}

// A caller that gives up gets its own error.
func TestOpenIsCanceled(t *testing.T) {
	m := newMac(t)
	m.quiet = true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newSource(ctx, m, Config{}, logger(t))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, reason := range capture.Reasons() {
		if errors.Is(err, reason) {
			t.Errorf("got the reason %v", reason)
		}
	}
}

func TestPermission(t *testing.T) {
	m := newMac(t)
	if err := permission(m); err != nil {
		t.Error(err)
	}
	m.denied = true
	capturetest.CheckReason(t, permission(m), capture.ErrDenied)
	m.away = true
	if err := permission(m); !strings.Contains(err.Error(), "session") {
		t.Errorf("got %v", err)
	}
}

// The colors follow BT.601 in video range: white, black, red, green and blue.
func TestNV12(t *testing.T) {
	for _, tt := range []struct{ y, u, v, blue, green, red byte }{
		{235, 128, 128, 255, 255, 255},
		{16, 128, 128, 0, 0, 0},
		{81, 90, 240, 0, 0, 254},
		{145, 54, 34, 1, 255, 0},
		{41, 240, 110, 255, 0, 0},
		{255, 255, 255, 255, 125, 255},
	} {
		size := image.Pt(3, 3)
		luma := plane{slices.Repeat([]byte{tt.y}, 5*3), 5}
		chroma := plane{slices.Repeat([]byte{tt.u, tt.v}, 2*2), 4}
		if err := check([]plane{luma, chroma}, size, 2); err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, 4*3*3)
		fromNV12(dst, 12, luma, chroma, size)
		for i := 0; i < len(dst); i += 4 {
			if got := [3]byte(dst[i:]); got != [3]byte{tt.blue, tt.green, tt.red} {
				t.Errorf("%+v: got %v at %d", tt, got, i)
				break
			}
		}
	}
}

// Planes that are too small for a picture are not read.
func TestPlanesAreChecked(t *testing.T) {
	full := func(n int) []byte { return make([]byte, n) }
	for name, tt := range map[string]struct {
		planes []plane
		want   int
	}{
		"none":             {nil, 1},
		"unmapped":         {[]plane{{}}, 1},
		"two for one":      {[]plane{{full(99), 12}, {full(99), 12}}, 1},
		"short rows":       {[]plane{{full(99), 11}}, 1},
		"short memory":     {[]plane{{full(35), 12}}, 1},
		"no chroma":        {[]plane{{full(9), 3}}, 2},
		"short chroma":     {[]plane{{full(9), 3}, {full(7), 4}}, 2},
		"narrow chroma":    {[]plane{{full(9), 3}, {full(9), 3}}, 2},
		"negative strides": {[]plane{{full(99), -12}}, 1},
	} {
		if err := check(tt.planes, image.Pt(3, 3), tt.want); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := check([]plane{{full(36), 12}}, image.Pt(0, 3), 1); err == nil {
		t.Error("an empty picture passes")
	}
}

func TestOuter(t *testing.T) {
	if got, want := outer(1.5, -0.5, 2, 2.25), image.Rect(1, -1, 4, 2); got != want {
		t.Errorf("got %v; want %v", got, want)
	}
	d := Display{Area: image.Rect(10, 10, 110, 60), Size: image.Pt(200, 100)}
	if got := d.Scale(); got != 2 {
		t.Errorf("got %v; want 2", got)
	}
}
