//go:build integration

package endtoend

import (
	"context"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
	"github.com/jezek/xgb/xtest"

	"wavryhost/capture/synthetic"
)

// xserver is the test's own Xvfb.
type xserver struct {
	*process
	number        int
	width, height int
}

func (x *xserver) name() string { return fmt.Sprintf(":%d", x.number) }

// id is the display's id in the daemon.
func (x *xserver) id() string { return fmt.Sprintf("x11:%d", x.number) }

// startX starts an X server of the given size; with number 0 it chooses a number. extra has further arguments.
func startX(t testing.TB, number, width, height int, extra ...string) *xserver {
	t.Helper()
	need(t, "Xvfb", "xterm", "xsetroot", "xeyes")
	args := []string{"-screen", "0", fmt.Sprintf("%dx%dx24", width, height), "-nolisten", "tcp", "-noreset"}
	args = append(args, extra...)
	x := &xserver{number: number, width: width, height: height}
	if number != 0 {
		t.Cleanup(func() { // it is killed, and leaves these
			_ = os.Remove(fmt.Sprintf("/tmp/.X%d-lock", number))
			_ = os.Remove(fmt.Sprintf("/tmp/.X11-unix/X%d", number))
		})
		x.process = start(t, exec.Command("Xvfb", append([]string{x.name()}, args...)...))
	} else {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd := exec.Command("Xvfb", append(args, "-displayfd", "3")...)
		cmd.ExtraFiles = []*os.File{w}
		x.process = start(t, cmd)
		w.Close()
		_ = r.SetReadDeadline(time.Now().Add(patience))
		if _, err := fmt.Fscanln(r, &x.number); err != nil {
			t.Fatalf("Xvfb does not say its display number: %v", err)
		}
	}
	eventually(t, patience, "connect to "+x.name(), func() error {
		c, err := dialX(x.name())
		if err == nil {
			c.Close()
		}
		return err
	})
	return x
}

func dialX(name string) (*xgb.Conn, error) {
	xgb.Logger.SetOutput(io.Discard)
	return xgb.NewConnDisplay(name)
}

// program starts an X client.
func (x *xserver) program(t testing.TB, name string, args ...string) *process {
	t.Helper()
	need(t, name)
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+x.name())
	return start(t, cmd)
}

// desktop fills the screen with still, real programs: a colored root and a terminal with a prompt.
func (x *xserver) desktop(t testing.TB) {
	t.Helper()
	x.background(t, "#204060")
	x.program(t, "xterm", "-geometry", "80x24+60+60", "-bg", "#fdf6e3", "-fg", "#073642", "-cr", "#073642",
		"+bc", "-fa", "DejaVu Sans Mono",
		"-fs", "12", "-e", "sh", "-c", "PS1='$ ' exec sh -i")
	x.program(t, "xterm", "-geometry", "40x8+800+480", "-bg", "black", "-fg", "green", "-e", "sh", "-c",
		"echo this window is still; exec cat")
	x.waitWindows(t, 2)
}

func (x *xserver) background(t testing.TB, colour string) {
	t.Helper()
	p := x.program(t, "xsetroot", "-solid", colour)
	<-p.done
	if p.err != nil {
		t.Fatalf("xsetroot: %v", p.err)
	}
}

// moving adds a terminal that always scrolls text.
func (x *xserver) moving(t testing.TB) *process {
	t.Helper()
	return x.program(t, "xterm", "-geometry", "100x40+300+40", "-bg", "white", "-fg", "black", "-j", "-e", "sh", "-c",
		"i=0; while :; do i=$((i+1)); echo $i the quick brown fox jumps over the lazy dog $((i*7919)) "+
			"$((i*104729)); sleep 0.02; done")
}

// noisy adds a terminal full of random letters, which an encoder cannot predict.
func (x *xserver) noisy(t testing.TB) *process {
	t.Helper()
	return x.program(t, "xterm", "-geometry", "150x50+20+20", "-bg", "white", "-fg", "black", "-j", "-e", "sh", "-c",
		"while :; do head -c 1500 /dev/urandom | base64 -w 150; sleep 0.03; done")
}

// paint shows the pictures of a synthetic display on the screen until the returned function is called. Each picture
// appears at once.
func (x *xserver) paint(t testing.TB, cfg synthetic.Config) (stop func()) {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	screen := xproto.Setup(c).DefaultScreen(c)
	pixmap, err := xproto.NewPixmapId(c)
	if err != nil {
		t.Fatal(err)
	}
	gc, err := xproto.NewGcontextId(c)
	if err != nil {
		t.Fatal(err)
	}
	drawable, window := xproto.Drawable(pixmap), xproto.Drawable(screen.Root)
	w, h := cfg.Width, cfg.Height
	xproto.CreatePixmap(c, screen.RootDepth, pixmap, window, uint16(w), uint16(h))
	xproto.CreateGC(c, gc, window, xproto.GcGraphicsExposures, []uint32{0}) // else each CopyArea sends an event
	src, err := synthetic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			rows := 200_000 / (4 * w) // a request of X takes 256 KiB at most
			for {
				f, err := src.Next(ctx)
				if err != nil {
					return nil //nolint:nilerr // it was stopped
				}
				for y := 0; y < h; y += rows {
					n := min(rows, h-y)
					xproto.PutImage(c, xproto.ImageFormatZPixmap, drawable, gc, uint16(w), uint16(n), 0,
						int16(y), 0, screen.RootDepth, f.Pix[y*f.Stride:(y+n)*f.Stride])
				}
				f.Release()
				if err := xproto.CopyAreaChecked(c, drawable, window, gc, 0, 0, 0, 0, uint16(w),
					uint16(h)).Check(); err != nil {
					return err
				}
			}
		}()
	}()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("paint: %v", err)
		}
		_ = src.Close()
		c.Close()
	})
}

// waitWindows waits until at least n mapped windows cover something.
func (x *xserver) waitWindows(t testing.TB, n int) {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, patience, fmt.Sprintf("%d windows on %s", n, x.name()), func() error {
		shown, err := mapped(c)
		if err == nil && len(shown) < n {
			err = fmt.Errorf("%d are mapped", len(shown))
		}
		return err
	})
}

// mapped returns the windows of the screen that are mapped.
func mapped(c *xgb.Conn) (shown []xproto.Window, err error) {
	tree, err := xproto.QueryTree(c, xproto.Setup(c).DefaultScreen(c).Root).Reply()
	if err != nil {
		return nil, err
	}
	for _, w := range tree.Children {
		if a, err := xproto.GetWindowAttributes(c, w).Reply(); err == nil && a.MapState == xproto.MapStateViewable {
			shown = append(shown, w)
		}
	}
	return shown, nil
}

// luma returns the screen's brightness as the server has it, averaged into cells.
func (x *xserver) luma(t testing.TB, columns, rows int) []float64 {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	root := xproto.Setup(c).DefaultScreen(c).Root
	img, err := xproto.GetImage(c, xproto.ImageFormatZPixmap, xproto.Drawable(root), 0, 0, uint16(x.width),
		uint16(x.height), ^uint32(0)).Reply()
	if err != nil {
		t.Fatal(err)
	}
	return lumaOfCells(img.Data, x.width, x.height, columns, rows)
}

// lumaOfCells returns the mean luma of each cell of a picture, whose pixels have blue, green, red and a fourth byte.
func lumaOfCells(pix []byte, width, height, columns, rows int) []float64 {
	sums, counts := make([]float64, columns*rows), make([]float64, columns*rows)
	for y := range height {
		for x := range width {
			p := pix[(y*width+x)*4:]
			cell := y*rows/height*columns + x*columns/width
			sums[cell] += 0.299*float64(p[2]) + 0.587*float64(p[1]) + 0.114*float64(p[0])
			counts[cell]++
		}
	}
	for i := range sums {
		sums[i] /= counts[i]
	}
	return sums
}

// typeText presses the keys for text (lower case letters, digits, blanks and newlines) by XTEST, with the pointer put
// on at.
func (x *xserver) typeText(t testing.TB, at image.Point, text string) {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := xtest.Init(c); err != nil {
		t.Fatal(err)
	}
	setup := xproto.Setup(c)
	root := setup.DefaultScreen(c).Root
	if err := xproto.WarpPointerChecked(c, 0, root, 0, 0, 0, 0, int16(at.X), int16(at.Y)).Check(); err != nil {
		t.Fatal(err)
	}
	keymap, err := xproto.GetKeyboardMapping(c, setup.MinKeycode, byte(setup.MaxKeycode-setup.MinKeycode+1)).Reply()
	if err != nil {
		t.Fatal(err)
	}
	keycode := map[xproto.Keysym]byte{}
	for i := 0; i < len(keymap.Keysyms); i += int(keymap.KeysymsPerKeycode) {
		keycode[keymap.Keysyms[i]] = byte(setup.MinKeycode) + byte(i/int(keymap.KeysymsPerKeycode))
	}
	const keysymReturn = 0xff0d
	for _, r := range text {
		symbol := xproto.Keysym(r)
		if r == '\n' {
			symbol = keysymReturn
		}
		code, ok := keycode[symbol]
		if !ok {
			t.Fatalf("no key for %q", r)
		}
		for _, event := range []byte{xproto.KeyPress, xproto.KeyRelease} {
			if err := xtest.FakeInputChecked(c, event, code, 0, root, 0, 0, 0).Check(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
