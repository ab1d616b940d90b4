//go:build integration

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/capture/x11"
	"wavryhost/platform/input"
	ours "wavryhost/platform/xproto"
)

// keyWatch is an X client that receives every key event.
type keyWatch struct {
	c    *xgb.Conn
	keys chan time.Time // when a key went down or came up
}

// watchKeys makes a client whose window has the keyboard focus.
func (x *xserver) watchKeys(b *testing.B) *keyWatch {
	b.Helper()
	c, err := dialX(x.name())
	if err != nil {
		b.Fatal(err)
	}
	screen := xproto.Setup(c).DefaultScreen(c)
	window, err := xproto.NewWindowId(c)
	if err != nil {
		b.Fatal(err)
	}
	if err := xproto.CreateWindowChecked(c, screen.RootDepth, window, screen.Root, 0, 0, 100, 100, 0,
		xproto.WindowClassInputOutput, screen.RootVisual,
		xproto.CwEventMask,
		[]uint32{xproto.EventMaskKeyPress | xproto.EventMaskKeyRelease | xproto.EventMaskExposure}).Check(); err != nil {
		b.Fatal(err)
	}
	w := &keyWatch{c: c, keys: make(chan time.Time, 16)}
	shown, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		first := true
		for {
			event, err := c.WaitForEvent()
			if event == nil && err == nil {
				return
			}
			switch event.(type) {
			case xproto.ExposeEvent:
				if first {
					first = false
					close(shown)
				}
			case xproto.KeyPressEvent, xproto.KeyReleaseEvent:
				w.keys <- time.Now()
			}
		}
	}()
	b.Cleanup(func() { c.Close(); <-done })
	if err := xproto.MapWindowChecked(c, window).Check(); err != nil {
		b.Fatal(err)
	}
	<-shown
	if err := xproto.SetInputFocusChecked(c, xproto.InputFocusNone, window,
		xproto.TimeCurrentTime).Check(); err != nil {
		b.Fatal(err)
	}
	return w
}

// measure presses and releases a key fifty times a second, and reports how long each event takes to arrive.
func (w *keyWatch) measure(b *testing.B, press func(down bool)) {
	b.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var took []time.Duration
	down := false
	for b.Loop() {
		for range 500 {
			<-ticker.C
			down = !down
			start := time.Now()
			press(down)
			select {
			case at := <-w.keys:
				took = append(took, at.Sub(start))
			case <-time.After(5 * time.Second):
				b.Fatal("a key is not seen")
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1e6, "p50-µs")
	b.ReportMetric(took[len(took)*95/100].Seconds()*1e6, "p95-µs")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e6, "p99-µs")
}

// BenchmarkInjector measures from the data channel reader's call to the key event at an X client.
func BenchmarkInjector(b *testing.B) {
	x := startX(b, 0, 1280, 720)
	w := x.watchKeys(b)
	j, end := x.injector(b)
	defer end()
	w.measure(b, func(down bool) { j.Key(30, down, 0, 0) })
}

// injector runs an Injector for the X server's first screen, until end.
func (x *xserver) injector(tb testing.TB) (_ *input.Injector, end func()) {
	tb.Helper()
	return x.injectorOf(tb, 0)
}

func (x *xserver) injectorOf(tb testing.TB, screen int) (_ *input.Injector, end func()) {
	tb.Helper()
	return x.injectorAt(tb, screen, "")
}

// injectorAt is injectorOf for a monitor of the screen.
func (x *xserver) injectorAt(tb testing.TB, screen int, monitor string) (_ *input.Injector, end func()) {
	tb.Helper()
	j := input.New(input.Config{Display: x.id(), Open: input.XTEST(func(ctx context.Context) (*ours.Conn, error) {
		return ours.Dial(ctx, fmt.Sprintf("%s.%d", x.name(), screen), nil)
	}, monitor, 10*time.Second)}, slog.New(slog.DiscardHandler), input.NewMetrics(prometheus.NewRegistry()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	return j, func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	}
}

// An X server that stops delays no other session, and has no key down after it resumes.
func TestInputOfAServerThatHangs(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	j, end := x.injector(t)
	defer end()
	j.Key(17, true, 0, 0)
	x.waitHeld(t, "W is down", 25)
	if err := x.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for i := range 10_000 {
		j.Move(float64(i%100)/100, .5)
		j.Key(30, i%2 == 0, 0, 0)
	}
	if took := time.Since(start); took >= 2*time.Second { // when the injector gives it up
		t.Errorf("20000 calls took %v while the server stood still", took)
	}
	eventually(t, patience, "the injector gives the server up", func() error {
		if j.Err() == nil {
			return errNotYet
		}
		return nil
	})
	if err := x.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the server has input again", func() error { return j.Err() })
	x.waitHeld(t, "no key is down")
	j.Move(.25, .75)
	x.waitPointer(t, 320, 540)
}

func TestInputOfAServerWithoutXTEST(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480, "-extension", "XTEST")
	j, end := x.injector(t)
	defer end()
	j.Key(30, true, 0, 0)
	eventually(t, patience, "the injector says what is missing", func() error {
		err := j.Err()
		if err == nil {
			return errNotYet
		}
		if !strings.Contains(err.Error(), "XTEST") {
			t.Fatalf("it says %v", err)
		}
		return nil
	})
}

// BenchmarkInput measures from a peer's Send, through DTLS and SCTP on loopback and the daemon, to the key event at an
// X client: with a still screen, and with a screen that is captured and encoded all the time.
func BenchmarkInput(b *testing.B) {
	for _, busy := range []bool{false, true} {
		name := "still"
		if busy {
			name = "moving"
		}
		b.Run(name, func(b *testing.B) {
			x := startX(b, 0, 1280, 720)
			x.background(b, "#204060")
			w := x.watchKeys(b)
			if busy {
				x.moving(b)
				x.waitWindows(b, 2)
			}
			h := startHost(b, hostOptions{args: []string{"--display", x.id()}})
			channel := h.dialInput(b)
			w.measure(b, func(down bool) {
				message := []byte{0x22, 0x04, 0x08, 30, 0x10, 0}
				if down {
					message[5] = 1
				}
				if err := channel.Send(message); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// dialInput connects a viewer that opens an input channel.
func (h *host) dialInput(b *testing.B) *webrtc.DataChannel {
	b.Helper()
	var channel *webrtc.DataChannel
	open := make(chan struct{})
	a := joinWith(b, h, func(pc *webrtc.PeerConnection) {
		var err error
		if channel, err = pc.CreateDataChannel("input", nil); err != nil {
			b.Fatal(err)
		}
		channel.OnOpen(func() { close(open) })
	})
	<-open
	b.Cleanup(func() { a.leave(b, h) })
	return channel
}

// Input arrives at the screen that its viewer sees, wherever the pointer was, and the cursor is drawn there.
func TestInputOfTwoScreens(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480, "-screen", "1", "800x600x24")
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	roots := xproto.Setup(c).Roots
	var injectors []*input.Injector
	for i := range roots {
		j, end := x.injectorOf(t, i)
		defer end()
		injectors = append(injectors, j)
	}
	if len(roots) != 2 {
		t.Fatalf("the server has %d screens; want 2", len(roots))
	}
	src, err := x11.New(t.Context(), x11.Config{Display: x.name() + ".1"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for _, on := range []int{1, 0, 1} {
		eventually(t, patience, fmt.Sprintf("the pointer is on screen %d", on), func() error {
			injectors[on].Move(.5, .5)
			p, err := xproto.QueryPointer(c, roots[on].Root).Reply()
			if err != nil {
				return err
			}
			w, h := int16(roots[on].WidthInPixels/2), int16(roots[on].HeightInPixels/2)
			if !p.SameScreen || p.RootX != w || p.RootY != h {
				return fmt.Errorf("same screen: %v, at %d,%d", p.SameScreen, p.RootX, p.RootY)
			}
			return nil
		})
	}
	f, err := src.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	drawn := false
	for y := 290; y < 310; y++ { // the root is black, and the cursor has a white edge
		for _, v := range f.Pix[y*f.Stride+4*390 : y*f.Stride+4*410] {
			drawn = drawn || v > 100
		}
	}
	if !drawn {
		t.Error("no cursor is drawn on the second screen")
	}
}

func (x *xserver) xrandr(tb testing.TB, args ...string) {
	tb.Helper()
	p := x.program(tb, "xrandr", args...)
	<-p.done
	if p.err != nil {
		tb.Fatalf("xrandr %q: %v", args, p.err)
	}
}

// Positions are on the monitor that the viewer sees, also after monitors are arranged in another way.
func TestInputOfAMonitor(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	arrange := func(right string) {
		t.Helper()
		x.xrandr(t, "--setmonitor", "right", right, "none")
	}
	x.xrandr(t, "--setmonitor", "left", "640/200x720/200+0+0", "screen")
	arrange("640/200x720/200+640+0")
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	root := xproto.Setup(c).DefaultScreen(c).Root
	j, end := x.injectorAt(t, 0, "right")
	defer end()
	points := func(fx, fy float64, wantX, wantY int16) {
		t.Helper()
		eventually(t, patience, fmt.Sprintf("the pointer is at %d,%d", wantX, wantY), func() error {
			j.Move(fx, fy)
			p, err := xproto.QueryPointer(c, root).Reply()
			if err == nil && (p.RootX != wantX || p.RootY != wantY) {
				err = fmt.Errorf("it is at %d,%d", p.RootX, p.RootY)
			}
			return err
		})
	}
	points(.5, .5, 960, 360)
	points(0, 0, 640, 0)
	points(1, 1, 1279, 719)
	j.Key(17, true, 0, 0)
	x.waitHeld(t, "W is down", 25)
	x.xrandr(t, "--delmonitor", "right")
	eventually(t, patience, "input says that the monitor is gone", func() error {
		j.Move(.1, .1)
		if err := j.Err(); err == nil {
			return errors.New("it says nothing")
		}
		return nil
	})
	x.waitHeld(t, "W was released")
	arrange("320/100x200/100+900+500")
	points(.5, .5, 1060, 600)
}
