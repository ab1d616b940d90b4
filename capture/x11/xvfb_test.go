//go:build integration && linux

package x11

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wavryhost/capture"
	ours "wavryhost/platform/xproto"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
)

// patience is how long anything may take.
const patience = 90 * time.Second

// withoutCursor leaves the cursor out of the picture.
var withoutCursor = capture.Demand{Cursor: capture.CursorHidden}

// server is an X server of a test's own.
type server struct {
	display string
	cmd     *exec.Cmd
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func xvfb(tb testing.TB, screen string, args ...string) *server {
	tb.Helper()
	path, err := exec.LookPath("Xvfb")
	if err != nil {
		tb.Fatal("needs Xvfb: apt install xvfb")
	}
	return xvfbCommand(tb, path, append([]string{"-screen", "0", screen}, args...)...)
}

func xvfbCommand(tb testing.TB, name string, args ...string) *server {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	args = append(args, "-displayfd", "3", "-nolisten", "tcp")
	if !slices.Contains(args, "-reset") {
		args = append(args, "-noreset")
	}
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.ExtraFiles = []*os.File{w}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	_ = w.Close()
	s := &server{cmd: cmd}
	tb.Cleanup(s.kill)
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	number, err := io.ReadAll(r)
	if err != nil || len(number) == 0 {
		s.kill()
		tb.Fatalf("start %v: %v: %s", args, err, stderr.String())
	}
	s.display = ":" + strings.TrimSpace(string(number))
	return s
}

// painter draws on a display by a client library that shares nothing with the code under test.
type painter struct {
	t    testing.TB
	c    *xgb.Conn
	root xproto.Window
	gc   xproto.Gcontext
	pix  xproto.Drawable // what is drawn on: a window over the whole screen
	seed uint32
}

func paint(tb testing.TB, display string) *painter {
	tb.Helper()
	tb.Setenv("XAUTHORITY", emptyAuthority(tb))
	c, err := xgb.NewConnDisplay(display)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	screen := xproto.Setup(c).DefaultScreen(c)
	p := &painter{t: tb, c: c, root: screen.Root, seed: 1}
	win, err := xproto.NewWindowId(c)
	if err != nil {
		tb.Fatal(err)
	}
	xproto.CreateWindow(c, screen.RootDepth, win, screen.Root, 0, 0, 4096, 4096, 0, xproto.WindowClassInputOutput,
		screen.RootVisual, xproto.CwBackPixel|xproto.CwOverrideRedirect, []uint32{0x204060, 1})
	xproto.MapWindow(c, win)
	p.pix = xproto.Drawable(win)
	if p.gc, err = xproto.NewGcontextId(c); err != nil {
		tb.Fatal(err)
	}
	xproto.CreateGC(c, p.gc, p.pix, 0, nil)
	p.sync()
	return p
}

// emptyAuthority keeps xgb from complaining to stderr that there is no authority file.
func emptyAuthority(tb testing.TB) string {
	tb.Helper()
	// One entry with an empty cookie for no display: xgb needs a readable file.
	path := filepath.Join(tb.TempDir(), "authority")
	if err := ours.WriteAuthority(path, make([]byte, 16)); err != nil {
		tb.Fatal(err)
	}
	return path
}

func (p *painter) sync() {
	p.t.Helper()
	if _, err := xproto.GetInputFocus(p.c).Reply(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *painter) random(n int) int {
	p.seed = p.seed*1664525 + 1013904223
	return int(p.seed>>8) % n
}

func (p *painter) fill(colour uint32, x, y, w, h int) {
	xproto.ChangeGC(p.c, p.gc, xproto.GcForeground, []uint32{colour})
	xproto.PolyFillRectangle(
		p.c, p.pix, p.gc, []xproto.Rectangle{{X: int16(x), Y: int16(y), Width: uint16(w), Height: uint16(h)}},
	)
}

func (p *painter) warp(x, y int) {
	p.t.Helper()
	xproto.WarpPointer(p.c, 0, p.root, 0, 0, 0, 0, int16(x), int16(y))
	p.sync()
}

// image is the server's picture, without the cursor.
func (p *painter) image(w, h int) []byte {
	p.t.Helper()
	b, err := xproto.GetImage(
		p.c, xproto.ImageFormatZPixmap, xproto.Drawable(p.root), 0, 0, uint16(w), uint16(h), 0xffffffff,
	).Reply()
	if err != nil {
		p.t.Fatal(err)
	}
	return b.Data
}

func open(tb testing.TB, cfg Config) *Source {
	tb.Helper()
	s, err := New(context.Background(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func frame(tb testing.TB, s *Source) *capture.Frame {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := s.Next(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// settle takes frames until none comes for a while, and returns the last.
func settle(tb testing.TB, s *Source, last *capture.Frame, quiet time.Duration) *capture.Frame {
	tb.Helper()
	for end := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), quiet)
		f, err := s.Next(ctx)
		cancel()
		switch {
		case err == nil && time.Now().After(end):
			tb.Fatalf("frames come all the time; want none for %v", quiet)
		case err == nil:
			last.Release()
			last = f
		case errors.Is(err, context.DeadlineExceeded):
			return last
		default:
			tb.Fatal(err)
		}
	}
}

// await takes frames until one is as it should be, and returns that one.
func await(tb testing.TB, s *Source, last *capture.Frame, check func(*capture.Frame) error) *capture.Frame {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		wrong := check(last)
		if wrong == nil {
			return last
		}
		f, err := s.Next(ctx)
		if err != nil {
			tb.Fatalf("%v, and no other frame: %v", wrong, err)
		}
		last.Release()
		last = f
	}
}

// shows reports whether a frame is the server's picture.
func (p *painter) shows(f *capture.Frame) error {
	if !sameColours(f.Pix, p.image(f.Width, f.Height)) {
		return errors.New("the frame differs from the server's picture")
	}
	return nil
}

// sameColours compares but for the fourth byte.
func sameColours(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i += 4 {
		if a[i] != b[i] || a[i+1] != b[i+1] || a[i+2] != b[i+2] {
			return false
		}
	}
	return true
}

// counter is a slog.Handler that counts warnings.
type counter struct {
	slog.Handler
	warnings atomic.Int32
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func (c *counter) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		c.warnings.Add(1)
	}
	return nil
}

func (c *counter) WithAttrs([]slog.Attr) slog.Handler { return c }
