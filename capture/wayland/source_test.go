//go:build linux

package wayland

import (
	"context"
	"errors"
	"image"
	"log/slog"
	"strings"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/wlproto/wlprototest"
)

const patience = 20 * time.Second

func logger(tb testing.TB) *slog.Logger {
	tb.Helper()
	return slog.New(slog.NewTextHandler(tb.Output(), nil))
}

var screens = []wlprototest.Output{
	{Name: "OUT-1", Width: 100, Height: 60}, {Name: "OUT-2", X: 100, Width: 64, Height: 48},
}

func open(t *testing.T, c *wlprototest.Compositor) *Source {
	t.Helper()
	s, err := New(t.Context(), Config{Socket: c.Socket, Output: "OUT-1"}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) {
	for name, tt := range map[string]struct {
		globals map[string]uint32
		output  wlprototest.Output
		format  uint32
		polls   bool
	}{
		"ext-image-copy-capture": {globals: wlprototest.ImageCopy()},
		"ext, turned":            {globals: wlprototest.ImageCopy(), output: wlprototest.Output{Transform: 3}},
		"wlr-screencopy 3":       {globals: wlprototest.Screencopy(3)},
		"wlr-screencopy 2":       {globals: wlprototest.Screencopy(2)},
		"wlr-screencopy 1":       {globals: wlprototest.Screencopy(1), polls: true},
		"wlr, mirrored":          {globals: wlprototest.Screencopy(3), output: wlprototest.Output{Transform: 5}},
		"wlr, red first":         {globals: wlprototest.Screencopy(3), format: formatXBGR},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.output.Name, tt.output.Width, tt.output.Height = "OUT-1", 100, 60
			c := wlprototest.New(t, wlprototest.Config{
				Globals: tt.globals, Format: tt.format, Outputs: []wlprototest.Output{tt.output},
			})
			n := 0
			opts := capturetest.Options{Change: func() {
				n++
				c.Fill("OUT-1", image.Rect(5*(n%10), 10, 5*(n%10)+33, 17+n%30), uint32(n)*0x10305)
			}}
			capturetest.Run(t, func(ctx context.Context, d capture.Demand) (capture.Source, error) {
				s, err := New(ctx, Config{Socket: c.Socket, Output: "OUT-1", Demand: d}, logger(t))
				if err != nil {
					return nil, err
				}
				if s.Traits().Damage == tt.polls {
					t.Errorf("got %+v; want damage: %v", s.Traits(), !tt.polls)
				}
				return s, nil
			}, opts)
		})
	}
}

// Pictures are upright, whatever the transform of the output, and damage is where the change is.
func TestTransforms(t *testing.T) {
	for transform := range uint32(8) {
		for name, globals := range map[string]map[string]uint32{
			"ext": wlprototest.ImageCopy(), "wlr": wlprototest.Screencopy(3),
		} {
			c := wlprototest.New(t, wlprototest.Config{
				Globals: globals, Outputs: []wlprototest.Output{{Name: "OUT-1", Width: 10, Height: 6, Transform: transform}},
			})
			s := open(t, c)
			f := capturetest.Next(t, s)
			f.Release()
			want := image.Pt(10, 6)
			if transform&1 != 0 {
				want = image.Pt(6, 10)
			}
			if got := f.Bounds().Size(); got != want {
				t.Fatalf("%s, transform %d: got a picture of %v; want %v", name, transform, got, want)
			}
			c.Fill("OUT-1", image.Rect(0, 0, 2, 1), 0x123456)
			f = capturetest.Next(t, s)
			// The two pixels at the top left of the compositor's picture, as people see them: by the definition of
			// wl_output.transform, the picture is turned counterclockwise, after it is flipped around the vertical axis.
			at := []image.Rectangle{
				image.Rect(0, 0, 2, 1), image.Rect(5, 0, 6, 2), image.Rect(8, 5, 10, 6), image.Rect(0, 8, 1, 10),
				image.Rect(8, 0, 10, 1), image.Rect(0, 0, 1, 2), image.Rect(0, 5, 2, 6), image.Rect(5, 8, 6, 10),
			}[transform]
			if len(f.Damage) != 1 || f.Damage[0] != at {
				t.Errorf("%s, transform %d: got damage %v; want %v", name, transform, f.Damage, at)
			}
			for y := range f.Height {
				for x := range f.Width {
					p := f.Pix[y*f.Stride+4*x:]
					if got, want := p[0] == 0x56 && p[1] == 0x34 && p[2] == 0x12, image.Pt(x, y).In(at); got != want {
						t.Errorf("%s, transform %d: pixel %d,%d is painted: %v; want %v", name, transform, x, y, got, want)
					}
				}
			}
			f.Release()
		}
	}
}

// An output that changes its size, or turns, stays in the same Source.
func TestOutputChanges(t *testing.T) {
	for name, globals := range map[string]map[string]uint32{
		"ext": wlprototest.ImageCopy(), "wlr": wlprototest.Screencopy(3),
	} {
		t.Run(name, func(t *testing.T) {
			c := wlprototest.New(t, wlprototest.Config{Globals: globals, Outputs: screens})
			s := open(t, c)
			capturetest.Next(t, s).Release()
			for i, tt := range []struct {
				out  wlprototest.Output
				size image.Point
			}{
				{wlprototest.Output{Width: 64, Height: 100}, image.Pt(64, 100)},
				{wlprototest.Output{Width: 64, Height: 100, Transform: 1}, image.Pt(100, 64)},
				{wlprototest.Output{Width: 1, Height: 1}, image.Pt(1, 1)},
				{wlprototest.Output{Width: 301, Height: 7, Transform: 2}, image.Pt(301, 7)},
			} {
				tt.out.Name = "OUT-1"
				c.Set(tt.out)
				limit := time.Now().Add(patience)
				for {
					f := capturetest.Next(t, s)
					if f.Bounds().Size() == tt.size {
						if len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
							t.Errorf("change %d: got damage %v; want all", i, f.Damage)
						}
						f.Release()
						break
					}
					f.Release()
					if time.Now().After(limit) {
						t.Fatalf("change %d: got %v; want %v", i, f.Bounds().Size(), tt.size)
					}
				}
			}
		})
	}
}

// The compositor's faults end the Source with one reason, and never block it.
func TestCompositorFaults(t *testing.T) {
	// on returns a hook that runs do at the n-th request op of an interface.
	on := func(iface string, op uint16, n int, do func(c *wlprototest.Client, b []byte)) func(
		*wlprototest.Client, string, uint16, []byte) bool {
		seen := 0
		return func(c *wlprototest.Client, i string, o uint16, b []byte) bool {
			if i != iface || o != op {
				return true
			}
			if seen++; seen != n {
				return true
			}
			do(c, b)
			return false
		}
	}
	const wlrFrame, extFrame = "zwlr_screencopy_frame_v1", "ext_image_copy_capture_frame_v1"
	garbage := func(c *wlprototest.Client, _ []byte) { c.Raw([]byte("\x01\x00\x00\x00\x00\x00\x03\x00garbage!")) }
	for name, tt := range map[string]struct {
		globals map[string]uint32
		fault   func(*wlprototest.Client, string, uint16, []byte) bool
		act     func(*wlprototest.Compositor)
		reason  error
		text    string
	}{
		"garbage": {fault: on(wlrFrame, 2, 1, garbage), reason: capture.ErrLost, text: "malformed"},
		"an event for nothing": {fault: on(wlrFrame, 2, 1, func(c *wlprototest.Client, _ []byte) {
			c.Event(4000, 0)
		}), reason: capture.ErrLost, text: "object 4000"},
		"a short event": {fault: on(wlrFrame, 2, 1, func(c *wlprototest.Client, _ []byte) {
			c.Event(1, 0, uint32(1))
		}), reason: capture.ErrLost},
		"a long string": {fault: on(wlrFrame, 2, 1, func(c *wlprototest.Client, _ []byte) {
			c.Event(1, 0, uint32(1), uint32(2), uint32(1<<31))
		}), reason: capture.ErrLost},
		"an error": {fault: on(wlrFrame, 2, 1, func(c *wlprototest.Client, _ []byte) {
			c.Event(1, 0, uint32(7), uint32(2), "no way")
		}), reason: capture.ErrLost, text: "no way"},
		"half a message, then the end": {fault: on(wlrFrame, 2, 1, func(c *wlprototest.Client, _ []byte) {
			c.Raw([]byte{1, 0, 0, 0, 0, 0})
			c.Close()
		}), reason: capture.ErrLost},
		"the compositor ends": {act: func(c *wlprototest.Compositor) { c.Stop() }, reason: capture.ErrLost},
		"the output goes":     {act: func(c *wlprototest.Compositor) { c.Remove("OUT-1") }, reason: capture.ErrLost},
		"the output goes (ext)": {
			globals: wlprototest.ImageCopy(), act: func(c *wlprototest.Compositor) { c.Remove("OUT-1") },
			reason: capture.ErrLost,
		},
		"0x0": {fault: on(wlrFrame, 2, 1, func(*wlprototest.Client, []byte) {}), act: func(c *wlprototest.Compositor) {
			c.Set(wlprototest.Output{Name: "OUT-1"})
		}, reason: capture.ErrUnsupported},
		"the session is stopped (ext)": {
			globals: wlprototest.ImageCopy(), fault: on(extFrame, 3, 1, func(c *wlprototest.Client, _ []byte) {
				for id := range uint32(40) {
					c.Stopped(id)
				}
			}), reason: capture.ErrLost, text: "stopped",
		},
		"each copy fails": {fault: func(c *wlprototest.Client, i string, op uint16, _ []byte) bool {
			return i != wlrFrame || op != 0 || !c.Fail()
		}, act: func(c *wlprototest.Compositor) {
			c.Set(wlprototest.Output{Name: "OUT-1", Width: 30, Height: 30})
		}, reason: capture.ErrLost, text: "no picture"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.globals == nil {
				tt.globals = wlprototest.Screencopy(3)
			}
			c := wlprototest.New(t, wlprototest.Config{Globals: tt.globals, Outputs: screens})
			s := open(t, c)
			capturetest.Next(t, s).Release()
			c.Hook(tt.fault)
			done := make(chan error, 1)
			go func() {
				for {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					f, err := s.Next(ctx)
					cancel()
					if err != nil {
						done <- err
						return
					}
					f.Release()
				}
			}()
			if tt.act != nil {
				tt.act(c)
			}
			err := <-done
			if !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v; want %q", err, tt.text)
			}
			capturetest.CheckReason(t, err, tt.reason)
			if _, again := s.Next(t.Context()); !errors.Is(again, capture.ErrLost) && !errors.Is(again, tt.reason) {
				t.Errorf("after that: got %v; want the same reason", again)
			}
		})
	}
}

// A hung compositor shows by Alive, and does not block Next.
func TestHang(t *testing.T) {
	c := wlprototest.New(t, wlprototest.Config{Globals: wlprototest.Screencopy(3), Outputs: screens})
	s := open(t, c)
	capturetest.Next(t, s).Release()
	c.Hook(func(*wlprototest.Client, string, uint16, []byte) bool { return false })
	ctx, cancel := context.WithTimeout(t.Context(), 1600*time.Millisecond)
	defer cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v; want the error of the context", err)
	}
	if age := time.Since(s.Alive()); age < time.Second {
		t.Errorf("the compositor was heard %v ago; want a second at least", age)
	}
}

// New tells one reason why an output cannot be opened.
func TestNewReasons(t *testing.T) {
	shm := map[string]uint32{"wl_shm": 1}
	for name, tt := range map[string]struct {
		globals map[string]uint32
		output  wlprototest.Output
		format  uint32
		want    error
	}{
		"no protocol":      {globals: shm, want: capture.ErrUnsupported},
		"no shared memory": {globals: map[string]uint32{"zwlr_screencopy_manager_v1": 3}, want: capture.ErrUnsupported},
		"no such output":   {output: wlprototest.Output{Name: "other"}, want: capture.ErrNotFound},
		"0x0":              {output: wlprototest.Output{Name: "OUT-1"}, want: capture.ErrUnsupported},
		"negative":         {output: wlprototest.Output{Name: "OUT-1", Width: -4, Height: 4}, want: capture.ErrUnsupported},
		"far too wide": {
			output: wlprototest.Output{Name: "OUT-1", Width: 1 << 20, Height: 1}, want: capture.ErrUnsupported,
		},
		"a palette": {
			output: wlprototest.Output{Name: "OUT-1", Width: 4, Height: 4}, format: 0x20203843, want: capture.ErrUnsupported,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.globals == nil {
				tt.globals = wlprototest.Screencopy(3)
			}
			c := wlprototest.New(t, wlprototest.Config{
				Globals: tt.globals, Format: tt.format, Outputs: []wlprototest.Output{tt.output},
			})
			s, err := New(t.Context(), Config{Socket: c.Socket, Output: "OUT-1"}, logger(t))
			if s != nil {
				_ = s.Close()
			}
			capturetest.CheckReason(t, err, tt.want)
		})
	}
	if _, err := New(t.Context(), Config{Socket: t.TempDir() + "/none"}, logger(t)); !errors.Is(err, capture.ErrNotFound) {
		t.Errorf("without a socket: got %v; want %v", err, capture.ErrNotFound)
	}
}

// A thousand frames use the same few objects.
func TestObjectsAreReused(t *testing.T) {
	for name, globals := range map[string]map[string]uint32{
		"ext": wlprototest.ImageCopy(), "wlr": wlprototest.Screencopy(3),
	} {
		c := wlprototest.New(t, wlprototest.Config{Globals: globals, Outputs: screens})
		s := open(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for range 1000 {
			s.Refresh()
			f, err := s.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			f.Release()
		}
		if n := s.conn.Objects(); n > 40 {
			t.Errorf("%s: got %d objects after a thousand frames; want some dozens", name, n)
		}
	}
}

// Watch reports outputs that come, change and go.
func TestWatch(t *testing.T) {
	c := wlprototest.New(t, wlprototest.Config{Globals: wlprototest.Screencopy(3), Outputs: screens})
	news := make(chan Info, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Watch(ctx, c.Socket, func(i Info) { news <- i }) }()
	wait := func(want string) {
		t.Helper()
		limit := time.After(patience)
		for {
			var got []string
			select {
			case i := <-news:
				for _, o := range i.Outputs {
					got = append(got, o.Name)
				}
				if strings.Join(got, " ") == want {
					return
				}
			case <-limit:
				t.Fatalf("got no report of %s", want)
			}
		}
	}
	wait("OUT-1 OUT-2")
	c.Remove("OUT-1")
	wait("OUT-2")
	c.Add(wlprototest.Output{Name: "NEW", X: -10, Width: 5, Height: 5})
	wait("NEW OUT-2")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want %v", err, context.Canceled)
	}
}
