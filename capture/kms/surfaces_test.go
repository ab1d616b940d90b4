//go:build linux

package kms

import (
	"context"
	"errors"
	"image"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

// passed demands surfaces, and eitherOf prefers them.
var (
	passed   = capture.Demand{Kinds: []capture.Kind{capture.DMA}, Cursor: capture.CursorHidden}
	eitherOf = capture.Demand{Kinds: []capture.Kind{capture.DMA, capture.Memory}, Cursor: capture.CursorHidden}
)

// surfaceOpener opens the output of a helper with surfaces, unless the demand says otherwise. It also returns the
// number of copies of the newest source.
func surfaceOpener(t *testing.T, socket string) (open capture.Opener, copies func() uint64) {
	t.Helper()
	var last *Source
	return func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		if len(d.Kinds) == 0 {
			d.Kinds, d.Cursor = eitherOf.Kinds, eitherOf.Cursor
		}
		s, err := New(ctx, Config{Socket: socket, Output: hdmi, Demand: d}, logger(t))
		if err != nil {
			return nil, err
		}
		last = s
		return s, nil
	}, func() uint64 { return last.store.(*surfaces).copier.Copies() }
}

// surfaceOf returns the surface of a frame.
func surfaceOf(t *testing.T, f *capture.Frame) *capture.DMABuf {
	t.Helper()
	d, ok := f.Surface.(*capture.DMABuf)
	if !ok {
		t.Fatalf("got the surface %v; want a DMA-BUF", f.Surface)
	}
	return d
}

// pixelsOf returns the bytes of a plane's file.
func pixelsOf(t *testing.T, p capture.Plane) []byte {
	t.Helper()
	size, err := unix.Seek(p.FD, 0, unix.SEEK_END)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := unix.Pread(p.FD, b, 0); err != nil || n != len(b) {
		t.Fatalf("got %d bytes of %d, %v", n, size, err)
	}
	return b
}

// A picture in tiles is passed on as it is, with all that an importer needs.
func TestTiles(t *testing.T) {
	const width, height = 200, 30
	k := kmstest.New(t, width, height)
	k.Driver, k.Render = "i915", kms.RenderNode{Major: 226, Minor: 128}
	fb := k.AddTiled(t, width, height)
	pix := make([]byte, 4*width*height)
	for i := range pix {
		pix[i] = byte(i * 7 / 3)
	}
	k.Draw(fb, pix)
	k.AddPlane(t, fb, 64, 4096, 8192)
	k.Change(fb, func(f *kmstest.FB) { f.Handles[2], f.Pitches[2], f.Offsets[2] = 1, 128, 512 }) // in the first file
	k.Set(0, func(o *kmstest.Output) { o.FB = fb })
	d := eitherOf
	d.Device = capture.Device{Major: 226, Minor: 128}
	s := open(t, kmstest.Serve(t, nil, k).Socket, d)
	traits := capture.Traits{
		Kind: capture.DMA, Surfaces: true, Slots: 3, Volatile: true, Damage: true, Cursor: capture.CursorHidden,
	}
	if got := s.Traits(); got != traits {
		t.Errorf("got %+v; want %+v", got, traits)
	}
	f := next(t, s)
	got := surfaceOf(t, f)
	if f.Width != width || f.Height != height || !slices.Equal(f.Damage, []image.Rectangle{f.Bounds()}) || f.Polled {
		t.Errorf("got %+v", f)
	}
	if got.FourCC != drm.FormatXRGB8888 || got.Modifier != kmstest.ModifierXTiled || got.Device != d.Device ||
		got.Ready != -1 || len(got.Planes) != 3 || got.Planes[0].Stride != 1024 || got.Planes[0].Offset != 0 ||
		got.Planes[1].Stride != 64 || got.Planes[1].Offset != 4096 || got.Planes[2].FD != got.Planes[0].FD ||
		got.Planes[2].Stride != 128 || got.Planes[2].Offset != 512 {
		t.Fatalf("got %+v", got)
	}
	tiles := pixelsOf(t, got.Planes[0])
	for i := 0; i < len(pix); i += 4 {
		at := kmstest.XTiled(1024, i/4%width, i/4/width)
		if [4]byte(tiles[at:]) != [4]byte(pix[i:]) {
			t.Fatalf("pixel %d is %v; want %v", i/4, tiles[at:at+4], pix[i:i+4])
		}
	}
	if n := len(pixelsOf(t, got.Planes[1])); n != 8192 {
		t.Errorf("the second plane has %d bytes; want 8192", n)
	}
	if _, _, err := f.Map(); !errors.Is(err, capture.ErrUnsupported) || !strings.Contains(err.Error(), "in tiles") {
		t.Errorf("got %v of tiles in main memory; want an error", err)
	}
}

// A buffer has the same number each time that it is shown, and no other has it.
func TestBuffersAreIdentified(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	fbs := []uint32{k.Shown(0), k.AddTiled(t, 64, 48), k.Add(t, 64, 96, drm.FormatXRGB8888, 256)}
	k.Change(fbs[2], func(f *kmstest.FB) { f.Height = 48 })
	s := open(t, kmstest.Serve(t, nil, k).Socket, passed)
	numbers := make(map[uint64]int)
	show := func(want int) {
		t.Helper()
		s.Refresh()
		f := capturetest.Next(t, s)
		defer f.Release()
		d := surfaceOf(t, f)
		if i, known := numbers[d.Buffer]; known && i != want || !known && len(numbers) != want {
			t.Errorf("buffer %d has the number of %d (known: %v)", want, i, known)
		}
		numbers[d.Buffer] = want
	}
	for range 3 {
		for i, fb := range fbs {
			k.Set(0, func(o *kmstest.Output) { o.FB = fb })
			show(i)
		}
	}
	// The second half of the same buffer.
	k.Change(fbs[2], func(f *kmstest.FB) { f.Offsets[0] = 256 * 48 })
	show(3)
}

// Frames own the files of their pictures, also after Close. Nothing is left.
func TestFilesOfSurfaces(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	fbs := []uint32{k.AddTiled(t, 64, 48), k.AddTiled(t, 64, 48), k.Shown(0)}
	k.AddPlane(t, fbs[0], 64, 0, 4096)
	h := kmstest.Serve(t, nil, k)
	files := func() (n int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(to, "fake-dma-buf") {
				n++
			}
		}
		return n
	}
	before := files()
	s := open(t, h.Socket, passed)
	var held []*capture.Frame
	valid := func(f *capture.Frame) {
		t.Helper()
		for _, p := range surfaceOf(t, f).Planes {
			if _, _, err := identify(p.FD); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range 1000 {
		k.Set(0, func(o *kmstest.Output) { o.FB = fbs[n%len(fbs)] })
		if n%5 == 0 {
			s.Refresh()
		}
		f := capturetest.Next(t, s)
		valid(f)
		if held = append(held, f); len(held) == maxFrames {
			held[0].Release()
			held = held[1:]
		}
		// Three frames, the latest picture, what is mapped, and the helper's, of two files each.
		if now := files(); now > before+2*(maxFrames+1+maxMapped+1) {
			t.Fatalf("%d buffers are open after %d frames; want about %d", now, n, before)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range held {
		valid(f)
		f.Release()
	}
	h.Stop()
	if after := files(); after != before {
		t.Errorf("%d buffers are open; want %d", after, before)
	}
}

func TestThousandOpensWithSurfaces(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	open, _ := surfaceOpener(t, kmstest.Serve(t, nil, k).Socket)
	capturetest.RunOpens(t, capturetest.Opens, open)
}

// Frames can be mapped by several goroutines, while others come and after Close.
func TestMapOfSurfaces(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	fill(k, k.Shown(0), image.Rect(0, 0, 64, 48), 0x112233)
	s := open(t, kmstest.Serve(t, nil, k).Socket, passed)
	var mapped sync.WaitGroup
	check := func(f *capture.Frame) {
		pix, stride, err := f.Map()
		if err != nil || stride != 256 || len(pix) != 256*48 || [3]byte(pix) != [3]byte{0x33, 0x22, 0x11} {
			t.Errorf("got %d bytes with stride %d, %v", len(pix), stride, err)
		}
		f.Release()
	}
	for range 20 {
		s.Refresh()
		f := capturetest.Next(t, s)
		mapped.Go(func() { check(f.Retain()) })
		mapped.Go(func() { check(f.Retain()) })
		mapped.Wait()
		f.Release()
	}
	s.Refresh()
	f := capturetest.Next(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(f)
	if list := s.store.(*surfaces).maps.list; len(list) != 0 {
		t.Errorf("%d buffers are mapped after the last release", len(list))
	}
}

// quiet fails the test if a frame comes within a time.
func quiet(t *testing.T, s *Source, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if f, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got frame %v, %v; want Next to block", f != nil, err)
	}
}

// A program that flips makes a frame by each flip, and one a second later: it may have drawn on after the last one.
func TestFlipsOfSurfaces(t *testing.T) {
	for name, add := range map[string]func(*testing.T, *kmstest.Card) uint32{
		"rows": func(t *testing.T, k *kmstest.Card) uint32 {
			t.Helper()
			return k.Add(t, 64, 48, drm.FormatXRGB8888, 256)
		},
		"tiles": func(t *testing.T, k *kmstest.Card) uint32 { t.Helper(); return k.AddTiled(t, 64, 48) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := kmstest.New(t, 64, 48)
			one, two := add(t, k), add(t, k)
			k.Set(0, func(o *kmstest.Output) { o.FB = one })
			s := open(t, kmstest.Serve(t, nil, k).Socket, passed)
			before := surfaceOf(t, next(t, s)).Buffer
			for i := range 3 {
				k.Set(0, func(o *kmstest.Output) { o.FB = []uint32{two, one}[i%2] })
				f := capturetest.Next(t, s)
				if now := surfaceOf(t, f).Buffer; now == before || len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
					t.Errorf("got buffer %d after %d, with damage %v", now, before, f.Damage)
				} else {
					before = now
				}
				f.Release()
			}
			f := capturetest.Next(t, s)
			if d := surfaceOf(t, f); d.Buffer != before || f.Polled {
				t.Errorf("got buffer %d, polled %v; want %d again", d.Buffer, f.Polled, before)
			}
			f.Release()
			quiet(t, s, 2500*time.Millisecond)
		})
	}
}

// A picture in rows that changes in place is noticed, by a program that flips as well.
func TestSurfacesInPlace(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	other := k.Add(t, 64, 48, drm.FormatXRGB8888, 256)
	s := open(t, kmstest.Serve(t, nil, k).Socket, passed)
	capturetest.Next(t, s).Release()
	for i := range uint32(5) {
		fill(k, k.Shown(0), image.Rect(3, 3, 4, 4), i+1)
		f := capturetest.Next(t, s)
		if !f.Polled || len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
			t.Errorf("got %+v; want a whole frame of a source that polls", f)
		}
		f.Release()
	}
	k.Set(0, func(o *kmstest.Output) { o.FB = other })
	for polled := true; polled; {
		f := capturetest.Next(t, s)
		polled = f.Polled
		f.Release()
	}
	for i, polled := uint32(1), false; !polled; i++ {
		fill(k, other, image.Rect(2, 2, 5, 5), i)
		f := capturetest.Next(t, s)
		polled = f.Polled
		f.Release()
	}
}

// The last surface stays while the screen is off. Another size, and the same buffer after that, are whole frames.
func TestModesOfSurfaces(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	first := k.Shown(0)
	s := open(t, kmstest.Serve(t, nil, k).Socket, passed)
	capturetest.Next(t, s).Release()
	for _, size := range []image.Point{{32, 100}, {200, 16}, {64, 48}} {
		fb := first
		if size != image.Pt(64, 48) {
			fb = k.AddTiled(t, size.X, size.Y)
		}
		k.Set(0, func(o *kmstest.Output) { o.Off = true })
		quiet(t, s, 150*time.Millisecond)
		s.Refresh()
		f := capturetest.Next(t, s)
		if _, _, err := identify(surfaceOf(t, f).Planes[0].FD); err != nil {
			t.Error(err)
		}
		f.Release()
		k.Set(0, func(o *kmstest.Output) { o.Off, o.FB, o.Width, o.Height = false, fb, size.X, size.Y })
		f = capturetest.Next(t, s)
		if f.Bounds().Size() != size || !slices.Equal(f.Damage, []image.Rectangle{f.Bounds()}) {
			t.Errorf("got a picture of %v with damage %v; want all of %v", f.Bounds(), f.Damage, size)
		}
		f.Release()
	}
}

// What ends an output, or its surfaces, under a Source is a loss.
func TestLostSurfaces(t *testing.T) {
	for name, tt := range map[string]struct {
		lose   func(*testing.T, *kmstest.Card, *kmstest.Helper)
		reason error
		text   string
	}{
		"unplugged": {func(_ *testing.T, k *kmstest.Card, _ *kmstest.Helper) {
			k.Set(0, func(o *kmstest.Output) { o.Unplugged, o.Off = true, true })
		}, capture.ErrLost, "has no monitor"},
		"memory gone": {func(t *testing.T, k *kmstest.Card, _ *kmstest.Helper) {
			t.Helper()
			k.Truncate(t, k.Shown(0))
		}, capture.ErrLost, "0 bytes"},
		"helper ends": {func(_ *testing.T, _ *kmstest.Card, h *kmstest.Helper) { h.Stop() }, capture.ErrLost, "helper"},
		"turned": {func(_ *testing.T, k *kmstest.Card, _ *kmstest.Helper) {
			k.Set(0, func(o *kmstest.Output) { o.FB, o.Rotation = o.Cursor, 2 })
		}, capture.ErrUnsupported, "turns the picture"},
		"part of tiles": {func(t *testing.T, k *kmstest.Card, _ *kmstest.Helper) {
			t.Helper()
			fb := k.AddTiled(t, 100, 60)
			k.Set(0, func(o *kmstest.Output) { o.FB, o.SrcY = fb, 8 })
		}, capture.ErrUnsupported, "cannot be cut out"},
	} {
		t.Run(name, func(t *testing.T) {
			k := kmstest.New(t, 64, 48)
			other := k.Add(t, 64, 48, drm.FormatXRGB8888, 256)
			k.Set(0, func(o *kmstest.Output) { o.Cursor = other })
			h := kmstest.Serve(t, nil, k)
			s := open(t, h.Socket, passed)
			next(t, s)
			tt.lose(t, k, h)
			for range 2 {
				f, err := s.Next(t.Context())
				if f != nil {
					f.Release()
				}
				capturetest.CheckReason(t, err, tt.reason)
				if err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %q; want it to say %q", err, tt.text)
				}
			}
		})
	}
}
