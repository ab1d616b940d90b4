//go:build linux

package kms

import (
	"context"
	"errors"
	"image"
	"log/slog"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

const hdmi = "0000:00:02.0@HDMI-A-1"

func logger(tb testing.TB) *slog.Logger {
	tb.Helper()
	return slog.New(slog.NewTextHandler(tb.Output(), nil))
}

// fill paints an area of a framebuffer of four bytes a pixel.
func fill(k *kmstest.Card, fb uint32, r image.Rectangle, color uint32) {
	k.Change(fb, func(f *kmstest.FB) {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				p := f.Pix[int(f.Offsets[0])+y*int(f.Pitches[0])+4*x:]
				p[0], p[1], p[2], p[3] = byte(color), byte(color>>8), byte(color>>16), 255
			}
		}
	})
}

// opener opens the output of a helper.
func opener(t *testing.T, socket string) capture.Opener {
	t.Helper()
	return func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		s, err := New(ctx, Config{Socket: socket, Output: hdmi, Demand: d}, logger(t))
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

func open(t *testing.T, socket string, d capture.Demand) *Source {
	t.Helper()
	s, err := New(t.Context(), Config{Socket: socket, Output: hdmi, Demand: d}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// next returns a frame, which is released at the end of the test.
func next(t *testing.T, s *Source) *capture.Frame {
	t.Helper()
	f := capturetest.Next(t, s)
	t.Cleanup(f.Release)
	return f
}

// A program draws into the picture that is shown, or flips between two, or three.
func TestContract(t *testing.T) {
	for name, tt := range map[string]struct {
		buffers int
		format  uint32
		change  func(*kmstest.Card)
		open    func(*testing.T, string) (capture.Opener, func() uint64)
	}{
		"surfaces in place":     {buffers: 1, open: surfaceOpener},
		"two surfaces":          {buffers: 2, open: surfaceOpener},
		"three surfaces":        {buffers: 3, open: surfaceOpener},
		"red first in surfaces": {buffers: 2, format: drm.FormatXBGR8888, open: surfaceOpener},
		"surfaces of a part of a desktop": {buffers: 1, open: surfaceOpener, change: func(k *kmstest.Card) {
			k.Set(0, func(o *kmstest.Output) { o.Width, o.Height, o.SrcX, o.SrcY = 64, 40, 20, 7 })
		}},
		"in place":   {buffers: 1},
		"two":        {buffers: 2},
		"three":      {buffers: 3},
		"red first":  {buffers: 2, format: drm.FormatXBGR8888},
		"no vblanks": {buffers: 2, change: func(k *kmstest.Card) { k.Legacy = true }},
		"copied":     {buffers: 2, change: func(k *kmstest.Card) { k.Fail(drm.IoctlPrimeHandleToFD, syscall.ENOSYS) }},
		"copied in place": {buffers: 1, change: func(k *kmstest.Card) {
			k.Fail(drm.IoctlPrimeHandleToFD, syscall.ENOSYS)
		}},
		"no modifier": {buffers: 1, change: func(k *kmstest.Card) {
			k.Change(k.Shown(0), func(f *kmstest.FB) { f.Flags = 0 })
		}},
		"part of a desktop": {buffers: 1, change: func(k *kmstest.Card) {
			k.Set(0, func(o *kmstest.Output) { o.Width, o.Height, o.SrcX, o.SrcY = 64, 40, 20, 7 })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := kmstest.New(t, 100, 60)
			if tt.format == 0 {
				tt.format = drm.FormatXRGB8888
			}
			fbs := []uint32{k.Shown(0)}
			for len(fbs) < tt.buffers {
				fbs = append(fbs, k.Add(t, 100, 60, tt.format, 4*112))
			}
			if tt.change != nil {
				tt.change(k)
			}
			n := 0
			opts := capturetest.Options{Change: func() {
				n++
				fb := fbs[n%len(fbs)]
				// A program draws the whole picture before it flips.
				for i := max(1, n-20); i <= n; i++ {
					fill(k, fb, image.Rect(5*(i%10), 10, 5*(i%10)+33, 17+i%30), uint32(i)*0x10305)
				}
				k.Set(0, func(o *kmstest.Output) { o.FB = fb })
			}}
			socket := kmstest.Serve(t, nil, k).Socket
			open := opener(t, socket)
			if tt.open != nil {
				open, opts.Copies = tt.open(t, socket)
			}
			capturetest.Run(t, open, opts)
			if handles, _ := k.Held(); handles != 0 {
				t.Errorf("%d handles are open", handles)
			}
		})
	}
}

func TestThousandOpens(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	k.Set(0, func(o *kmstest.Output) { o.Cursor = o.FB })
	h := kmstest.Serve(t, nil, k)
	capturetest.RunOpens(t, capturetest.Opens, opener(t, h.Socket))
	h.Stop()
	if handles, devices := k.Held(); handles != 0 || devices != 0 {
		t.Errorf("%d handles and %d cards are open", handles, devices)
	}
}

func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		format uint32
		pixel  []byte
		want   [3]byte // blue, green, red
	}{
		{drm.FormatXRGB8888, []byte{1, 2, 3, 9}, [3]byte{1, 2, 3}},
		{drm.FormatARGB8888, []byte{1, 2, 3, 9}, [3]byte{1, 2, 3}},
		{drm.FormatXBGR8888, []byte{3, 2, 1, 9}, [3]byte{1, 2, 3}},
		{drm.FormatABGR8888, []byte{3, 2, 1, 9}, [3]byte{1, 2, 3}},
		// Red 1023, green 512, blue 4, and the two highest bits set.
		{drm.FormatXRGB2101010, []byte{0x04, 0x00, 0xf8, 0xff}, [3]byte{1, 128, 255}},
		{drm.FormatRGB565, []byte{0x1f, 0xf8}, [3]byte{255, 0, 255}},
		{drm.FormatRGB565, []byte{0xe0, 0x07}, [3]byte{0, 255, 0}},
	} {
		k := kmstest.New(t, 3, 2)
		pitch := 3*len(tt.pixel) + 4
		fb := k.Add(t, 3, 3, tt.format, pitch)
		k.Change(fb, func(f *kmstest.FB) {
			f.Height, f.Offsets[0] = 2, uint32(pitch)
			copy(f.Pix[2*pitch+len(tt.pixel):], tt.pixel) // the second pixel of the second row
		})
		k.Set(0, func(o *kmstest.Output) { o.FB = fb })
		f := next(t, open(t, kmstest.Serve(t, nil, k).Socket, capture.Demand{}))
		if got := [3]byte(f.Pix[f.Stride+4:]); got != tt.want {
			t.Errorf("%s: got %v; want %v", drm.FormatName(tt.format), got, tt.want)
		}
	}
}

// Outputs that cannot be captured have one reason, and say what is wrong.
func TestRefusals(t *testing.T) {
	set := func(f func(*kmstest.Output)) func(*testing.T, *kmstest.Card) {
		return func(_ *testing.T, k *kmstest.Card) { k.Set(0, f) }
	}
	shown := func(f func(*kmstest.FB)) func(*testing.T, *kmstest.Card) {
		return func(_ *testing.T, k *kmstest.Card) { k.Change(k.Shown(0), f) }
	}
	for name, tt := range map[string]struct {
		change func(*testing.T, *kmstest.Card)
		reason error
		text   string
	}{
		"tiles": {
			shown(func(f *kmstest.FB) { f.Modifiers[0] = 1<<56 | 2 }), capture.ErrUnsupported,
			"driver fake shows pixels of format XR24 in tiles (modifier 0x100000000000002 (Intel))",
		},
		"secret tiles": {func(t *testing.T, k *kmstest.Card) {
			t.Helper()
			k.Driver = "radeon"
			k.Change(k.Shown(0), func(f *kmstest.FB) { f.Flags = 0 })
		}, capture.ErrUnsupported, "driver radeon shows pixels of format XR24 in tiles (modifier not known)"},
		"format": {shown(func(f *kmstest.FB) { f.Format = 0x48344258 }), capture.ErrUnsupported, "format XB4H"},
		"two parts": {
			shown(func(f *kmstest.FB) { f.Handles[1], f.Pitches[1] = 1, 16 }), capture.ErrUnsupported, "in 2 parts",
		},
		"short rows":   {shown(func(f *kmstest.FB) { f.Pitches[0] = 255 }), capture.ErrUnsupported, "rows of 255 bytes"},
		"huge rows":    {shown(func(f *kmstest.FB) { f.Pitches[0] = 1 << 30 }), capture.ErrUnsupported, "rows of 1073741824"},
		"offset":       {shown(func(f *kmstest.FB) { f.Offsets[0] = 4 }), capture.ErrUnsupported, "12288 bytes"},
		"far offset":   {shown(func(f *kmstest.FB) { f.Offsets[0] = 0xffffffff }), capture.ErrUnsupported, "12288 bytes"},
		"no width":     {shown(func(f *kmstest.FB) { f.Width = 0 }), capture.ErrUnsupported, "of 0x48"},
		"outside":      {set(func(o *kmstest.Output) { o.SrcX = 1 }), capture.ErrUnsupported, "(1,0)-(65,48)"},
		"no area":      {set(func(o *kmstest.Output) { o.Height = 0 }), capture.ErrUnsupported, "(0,0)-(64,0)"},
		"turned":       {set(func(o *kmstest.Output) { o.Rotation = 2 }), capture.ErrUnsupported, "turns the picture"},
		"off":          {set(func(o *kmstest.Output) { o.Off = true }), capture.ErrNotFound, "shows nothing"},
		"no picture":   {set(func(o *kmstest.Output) { o.FB = 0 }), capture.ErrNotFound, "shows nothing"},
		"unplugged":    {set(func(o *kmstest.Output) { o.Unplugged = true }), capture.ErrNotFound, "has no monitor"},
		"no privilege": {func(_ *testing.T, k *kmstest.Card) { k.Deny() }, capture.ErrDenied, "CAP_SYS_ADMIN"},
		"no PRIME": {func(_ *testing.T, k *kmstest.Card) {
			k.Fail(drm.IoctlPrimeHandleToFD, syscall.ENOSYS)
			k.Fail(drm.IoctlMapDumb, syscall.ENOTTY)
		}, capture.ErrUnsupported, "export framebuffer"},
		"no memory": {
			func(t *testing.T, k *kmstest.Card) { t.Helper(); k.Truncate(t, k.Shown(0)) }, capture.ErrUnsupported, "0 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := kmstest.New(t, 64, 48)
			tt.change(t, k)
			_, err := New(t.Context(), Config{Socket: kmstest.Serve(t, nil, k).Socket, Output: hdmi}, logger(t))
			capturetest.CheckReason(t, err, tt.reason)
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %q; want it to say %q", err, tt.text)
			}
		})
	}
}

// A helper that fails is one reason, in time.
func TestHelperFails(t *testing.T) {
	_, err := New(t.Context(), Config{Socket: t.TempDir() + "/none", Output: hdmi}, logger(t))
	capturetest.CheckReason(t, err, capture.ErrNotFound)
	refusing := kmstest.Serve(t, func(net.Conn) error { return errors.New("another user") })
	_, err = New(t.Context(), Config{Socket: refusing.Socket, Output: hdmi}, logger(t))
	capturetest.CheckReason(t, err, capture.ErrDenied)
	for name, tt := range map[string]struct {
		answer string
		reason error
	}{
		"garbage": {"garbage", capture.ErrUnsupported}, "silence": {"", capture.ErrSilent},
	} {
		t.Run(name, func(t *testing.T) {
			socket := kmstest.Listen(t, func(ctx context.Context, ln net.Listener) {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				b := make([]byte, 1000)
				_, _ = c.Read(b)
				if tt.answer != "" {
					_, _ = c.Write([]byte(tt.answer))
				}
				_, _ = c.Read(b)
			}, nil)
			_, err := New(t.Context(), Config{Socket: socket, Output: hdmi}, logger(t))
			capturetest.CheckReason(t, err, tt.reason)
		})
	}
}

// What ends an output under a Source is a loss, and the next Source works when it is back.
func TestLosses(t *testing.T) {
	for name, tt := range map[string]struct {
		lose, restore func(*testing.T, *kmstest.Card)
		text          string
	}{
		"unplugged": {
			lose: func(_ *testing.T, k *kmstest.Card) {
				k.Set(0, func(o *kmstest.Output) { o.Unplugged, o.Off = true, true })
			},
			restore: func(_ *testing.T, k *kmstest.Card) {
				k.Set(0, func(o *kmstest.Output) { o.Unplugged, o.Off = false, false })
			},
			text: "has no monitor",
		},
		"card gone": {
			lose:    func(_ *testing.T, k *kmstest.Card) { k.Fail(drm.IoctlGetPlane, syscall.ENODEV) },
			restore: func(_ *testing.T, k *kmstest.Card) { k.Fail(drm.IoctlGetPlane, nil) },
			text:    "the card is gone",
		},
		"memory gone": {
			lose:    func(t *testing.T, k *kmstest.Card) { t.Helper(); k.Truncate(t, k.Shown(0)) },
			restore: func(t *testing.T, k *kmstest.Card) { t.Helper(); k.Restore(t, k.Shown(0)) },
			text:    "has taken the memory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := kmstest.New(t, 64, 48)
			h := kmstest.Serve(t, nil, k)
			s := open(t, h.Socket, capture.Demand{})
			next(t, s)
			tt.lose(t, k)
			for range 2 {
				f, err := s.Next(t.Context())
				if f != nil {
					f.Release()
				}
				capturetest.CheckReason(t, err, capture.ErrLost)
				if err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %q; want it to say %q", err, tt.text)
				}
			}
			tt.restore(t, k)
			next(t, open(t, h.Socket, capture.Demand{}))
		})
	}
	t.Run("helper ends", func(t *testing.T) {
		h := kmstest.Serve(t, nil, kmstest.New(t, 64, 48))
		s := open(t, h.Socket, capture.Demand{})
		next(t, s)
		h.Stop()
		_, err := s.Next(t.Context())
		capturetest.CheckReason(t, err, capture.ErrLost)
	})
}

// Another mode, and a screen that is off for a while, stay in the same Source.
func TestModes(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	h := kmstest.Serve(t, nil, k)
	s := open(t, h.Socket, capture.Demand{})
	capturetest.Next(t, s).Release()
	for _, size := range []image.Point{{32, 100}, {1, 1}, {16384, 2}, {64, 48}} {
		fb := k.Add(t, size.X, size.Y, drm.FormatXRGB8888, 4*size.X)
		k.Set(0, func(o *kmstest.Output) { o.Off = true })
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		_, err := s.Next(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v; want Next to block while the screen is off", err)
		}
		if silent := time.Since(s.Alive()); silent > time.Second {
			t.Errorf("the display counts as silent for %v", silent)
		}
		s.Refresh()
		capturetest.Next(t, s).Release() // the last picture, for a viewer who comes
		k.Set(0, func(o *kmstest.Output) { o.Off, o.FB, o.Width, o.Height = false, fb, size.X, size.Y })
		f := capturetest.Next(t, s)
		if f.Bounds().Size() != size || !slices.Equal(f.Damage, []image.Rectangle{f.Bounds()}) {
			t.Errorf("got a picture of %v with damage %v; want all of %v", f.Bounds(), f.Damage, size)
		}
		f.Release()
	}
}

// A program that flips, and then stands still, costs a comparison in each second.
func TestStillScreenCostsLittle(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	k.Set(0, func(o *kmstest.Output) { o.Refresh = 10 }) // a busy machine looks in time, too
	other := k.Add(t, 64, 48, drm.FormatXRGB8888, 256)
	fill(k, other, image.Rect(1, 1, 9, 9), 0x112233)
	s := open(t, kmstest.Serve(t, nil, k).Socket, capture.Demand{FPS: 60})
	next(t, s)
	k.Set(0, func(o *kmstest.Output) { o.FB = other })
	next(t, s)
	before := k.Calls(drm.IoctlGetFB2)
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v; want Next to block", err)
	}
	// The first frames may cost one more read: the helper missed the time between them.
	if n := k.Calls(drm.IoctlGetFB2) - before; n < 2 || n > 10 {
		t.Errorf("the picture was read %d times in 2.5 s; want about twice", n)
	}
	// The program draws in place from now on, which is noticed.
	for i := uint32(1); ; i++ {
		fill(k, other, image.Rect(2, 2, 5, 5), i)
		f := capturetest.Next(t, s)
		f.Release()
		if f.Polled {
			break
		}
	}
}

// Planes over the picture are left out, with a warning.
func TestOverlays(t *testing.T) {
	var log strings.Builder
	k := kmstest.New(t, 64, 48)
	k.Set(0, func(o *kmstest.Output) { o.Overlay = o.FB })
	s, err := New(t.Context(), Config{Socket: kmstest.Serve(t, nil, k).Socket, Output: hdmi},
		slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	next(t, s)
	_ = s.Close()
	if n := strings.Count(log.String(), "capture is degraded"); n != 1 {
		t.Errorf("got %d warnings; want one:\n%s", n, log.String())
	}
}
