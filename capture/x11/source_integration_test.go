//go:build integration && linux

package x11

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
	"golang.org/x/sync/errgroup"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	ours "wavryhost/platform/xproto"
)

func TestContract(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg   Config
		args  []string
		polls bool
	}{
		"shared memory":   {},
		"without cursor":  {cfg: Config{Demand: withoutCursor}},
		"without MIT-SHM": {args: []string{"-extension", "MIT-SHM"}},
		"without DAMAGE":  {args: []string{"-extension", "DAMAGE"}, polls: true},
	} {
		t.Run(name, func(t *testing.T) {
			srv := xvfb(t, "320x240x24", tt.args...)
			p := paint(t, srv.display)
			cfg := tt.cfg
			cfg.Display = srv.display
			n := 0
			capturetest.Run(t, func(ctx context.Context, d capture.Demand) (capture.Source, error) {
				if cfg.Demand.Cursor != capture.CursorEmbedded {
					d.Cursor = cfg.Demand.Cursor
				}
				cfg := cfg
				cfg.Demand = d
				s, err := New(ctx, cfg, slog.New(slog.NewTextHandler(t.Output(), nil)))
				if err == nil && s.Traits().Damage == tt.polls {
					t.Errorf("got %+v; want damage: %v", s.Traits(), !tt.polls)
				}
				return s, err
			}, capturetest.Options{
				Change: func() {
					n++
					p.fill(uint32(n)*0x10305, 20*(n%10), 10, 33, 17+n%50)
					p.sync()
				},
			})
		})
	}
}

// A slot of three may be any number of frames behind; whatever was drawn between, each frame that nothing is drawn
// after equals the server's picture.
func TestFramesEqualTheServersPicture(t *testing.T) {
	for name, args := range map[string][]string{"shared memory": nil, "without MIT-SHM": {"-extension", "MIT-SHM"}} {
		t.Run(name, func(t *testing.T) {
			const width, height = 640, 480
			srv := xvfb(t, "640x480x24", args...)
			p := paint(t, srv.display)
			s := open(t, Config{Display: srv.display, Demand: withoutCursor})
			var held []*capture.Frame
			// What a consumer has that takes over damaged rectangles only.
			copied := make([]byte, width*height*4)
			take := func(f *capture.Frame) {
				for _, r := range f.Damage {
					for y := r.Min.Y; y < r.Max.Y; y++ {
						at := y*f.Stride + r.Min.X*4
						copy(copied[at:at+r.Dx()*4], f.Pix[at:])
					}
				}
			}
			first := frame(t, s)
			take(first)
			first.Release()
			for round := range 150 {
				for range 1 + p.random(40) {
					p.fill(uint32(p.random(1<<24)), p.random(width), p.random(height), 1+p.random(200), 1+p.random(60))
				}
				p.sync()
				f := frame(t, s)
				take(f)
				if want := p.image(width, height); !sameColours(f.Pix, want) || !sameColours(copied, want) {
					t.Fatalf("round %d: the frame differs from the server's picture; damage %v", round, f.Damage)
				}
				held = append(held, f)
				// Hold none to two frames besides the next one, and release them in any order.
				for len(held) > p.random(3) {
					i := p.random(len(held))
					held[i].Release()
					held = append(held[:i], held[i+1:]...)
				}
			}
			for _, f := range held {
				f.Release()
			}
		})
	}
}

// Xvfb without XFIXES aborts when a client leaves that has used it, so this one runs once and says nothing of leaving.
func TestWithoutXFixesItPolls(t *testing.T) {
	srv := xvfb(t, "320x240x24", "-extension", "XFIXES")
	c := &counter{}
	s, err := New(context.Background(), Config{Display: srv.display}, slog.New(c))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for range 3 {
		f := frame(t, s)
		if len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
			t.Errorf("got damage %v; want all", f.Damage)
		}
		f.Release()
	}
	if n := c.warnings.Load(); n != 2 {
		t.Errorf("got %d warnings; want one of the polling and one of the cursor", n)
	}
}

func TestDegradedTransportIsLoggedOnce(t *testing.T) {
	srv := xvfb(t, "320x240x24", "-extension", "MIT-SHM")
	c := &counter{}
	s, err := New(context.Background(), Config{Display: srv.display}, slog.New(c))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for range 3 {
		s.Refresh()
		frame(t, s).Release()
	}
	if n := c.warnings.Load(); n != 1 {
		t.Errorf("got %d warnings; want 1", n)
	}
}

// A server that stands still answers nothing, and is alive again at once when it continues. A still server
// is alive.
func TestServerThatHangsIsNotAlive(t *testing.T) {
	for _, demand := range []capture.Demand{{}, withoutCursor} {
		srv := xvfb(t, "320x240x24")
		s := open(t, Config{Display: srv.display, Demand: demand})
		frame(t, s).Release()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				if f, err := s.Next(ctx); err == nil {
					f.Release()
				}
			}
		}()
		until := func(what string, ok func() bool) {
			t.Helper()
			for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal(what)
				}
			}
		}
		silent := func() time.Duration { return time.Since(s.Alive()) }
		signal := func(sig os.Signal) {
			t.Helper()
			if err := srv.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
		signal(syscall.SIGSTOP)
		until("a server that hangs counts as alive", func() bool { return silent() > 2*time.Second })
		signal(syscall.SIGCONT)
		until("a server that goes on is not alive", func() bool { return silent() < time.Second })
		cancel()
		<-done
	}
}

// The cursor is where the pointer is, and nowhere else: where it was, the server's picture shows again.
func TestCursorLeavesNoTrail(t *testing.T) {
	const width, height = 400, 300
	srv := xvfb(t, "400x300x24")
	p := paint(t, srv.display)
	for range 60 {
		p.fill(uint32(p.random(1<<24)), p.random(width), p.random(height), 40, 30)
	}
	p.warp(10, 10)
	s := open(t, Config{Display: srv.display})
	p.sync()
	var held []*capture.Frame
	frame(t, s).Release()
	for round := range 30 {
		x, y := p.random(width), p.random(height)
		p.warp(x, y)
		if round%3 == 0 {
			p.fill(uint32(p.random(1<<24)), x-20, y-20, 25, 25)
			p.sync()
		}
		want := p.image(width, height)
		f := await(t, s, frame(t, s), func(f *capture.Frame) error {
			if len(s.cursor.pix) == 0 {
				t.Fatal("the server shows no cursor")
			}
			at := image.Rectangle{Min: image.Pt(x, y).Sub(s.cursor.hot)}
			at.Max = at.Min.Add(image.Pt(s.cursor.width, s.cursor.height))
			drawn := 0
			for i := 0; i < len(want); i += 4 {
				if bytes.Equal(want[i:i+3], f.Pix[i:i+3]) {
					continue
				}
				if pt := image.Pt(i/4%width, i/4/width); !pt.In(at) {
					return fmt.Errorf("round %d: pixel %v differs from the server's picture, and the cursor is at %v", round, pt, at)
				}
				drawn++
			}
			if drawn == 0 && at.Inset(4).In(f.Bounds()) {
				return fmt.Errorf("round %d: the cursor is not drawn at %v", round, at)
			}
			return nil
		})
		held = append(held, f)
		if len(held) > round%3 {
			held[0].Release()
			held = held[1:]
		}
	}
	for _, f := range held {
		f.Release()
	}
}

func TestPointerMotionAloneBringsSmallFrames(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	p := paint(t, srv.display)
	p.warp(50, 50)
	s := open(t, Config{Display: srv.display})
	settle(t, s, frame(t, s), time.Second).Release()
	p.warp(200, 100)
	f := frame(t, s)
	defer f.Release()
	if area(f.Damage) == 0 || area(f.Damage) > 2*64*64 {
		t.Errorf("got damage %v; want the cursor's old and new place", f.Damage)
	}
}

// drawn reports whether anything but one color is within n pixels of a point.
func drawn(f *capture.Frame, x, y, n int) bool {
	at := (y-n)*f.Stride + (x-n)*4
	first := f.Pix[at : at+3]
	for dy := -n; dy < n; dy++ {
		for dx := -n; dx < n; dx++ {
			i := (y+dy)*f.Stride + (x+dx)*4
			if !bytes.Equal(f.Pix[i:i+3], first) {
				return true
			}
		}
	}
	return false
}

// setCursor gives the root window a cursor from a client of its own, which lives until end.
func setCursor(t *testing.T, display string, glyph uint16) (end func()) {
	t.Helper()
	c, err := xgb.NewConnDisplay(display)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	font, err := xproto.NewFontId(c)
	if err != nil {
		t.Fatal(err)
	}
	cursor, err := xproto.NewCursorId(c)
	if err != nil {
		t.Fatal(err)
	}
	xproto.OpenFont(c, font, uint16(len("cursor")), "cursor")
	xproto.CreateGlyphCursor(c, cursor, font, font, glyph, glyph+1, 0, 0, 0, 0xffff, 0xffff, 0xffff)
	root := xproto.Setup(c).DefaultScreen(c).Root
	if err := xproto.ChangeWindowAttributesChecked(
		c, root, xproto.CwCursor, []uint32{uint32(cursor)},
	).Check(); err != nil {
		t.Fatal(err)
	}
	return c.Close
}

// The cursor stays when the client that made it ends, of which the server refuses the image for a while.
func TestCursorOfAClientThatEnded(t *testing.T) {
	srv := xvfb(t, "200x200x24")
	end := setCursor(t, srv.display, 68)
	s := open(t, Config{Display: srv.display})
	f := await(t, s, frame(t, s), func(f *capture.Frame) error {
		if !drawn(f, 100, 100, 12) {
			return errors.New("no cursor is drawn")
		}
		return nil
	})
	end()
	for i := range 8 {
		setCursor(t, srv.display, uint16(2*(20+i)))()
		f = settle(t, s, f, 700*time.Millisecond)
		if !drawn(f, 100, 100, 12) {
			t.Errorf("change %d: no cursor is drawn", i)
		}
	}
	f.Release()
}

func TestStillScreenBringsNoFrames(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	paint(t, srv.display)
	s := open(t, Config{Display: srv.display})
	settle(t, s, frame(t, s), 3*time.Second).Release()
	if !s.cursor.watching {
		t.Error("the pointer is still and not watched for")
	}
}

// The rest of the pixel tests draw rectangles; here real programs draw.
func TestProgramsDrawing(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	p := paint(t, srv.display)
	s := open(t, Config{Display: srv.display, Demand: withoutCursor})
	f := frame(t, s)
	// A newer xterm draws one flood as one frame. It tells where the cursor is when it has taken in all that came
	// before the question; what is printed then is the end.
	drawn := filepath.Join(t.TempDir(), "drawn")
	xterm := exec.CommandContext(
		t.Context(), "xterm", "-display", srv.display, "-geometry", "80x24+0+0", "-e", "bash", "-c",
		`for i in $(seq 100); do seq $i 200; sleep 0.02; done; tput civis; `+
			`IFS= read -rs -d R -p $'\e[6n' && touch "$0" && echo end; exec cat`,
		drawn,
	)
	xterm.Env = append(os.Environ(), "XAUTHORITY=/dev/null")
	if err := xterm.Start(); err != nil {
		t.Fatalf("needs xterm: apt install xterm: %v", err)
	}
	defer func() { _ = xterm.Process.Kill(); _ = xterm.Wait() }()
	frames := 0
	await(t, s, f, func(f *capture.Frame) error {
		frames++
		if _, err := os.Stat(drawn); err != nil {
			return err
		}
		return p.shows(f)
	}).Release()
	if frames < 20 {
		t.Errorf("there were %d frames while xterm drew; want 20", frames)
	}
}

func TestResize(t *testing.T) {
	srv := xvfb(t, "1280x960x24")
	p := paint(t, srv.display)
	s := open(t, Config{Display: srv.display, Demand: withoutCursor})
	old := await(t, s, frame(t, s), p.shows)
	pix := append([]byte(nil), old.Pix...)
	for _, size := range []string{"800x600", "640x480", "1280x960"} {
		var width, height int
		if _, err := fmt.Sscanf(size, "%dx%d", &width, &height); err != nil {
			t.Fatal(err)
		}
		mode := "test-" + size
		xrandr(t, srv, "--newmode", mode, "31.5", fmt.Sprint(width), fmt.Sprint(width+16), fmt.Sprint(width+32),
			fmt.Sprint(width+64), fmt.Sprint(height), fmt.Sprint(height+3), fmt.Sprint(height+6), fmt.Sprint(height+9))
		xrandr(t, srv, "--addmode", "screen", mode)
		xrandr(t, srv, "--output", "screen", "--mode", mode)
		f := frame(t, s)
		if f.Width != width || f.Height != height {
			t.Fatalf("got a %dx%d frame; want %s", f.Width, f.Height, size)
		}
		if len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
			t.Errorf("got damage %v; want all", f.Damage)
		}
		f = await(t, s, f, p.shows)
		p.fill(uint32(p.random(1<<24)), 5, 6, 70, 80)
		p.sync()
		f.Release()
		await(t, s, frame(t, s), p.shows).Release()
	}
	if !bytes.Equal(pix, old.Pix) {
		t.Error("a frame held across the resizes changed")
	}
	old.Release()
	if n := segments(t); n != 1 {
		t.Errorf("the process has %d shared memory segments attached; want 1", n)
	}
}

func xrandr(t *testing.T, srv *server, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "xrandr", append([]string{"-display", srv.display}, args...)...)
	cmd.Env = append(os.Environ(), "XAUTHORITY=/dev/null")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("xrandr %q: %v: %s", args, err, b)
	}
}

func TestServerDies(t *testing.T) {
	for _, blocked := range []bool{true, false} {
		srv := xvfb(t, "320x240x24")
		s := open(t, Config{Display: srv.display, Demand: withoutCursor})
		f := frame(t, s)
		done := make(chan error, 1)
		if !blocked {
			srv.kill()
		}
		go func() {
			_, err := s.Next(context.Background())
			done <- err
		}()
		srv.kill()
		select {
		case err := <-done:
			if !errors.Is(err, capture.ErrLost) || !strings.Contains(err.Error(), srv.display) {
				t.Errorf("got %v; want ErrLost of display %s", err, srv.display)
			}
		case <-time.After(patience):
			t.Fatal("Next did not return after the server's death")
		}
		f.Pix[0]++ // the frame's memory is still there
		f.Release()
		if _, err := s.Next(t.Context()); !errors.Is(err, capture.ErrLost) {
			t.Errorf("got %v; want ErrLost again", err)
		}
		_ = s.Close()
		if _, err := s.Next(t.Context()); !errors.Is(err, capture.ErrClosed) {
			t.Errorf("got %v; want ErrClosed", err)
		}
		if n := segments(t); n != 0 {
			t.Errorf("the process has %d shared memory segments attached; want none", n)
		}
	}
}

func TestAuthority(t *testing.T) {
	const key = "0123456789abcdef"
	dir := t.TempDir()
	write := func(name, key string) string {
		path := filepath.Join(dir, name)
		if err := ours.WriteAuthority(path, []byte(key)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	right, wrong := write("right", key), write("wrong", "fedcba9876543210")
	srv := xvfb(t, "320x240x24", "-auth", right)
	if _, err := Probe(t.Context(), srv.display, []string{right}); err != nil {
		t.Errorf("with the right cookie: %v", err)
	}
	if _, err := Probe(t.Context(), srv.display, []string{filepath.Join(dir, "missing"), wrong, right}); err != nil {
		t.Errorf("with the right cookie in the third file: %v", err)
	}
	for path, want := range map[string]string{
		wrong:                         "with the cookie from " + wrong,
		"":                            "no authority file was given",
		filepath.Join(dir, "missing"): "missing",
	} {
		_, err := Probe(t.Context(), srv.display, []string{path})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), srv.display) {
			t.Errorf("authority %q: got %v; want it to name the display and say %q", path, err, want)
		}
		if _, err := New(
			context.Background(), Config{Display: srv.display, Authority: []string{path}}, slog.New(slog.DiscardHandler),
		); err == nil {
			t.Errorf("authority %q: New opens what Probe may not", path)
		}
	}
}

func TestProbe(t *testing.T) {
	srv := xvfb(t, "800x600x24", "-screen", "1", "320x240x24")
	list, err := Probe(t.Context(), srv.display, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[1].Width != 320 || list[1].Err != nil {
		t.Fatalf("got %+v; want two screens, the second of 320x240", list)
	}
	got := list[0]
	if got.Err != nil || got.Width != 800 || got.Height != 600 || got.Depth != 24 || got.Vendor == "" {
		t.Errorf("got %+v; want 800x600, depth 24, a vendor", got)
	}
	if !got.SharedMemory || !got.Damage || !got.Cursor || !got.Resize {
		t.Errorf("got %+v; want all of Xvfb's extensions", got)
	}
	if len(got.Extensions) < 10 || got.Extensions[0] > got.Extensions[1] {
		t.Errorf("got extensions %q; want a sorted list", got.Extensions)
	}
	if _, err := Probe(t.Context(), srv.display+".7", nil); err == nil || !strings.Contains(err.Error(), "no screen 7") {
		t.Errorf("got %v; want an error about screen 7", err)
	}
	srv = xvfb(t, "320x240x8")
	list, err = Probe(t.Context(), srv.display, nil)
	if err != nil || !errors.Is(list[0].Err, capture.ErrUnsupported) ||
		!strings.Contains(list[0].Err.Error(), "depth 8") ||
		list[0].Width != 320 {
		t.Errorf("got %+v, %v; want ErrUnsupported for depth 8, and the size", list, err)
	}
	if _, err := New(
		t.Context(), Config{Display: srv.display}, slog.New(slog.DiscardHandler),
	); !errors.Is(
		err, capture.ErrUnsupported,
	) {
		t.Errorf("got %v; want ErrUnsupported from New, too", err)
	}
}

// Servers that are thrown away when their last client goes are probed all the same, by several at once.
func TestProbeOfAServerThatResets(t *testing.T) {
	srv := xvfbCommand(t, "Xvfb", "-screen", "0", "320x240x24", "-reset")
	for range 20 {
		var group errgroup.Group
		for range 3 {
			group.Go(func() error {
				list, err := Probe(t.Context(), srv.display, nil)
				if err == nil && (len(list) != 1 || list[0].Width != 320) {
					err = fmt.Errorf("got %+v", list)
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// Each form of pixels that is understood gives the colors that the server shows, whether they come by shared memory or
// not.
func TestFormatsOfPixels(t *testing.T) {
	for _, depth := range []string{"16", "15", "24", "30"} {
		for _, shm := range []bool{true, false} {
			args := []string{}
			if !shm {
				args = append(args, "-extension", "MIT-SHM")
			}
			srv := xvfb(t, "321x200x"+depth, args...)
			s := open(t, Config{Display: srv.display, Demand: withoutCursor})
			c, err := xgb.NewConnDisplay(srv.display)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			screen := xproto.Setup(c).DefaultScreen(c)
			gc, err := xproto.NewGcontextId(c)
			if err != nil {
				t.Fatal(err)
			}
			xproto.CreateGC(c, gc, xproto.Drawable(screen.Root), 0, nil)
			f := frame(t, s)
			for i, col := range [][3]uint16{
				{0xffff, 0, 0},
				{0, 0xffff, 0},
				{0, 0, 0xffff},
				{0xffff, 0xffff, 0xffff},
				{0x8080, 0x4040, 0xc0c0},
			} {
				r, err := xproto.AllocColor(c, screen.DefaultColormap, col[0], col[1], col[2]).Reply()
				if err != nil {
					t.Fatal(err)
				}
				// A narrow one, a wide one, and all of the screen.
				for _, rect := range []xproto.Rectangle{
					{X: 7, Y: int16(10 * i), Width: 13, Height: 9},
					{X: 20, Y: int16(10 * i), Width: 280, Height: 9},
					{Width: 321, Height: 200},
				} {
					xproto.ChangeGC(c, gc, xproto.GcForeground, []uint32{r.Pixel})
					xproto.PolyFillRectangle(c, xproto.Drawable(screen.Root), gc, []xproto.Rectangle{rect})
					at := (int(rect.Y)+int(rect.Height)-1)*f.Stride + 4*(int(rect.X)+int(rect.Width)-1)
					f = await(t, s, f, func(f *capture.Frame) error {
						for j, want := range []uint16{col[2], col[1], col[0]} {
							if got := int(f.Pix[at+j]); got < int(want>>8)-8 || got > int(want>>8)+8 {
								return fmt.Errorf("depth %s, shared memory %v: got %v for color %x", depth, shm, f.Pix[at:at+3], col)
							}
						}
						return nil
					})
				}
			}
			f.Release()
		}
	}
}

// Root can make shared memory that the server of another user attaches.
func TestServerOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("runs as root")
	}
	srv := xvfbCommand(t, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
		"Xvfb", "-screen", "0", "320x240x24")
	c := &counter{}
	s, err := New(context.Background(), Config{Display: srv.display}, slog.New(c))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	frame(t, s).Release()
	if c.warnings.Load() != 0 || s.buffers.shm == nil {
		t.Error("the server could not attach the shared memory")
	}
}

// A server in another IPC namespace, for example in another container, shares memory too.
func TestServerOfAnotherContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("runs as root")
	}
	srv := xvfbCommand(t, "unshare", "--ipc", "Xvfb", "-screen", "0", "320x240x24")
	c := &counter{}
	s, err := New(t.Context(), Config{Display: srv.display}, slog.New(c))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	frame(t, s).Release()
	if c.warnings.Load() != 0 || s.buffers.shm == nil || !s.buffers.shm.file {
		t.Error("the server could not map the shared memory")
	}
}

// System V's shared memory serves where the server takes no files.
func TestSystemVSharedMemory(t *testing.T) {
	srv := xvfb(t, "320x240x24")
	s := open(t, Config{Display: srv.display})
	s.ext.shmFD = false
	seg, err := newSegment(t.Context(), s.conn, s.ext, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	if seg.file || len(seg.mem) < 1<<16 {
		t.Errorf("got a file: %v, %d bytes", seg.file, len(seg.mem))
	}
	seg.detach()
}

// segments counts the shared memory that the process has attached.
func segments(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "/SYSV") + strings.Count(string(b), "wavry-host-capture")
}

func TestOpeningAndClosingLeaksNothing(t *testing.T) {
	srv := xvfb(t, "320x240x24")
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	// Of this process: others on the machine make segments too. Field 5 is the creator's pid.
	created := func() int {
		b, err := os.ReadFile("/proc/sysvipc/shm")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 4 && f[4] == fmt.Sprint(os.Getpid()) {
				n++
			}
		}
		return n
	}
	_ = open(t, Config{Display: srv.display}).Close()
	before := descriptors()
	for i := range 100 {
		s, err := New(context.Background(), Config{Display: srv.display}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		f := frame(t, s)
		if i%2 == 0 {
			f.Release()
			_ = s.Close()
		} else {
			_ = s.Close()
			f.Release()
		}
	}
	if n := descriptors(); n > before {
		t.Errorf("got %d descriptors after %d", n, before)
	}
	if n := segments(t); n != 0 {
		t.Errorf("the process has %d segments attached", n)
	}
	// The server lets go when it notices that the last client is gone: its answer to another says that it has.
	if _, err := Probe(t.Context(), srv.display, nil); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); created() != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d segments of this process are left", created())
		}
		if _, err := Probe(t.Context(), srv.display, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCapturingAllocatesNoPictures(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	s := open(t, Config{Display: srv.display})
	frame(t, s).Release()
	// The frame and its damage; the pixels have their place.
	if n := testing.AllocsPerRun(200, func() {
		s.Refresh()
		f, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
	}); n > 4 {
		t.Errorf("got %v allocations a frame; want 4 at most", n)
	}
}

func TestThousandOpens(t *testing.T) {
	srv := xvfb(t, "320x240x24")
	capturetest.RunOpens(t, capturetest.Opens, func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		s, err := New(ctx, Config{Display: srv.display, Demand: d}, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, err
		}
		return s, nil
	})
}
