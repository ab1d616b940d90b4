//go:build integration && linux

package x11

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/xproto"
)

// xorg starts Xorg with the dummy driver, which has 16 outputs.
func xorg(t *testing.T) *server {
	t.Helper()
	path, err := exec.LookPath("Xorg")
	if err != nil {
		t.Fatal("needs Xorg and its dummy driver: apt install xserver-xorg-core xserver-xorg-video-dummy")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: Xorg opens the console")
	}
	srv := xvfbCommand(t, path, "-config", filepath.Join(must(os.Getwd()), "testdata/xorg-dummy.conf"),
		"-logfile", filepath.Join(t.TempDir(), "log"), "-novtswitch", "-sharevts", "vt7")
	for _, output := range []string{"DUMMY0", "DUMMY1"} {
		for _, mode := range []string{"1280x720", "1024x768"} {
			xrandr(t, srv, "--addmode", output, mode)
		}
	}
	xrandr(t, srv, "--output", "DUMMY0", "--mode", "1280x720", "--pos", "0x0", "--primary",
		"--output", "DUMMY1", "--mode", "1024x768", "--pos", "1280x300")
	return srv
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// part is the server's picture of an area.
func (p *painter) part(area image.Rectangle, width, height int) []byte {
	whole := p.image(width, height)
	var b []byte
	for y := area.Min.Y; y < area.Max.Y; y++ {
		b = append(b, whole[(y*width+area.Min.X)*4:(y*width+area.Max.X)*4]...)
	}
	return b
}

func TestMonitorsOfXorg(t *testing.T) {
	srv := xorg(t)
	p := paint(t, srv.display)
	list, err := Probe(t.Context(), srv.display, nil)
	if err != nil {
		t.Fatal(err)
	}
	left, right := image.Rect(0, 0, 1280, 720), image.Rect(1280, 300, 2304, 1068)
	want := []xproto.Monitor{
		{Name: "DUMMY0", Area: left, Primary: true},
		{Name: "DUMMY1", Area: right},
	}
	if got := list[0].Monitors; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %+v; want %+v", got, want)
	}
	s := open(t, Config{Display: srv.display, Monitor: "DUMMY1", Demand: withoutCursor})
	shows := func(area image.Rectangle) func(*capture.Frame) error {
		return func(f *capture.Frame) error {
			if f.Width != area.Dx() || f.Height != area.Dy() {
				return fmt.Errorf("got a picture of %dx%d; want %v", f.Width, f.Height, area.Size())
			}
			width, height := must2(ownConn(t, srv).Geometry(t.Context(), ownConn(t, srv).Screen.Root))
			if !sameColours(f.Pix, p.part(area, width, height)) {
				return errors.New("the picture is not the monitor's part of the screen")
			}
			return nil
		}
	}
	p.fill(0x806040, 1300, 400, 300, 200)
	p.sync()
	f := await(t, s, frame(t, s), shows(right))

	// A change of the other monitor brings no frame, one of both brings its part here.
	f = settle(t, s, f, 300*time.Millisecond)
	p.fill(0x123456, 100, 100, 50, 50)
	p.sync()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	if f, err := s.Next(ctx); err == nil {
		t.Errorf("a change of another monitor brings a frame with damage %v", f.Damage)
		f.Release()
	}
	cancel()
	p.fill(0x654321, 1200, 310, 100, 20)
	p.sync()
	f.Release()
	f = frame(t, s)
	if want := image.Rect(0, 10, 20, 30); len(f.Damage) != 1 || f.Damage[0] != want {
		t.Errorf("got damage %v; want %v", f.Damage, want)
	}

	// It is moved, gets another mode, is unplugged, and comes back: each in the same or a new source.
	xrandr(t, srv, "--output", "DUMMY1", "--pos", "1280x0")
	f = await(t, s, f, shows(image.Rect(1280, 0, 2304, 768)))
	xrandr(t, srv, "--output", "DUMMY1", "--mode", "1280x720")
	f = await(t, s, f, shows(image.Rect(1280, 0, 2560, 720)))
	f.Release()
	xrandr(t, srv, "--output", "DUMMY1", "--off")
	for err = nil; err == nil; {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if f, err = s.Next(ctx); err == nil {
			f.Release()
		}
		cancel()
	}
	if !errors.Is(err, capture.ErrLost) {
		t.Errorf("got %v of an unplugged monitor; want that it is lost", err)
	}
	if _, err := New(t.Context(), s.cfg, s.log); !errors.Is(err, capture.ErrNotFound) {
		t.Errorf("got %v of an unplugged monitor; want that there is none", err)
	}
	xrandr(t, srv, "--output", "DUMMY1", "--mode", "1024x768", "--pos", "1280x300")
	s = open(t, s.cfg)
	await(t, s, frame(t, s), shows(right)).Release()
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

// ownConn opens a connection of the test's own.
func ownConn(t *testing.T, srv *server) *xproto.Conn {
	t.Helper()
	c, err := xproto.Dial(t.Context(), srv.display, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The cursor is drawn where it is on the monitor, also when it points at the neighbor.
func TestCursorOnAMonitor(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	paint(t, srv.display)
	xrandr(t, srv, "--setmonitor", "left half", "320/100x480/100+0+0", "screen")
	xrandr(t, srv, "--setmonitor", "right", "320/100x480/100+320+0", "none")
	p := paint(t, srv.display)
	p.warp(330, 100)
	s := open(t, Config{Display: srv.display, Monitor: "right"})
	f := await(t, s, frame(t, s), func(*capture.Frame) error {
		if s.cursor.at != image.Pt(10, 100) || s.cursor.shown.Empty() {
			return fmt.Errorf("the cursor is at %v, drawn in %v; want it at 10,100", s.cursor.at, s.cursor.shown)
		}
		return nil
	})
	f.Release()
	open(t, Config{Display: srv.display, Monitor: "left-half"})
}

// A monitor that is turned has an upright picture. Xephyr turns its screen, unlike the other servers of the tests.
func TestTurnedMonitor(t *testing.T) {
	path, err := exec.LookPath("Xephyr")
	if err != nil {
		t.Fatal("needs Xephyr: apt install xserver-xephyr")
	}
	outer := xvfb(t, "800x800x24")
	t.Setenv("DISPLAY", outer.display)
	srv := xvfbCommand(t, path, "-screen", "640x480")
	p := paint(t, srv.display)
	s := open(t, Config{Display: srv.display, Demand: withoutCursor})
	f := await(t, s, frame(t, s), p.shows)
	xrandr(t, srv, "-o", "left")
	f = await(t, s, f, func(f *capture.Frame) error {
		if f.Width != 480 || f.Height != 640 {
			return fmt.Errorf("got %dx%d; want 480x640", f.Width, f.Height)
		}
		return p.shows(f)
	})
	f.Release()
	list, err := Probe(t.Context(), srv.display, nil)
	if err != nil || len(list[0].Monitors) != 1 || list[0].Monitors[0].Rotation != 90 {
		t.Errorf("got %+v, %v; want a monitor turned by 90°", list, err)
	}
}

func TestWatchReportsHotplug(t *testing.T) {
	srv := xorg(t)
	reports := make(chan []xproto.Monitor, 16)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Watch(ctx, srv.display, nil, func(list []Info) { reports <- list[0].Monitors })
	}()
	want := func(n int, what string) {
		t.Helper()
		limit := time.After(patience)
		for {
			select {
			case list := <-reports:
				if len(list) == n {
					return
				}
			case <-limit:
				t.Fatalf("%s: no report of %d monitors", what, n)
			}
		}
	}
	want(2, "at first")
	xrandr(t, srv, "--output", "DUMMY1", "--off")
	want(1, "unplugged")
	xrandr(t, srv, "--output", "DUMMY1", "--mode", "1024x768", "--right-of", "DUMMY0")
	want(2, "plugged in")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the error of the context", err)
	}
	go func() {
		ended <- Watch(t.Context(), srv.display, nil, func(list []Info) { reports <- list[0].Monitors })
	}()
	want(2, "again")
	srv.kill()
	if err := <-ended; err == nil {
		t.Error("the watch of a server that was killed ends without an error")
	}
}
