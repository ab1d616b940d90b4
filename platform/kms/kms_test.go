//go:build linux

package kms_test

import (
	"context"
	"encoding/json"
	"errors"
	"image"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wavryhost/platform/descriptors"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

const hdmi = "0000:00:02.0@HDMI-A-1"

func dial(t *testing.T, socket string) *kms.Conn {
	t.Helper()
	c, err := kms.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// look returns what an output shows, and the size of each file.
func look(t *testing.T, c *kms.Conn, q kms.Query) (*kms.Scanout, []int64) {
	t.Helper()
	s, files, err := c.Look(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer descriptors.Close(files)
	var sizes []int64
	for _, f := range files {
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
	}
	return s, sizes
}

func TestOutputs(t *testing.T) {
	one, two, broken := kmstest.New(t, 640, 480), kmstest.New(t, 64, 48), kmstest.New(t, 64, 48)
	one.AddOutput(kmstest.Output{Type: 10, TypeID: 1, Off: true})
	one.AddOutput(kmstest.Output{Type: 10, TypeID: 2, Unplugged: true})
	two.Name, broken.Name = "vkms", "0000:03:00.0"
	broken.Fail(0, syscall.EACCES)
	render := kmstest.New(t, 64, 48)
	render.Name = "render"
	render.Fail(drm.IoctlSetClientCap, syscall.EOPNOTSUPP)
	h := kmstest.Serve(t, nil, one, two, broken, render)
	got, err := kms.Outputs(t.Context(), h.Socket)
	if err != nil {
		t.Fatal(err)
	}
	want := []kms.Output{
		{ID: hdmi, Driver: "fake", Width: 640, Height: 480, Refresh: 100},
		{ID: "0000:00:02.0@DP-1", Driver: "fake", Why: drm.ErrOff.Error()},
		{ID: "vkms@HDMI-A-1", Driver: "fake", Width: 64, Height: 48, Refresh: 100},
		{ID: "0000:03:00.0", Why: syscall.EACCES.Error()},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v; want %+v", got, want)
	}
	h.Stop()
	for _, k := range []*kmstest.Card{one, two, broken, render} {
		if handles, devices := k.Held(); handles != 0 || devices != 0 {
			t.Errorf("%s: %d handles and %d devices are open after the end", k.Name, handles, devices)
		}
	}
}

func TestLook(t *testing.T) {
	k := kmstest.New(t, 640, 480)
	cursor := k.Add(t, 64, 64, drm.FormatARGB8888, 256)
	k.Set(0, func(o *kmstest.Output) { o.Cursor, o.CursorX, o.CursorY, o.CursorHotX = cursor, -3, 4, 2 })
	c := dial(t, kmstest.Serve(t, nil, k).Socket)
	first, sizes := look(t, c, kms.Query{Output: hdmi, Picture: true, Cursor: true})
	if first.Area != image.Rect(0, 0, 640, 480) || first.CursorAt != image.Pt(-3, 4) || first.Hot != image.Pt(2, 0) ||
		first.Driver != "fake" || first.Refresh != 100 || first.Rotation != drm.Rotate0 {
		t.Errorf("got %+v", first)
	}
	if !slices.Equal(sizes, []int64{4 * 640 * 480, 256 * 64}) || first.Picture.Parts[0].File != 0 ||
		first.Cursor.Parts[0].File != 1 {
		t.Errorf("got files of %d bytes, and %+v and %+v", sizes, first.Picture, first.Cursor)
	}
	// Nothing changes, so the answer has nothing.
	q := kms.Query{Output: hdmi, Seen: &first.State, Picture: true, Cursor: true}
	still, sizes := look(t, c, q)
	for still.Missed { // this machine was busy
		still, sizes = look(t, c, q)
	}
	if still.State != first.State || len(sizes) != 0 || still.Picture != nil || still.Cursor != nil {
		t.Errorf("got %+v with %d files; want the same state without", still, len(sizes))
	}
	k.Set(0, func(o *kmstest.Output) { o.CursorX = 5 })
	moved, sizes := look(t, c, kms.Query{Output: hdmi, Seen: &first.State, Cursor: true})
	if moved.CursorAt != image.Pt(5, 4) || len(sizes) != 0 {
		t.Errorf("got %+v with %d files; want it moved, without a shape", moved, len(sizes))
	}
	next := k.Add(t, 640, 480, drm.FormatXRGB8888, 4*640)
	k.Set(0, func(o *kmstest.Output) { o.FB = next })
	flipped, sizes := look(t, c, q)
	if flipped.FB != next || flipped.Picture == nil || flipped.Cursor != nil || len(sizes) != 1 {
		t.Errorf("got %+v with %d files; want the next picture", flipped, len(sizes))
	}
	k.Set(0, func(o *kmstest.Output) { o.Off = true })
	off, sizes := look(t, c, kms.Query{Output: hdmi, Seen: &flipped.State, Picture: true})
	if off.FB != 0 || off.Picture != nil || len(sizes) != 0 {
		t.Errorf("got %+v with %d files; want it off", off, len(sizes))
	}
	if handles, _ := k.Held(); handles != 0 {
		t.Errorf("%d handles are open", handles)
	}
}

// A picture in tiles comes as it is, in all its files. A buffer that programs cannot map is copied, unless its own is
// asked for.
func TestSurface(t *testing.T) {
	k := kmstest.New(t, 640, 480)
	k.Render = kms.RenderNode{Major: 226, Minor: 128}
	tiled := k.AddTiled(t, 640, 475)
	k.AddPlane(t, tiled, 64, 4096, 8192)
	c := dial(t, kmstest.Serve(t, nil, k).Socket)
	q := kms.Query{Output: hdmi, Picture: true, Surface: true}
	k.Set(0, func(o *kmstest.Output) { o.FB = tiled })
	s, sizes := look(t, c, q)
	want := []drm.Part{{File: 0, Pitch: 2560}, {File: 1, Pitch: 64, Offset: 4096}}
	if s.Render != k.Render || s.Picture.Modifier != kmstest.ModifierXTiled || !slices.Equal(s.Picture.Parts, want) ||
		!slices.Equal(sizes, []int64{2560 * 480, 8192}) {
		t.Errorf("got %+v, %+v in files of %d bytes", s, s.Picture, sizes)
	}
	rows := k.Add(t, 640, 480, drm.FormatXRGB8888, 2560)
	k.Set(0, func(o *kmstest.Output) { o.FB = rows })
	k.Fail(drm.IoctlPrimeHandleToFD, syscall.ENOSYS)
	if _, files, err := c.Look(t.Context(), q); !errors.Is(err, kms.ErrUnsupported) {
		descriptors.Close(files)
		t.Errorf("got %v; want %v without a DMA-BUF", err, kms.ErrUnsupported)
	}
	q.Surface = false
	if s, _ := look(t, c, q); s.Picture == nil || k.Calls(drm.IoctlMapDumb) != 1 {
		t.Errorf("got %+v after %d copies; want one", s, k.Calls(drm.IoctlMapDumb))
	}
	if handles, _ := k.Held(); handles != 0 {
		t.Errorf("%d handles are open", handles)
	}
}

// Each failure has one reason, and the next request is answered.
func TestFailuresOfLook(t *testing.T) {
	set := func(f func(*kmstest.Output)) func(*kmstest.Card) { return func(k *kmstest.Card) { k.Set(0, f) } }
	fail := func(request uint32, err error) func(*kmstest.Card) {
		return func(k *kmstest.Card) { k.Fail(request, err) }
	}
	for name, tt := range map[string]struct {
		output string
		fail   func(*kmstest.Card)
		want   error
	}{
		"no such card":      {output: "other@HDMI-A-1", want: kms.ErrAbsent},
		"no such connector": {output: "0000:00:02.0@DP-7", want: kms.ErrAbsent},
		"no name":           {output: "", want: kms.ErrAbsent},
		"a long name":       {output: strings.Repeat("x", 3000), want: kms.ErrAbsent},
		"unplugged":         {fail: set(func(o *kmstest.Output) { o.Unplugged = true }), want: kms.ErrAbsent},
		"no capability":     {fail: (*kmstest.Card).Deny, want: kms.ErrDenied},
		"no permission":     {fail: fail(0, syscall.EACCES), want: kms.ErrDenied},
		"card gone":         {fail: fail(drm.IoctlGetPlane, syscall.ENODEV), want: kms.ErrAbsent},
		"no PRIME, no map": {fail: func(k *kmstest.Card) {
			k.Fail(drm.IoctlPrimeHandleToFD, syscall.ENOSYS)
			k.Fail(drm.IoctlMapDumb, syscall.ENOSYS)
		}, want: kms.ErrUnsupported},
		"old kernel": {fail: fail(drm.IoctlGetFB2, syscall.EINVAL), want: kms.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			k := kmstest.New(t, 64, 48)
			if tt.fail != nil {
				tt.output = hdmi
				tt.fail(k)
			}
			c := dial(t, kmstest.Serve(t, nil, k).Socket)
			_, _, err := c.Look(t.Context(), kms.Query{Output: tt.output, Picture: true})
			if !errors.Is(err, tt.want) || len(err.Error()) > 600 {
				t.Errorf("got %v; want %v", err, tt.want)
			}
			if _, err := c.Outputs(t.Context()); err != nil {
				t.Errorf("the next request: %v", err)
			}
		})
	}
}

// Garbage ends its connection, and no other.
func TestGarbageToTheHelper(t *testing.T) {
	h := kmstest.Serve(t, nil, kmstest.New(t, 64, 48))
	other := dial(t, h.Socket)
	for _, garbage := range []string{"x", "[]", `{"query":7}`, strings.Repeat(" ", 1025), strings.Repeat("{", 1000)} {
		raw, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: h.Socket, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if err := descriptors.Send(raw, []byte(garbage), []int{0, 1, 2}); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1000)
		n, err := raw.Read(b)
		var a struct{ Reason string }
		if err != nil || json.Unmarshal(b[:n], &a) != nil || a.Reason != "malformed" {
			t.Errorf("%.10q: got %q, %v; want an answer", garbage, b[:n], err)
		}
		if _, err := raw.Read(b); err == nil {
			t.Errorf("%.10q: the connection continues", garbage)
		}
		if _, err := other.Outputs(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUserIsRefused(t *testing.T) {
	h := kmstest.Serve(t, func(net.Conn) error { return errors.New("user 7 is not that of the daemon") })
	if _, err := kms.Outputs(t.Context(), h.Socket); !errors.Is(err, kms.ErrDenied) ||
		!strings.Contains(err.Error(), "user 7") {
		t.Errorf("got %v", err)
	}
}

// A helper that is absent, hangs, ends or sends garbage is an error in time.
func TestHelperFails(t *testing.T) {
	if _, err := kms.Outputs(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v; want %v", err, fs.ErrNotExist)
	}
	send := func(s string, fds ...int) func(*net.UnixConn) {
		return func(c *net.UnixConn) { _ = descriptors.Send(c, []byte(s), fds) }
	}
	for name, tt := range map[string]struct {
		answer func(*net.UnixConn)
		want   error
	}{
		"ends":             {func(c *net.UnixConn) { _ = c.Close() }, nil},
		"garbage":          {send("garbage"), kms.ErrProtocol},
		"no output":        {send("{}", 0), kms.ErrProtocol},
		"file is missing":  {send(`{"scanout":{"picture":{"parts":[{"file":0}]}}}`), kms.ErrProtocol},
		"huge number":      {send(`{"scanout":{"hot":{"X":4294967296}}}`), kms.ErrProtocol},
		"too long":         {send(string(make([]byte, 70000))), nil},
		"too many files":   {send("{}", make([]int, 9)...), descriptors.ErrTooMany},
		"silent, ctx ends": {func(*net.UnixConn) {}, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			socket := kmstest.Listen(t, func(ctx context.Context, ln net.Listener) {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				b := make([]byte, 2000)
				if _, err := c.Read(b); err != nil {
					return
				}
				tt.answer(c.(*net.UnixConn))
				_, _ = c.Read(b)
			}, nil)
			c := dial(t, socket)
			limit := 20 * time.Second
			if errors.Is(tt.want, context.DeadlineExceeded) {
				limit = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			before := copies(t)
			_, _, err := c.Look(ctx, kms.Query{Output: hdmi})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v; want %v", err, tt.want)
			}
			if after := copies(t); after > before {
				t.Errorf("%d copies of the passed file are open; want %d", after, before)
			}
		})
	}
}

// lateContext is a context that ends later than its deadline, as on a busy machine.
type lateContext struct {
	context.Context //nolint:containedctx // it is one
	deadline        time.Time
}

func (c lateContext) Deadline() (time.Time, bool) { return c.deadline, true }

// A caller who is told that its context has ended finds it ended. Otherwise it would take the display for lost.
func TestLookReturnsWhenItsContextHasEnded(t *testing.T) {
	c := dial(t, kmstest.Listen(t, func(ctx context.Context, ln net.Listener) {
		if c, err := ln.Accept(); err == nil {
			<-ctx.Done()
			_ = c.Close()
		}
	}, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	_, _, err := c.Look(lateContext{ctx, time.Now()}, kms.Query{Output: hdmi})
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil {
		t.Errorf("got %v while the context has the error %v; want the end of both", err, ctx.Err())
	}
}

// copies returns how many descriptors this process has for the file of descriptor 0.
func copies(t *testing.T) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	zero, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to == zero {
			n++
		}
	}
	return n
}

// A plug and an end are reported.
func TestWatch(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	h := kmstest.Serve(t, nil, k)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lists := make(chan []kms.Output, 10)
	ended := make(chan error, 1)
	go func() { ended <- kms.Watch(ctx, h.Socket, func(l []kms.Output) { lists <- l }) }()
	if l := <-lists; len(l) != 1 {
		t.Errorf("got %+v", l)
	}
	k.AddOutput(kmstest.Output{Type: 10, TypeID: 1, Off: true})
	if l := <-lists; len(l) != 2 {
		t.Errorf("got %+v; want the new one too", l)
	}
	h.Stop()
	if err := <-ended; err == nil {
		t.Error("got no error after the helper's end")
	}
}
