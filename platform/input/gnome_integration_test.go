//go:build integration && linux

package input

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/platform/screencast"
	"wavryhost/platform/screencast/screencasttest"
)

// What is typed reaches a program of GNOME: keys by their places, letters and texts by what they are. The end of the
// compositor is reported, and input works again with the next one.
func TestGNOMETypes(t *testing.T) {
	g := screencasttest.Start(t, "640x360")
	r := newTerminal(g)
	j := injectGNOME(t, g.Bus)
	r.check(t, j)
	g.Kill()
	g.Await("the loss", func() bool { return j.Err() != nil })
	g.StartMutter()
	r.start()
	r.await(j, "input again")
}

// The same reaches it by the portal, while the screen is captured. The end of the session is reported, and input works
// again with the next one.
func TestPortalTypes(t *testing.T) {
	g := screencasttest.Start(t, "640x360")
	desk := screencasttest.StartPortal(t, g.Bus, g)
	p, capture := capturedPortal(t, g)
	r := newTerminal(g)
	j := inject(t, Portal(p))
	r.check(t, j)
	desk.CloseSessions()
	g.Await("the loss", func() bool { return j.Err() != nil })
	capture()
	r.start()
	r.await(j, "input again")
}

// capturedPortal returns a client of GNOME's portal whose screen is captured, and the function that captures it again.
func capturedPortal(t *testing.T, g *screencasttest.GNOME) (p *screencast.Portal, capture func()) {
	t.Helper()
	p = screencast.NewPortal(screencast.PortalConfig{Bus: g.Bus}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(p.Close)
	capture = func() {
		t.Helper()
		if _, err := p.Open(t.Context(), screencast.CursorEmbedded); err != nil {
			t.Fatal(err)
		}
	}
	capture()
	return p, capture
}

// typedInto is a terminal whose program writes what it reads into a file.
type typedInto struct {
	g    *screencasttest.GNOME
	file string
}

func newTerminal(g *screencasttest.GNOME) typedInto {
	r := typedInto{g: g, file: g.Path("typed")}
	r.start()
	return r
}

func (r typedInto) start() {
	_ = os.Remove(r.file)
	r.g.Run("foot", "--fullscreen", "sh", "-c",
		fmt.Sprintf("stty raw -echo; touch %[1]s; exec dd of=%[1]s bs=1 2>/dev/null", r.file))
	r.g.Await("the terminal", func() bool { return r.g.Exists("typed") })
}

func (r typedInto) typed() string {
	b, err := os.ReadFile(r.file)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func strike(j *Injector, code uint32, letter rune) {
	j.Key(code, true, letter, 0)
	j.Key(code, false, letter, 0)
}

// await strikes a key until it arrives: the window may get the keyboard a moment after it is there.
func (r typedInto) await(j *Injector, what string) {
	r.g.Await(what, func() bool {
		strike(j, 45, 0) // x
		return len(r.typed()) > 0
	})
}

// check types, and compares.
func (r typedInto) check(t *testing.T, j *Injector) {
	t.Helper()
	j.Move(0.5, 0.5)
	j.Button(1, true)
	j.Button(1, false)
	r.await(j, "the first key")
	strike(j, 28, 0) // Return
	r.g.Await("Return", func() bool { return r.typed()[len(r.typed())-1] == '\r' })
	before := len(r.typed())
	j.Key(42, true, 0, 0) // Shift
	strike(j, 30, 0)      // A
	strike(j, 48, 'B')
	j.Key(42, false, 0, 0)
	strike(j, 30, 'q') // the viewer's layout is another
	strike(j, 8, 0)    // 7
	j.Text("Hello, World! {x_y} ~/@#$%\tz")
	const want = "ABq7Hello, World! {x_y} ~/@#$%\tz"
	r.g.Await("what was typed", func() bool { return len(r.typed()) >= before+len(want) })
	if got := r.typed()[before:]; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}

// injectGNOME runs an Injector for GNOME's monitor until the test ends.
func injectGNOME(t *testing.T, bus string) *Injector {
	t.Helper()
	return inject(t, GNOME(bus, screencasttest.Monitor))
}

// inject runs an Injector until the test ends.
func inject(t *testing.T, open func(ctx context.Context) (Device, error)) *Injector {
	t.Helper()
	j := New(Config{Display: "test", Open: open},
		slog.New(slog.NewTextHandler(t.Output(), nil)), NewMetrics(prometheus.NewRegistry()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return j
}
