//go:build integration && linux

package input

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/platform/screencast/screencasttest"
)

// What is typed reaches a program of GNOME: keys by their places, letters and texts by what they are. The end of the
// compositor is reported, and input works again with the next one.
func TestGNOMETypes(t *testing.T) {
	g := screencasttest.Start(t, "640x360")
	file := g.Path("typed")
	typed := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	terminal := func() {
		_ = os.Remove(file)
		g.Run("foot", "--fullscreen", "sh", "-c",
			fmt.Sprintf("stty raw -echo; touch %[1]s; exec dd of=%[1]s bs=1 2>/dev/null", file))
		g.Await("the terminal", func() bool { return g.Exists("typed") })
	}
	terminal()
	j := injectGNOME(t, g.Bus)
	strike := func(code uint32, letter rune) {
		j.Key(code, true, letter, 0)
		j.Key(code, false, letter, 0)
	}
	j.Move(0.5, 0.5)
	j.Button(1, true)
	j.Button(1, false)
	// The window may get the keyboard a moment after it is there.
	g.Await("the first key", func() bool {
		strike(45, 0) // x
		return len(typed()) > 0
	})
	strike(28, 0) // Return
	g.Await("Return", func() bool { return typed()[len(typed())-1] == '\r' })
	before := len(typed())
	j.Key(42, true, 0, 0) // Shift
	strike(30, 0)         // A
	strike(48, 'B')
	j.Key(42, false, 0, 0)
	strike(30, 'q') // the viewer's layout is another
	strike(8, 0)    // 7
	j.Text("Hello, World! {x_y} ~/@#$%\tz")
	const want = "ABq7Hello, World! {x_y} ~/@#$%\tz"
	g.Await("what was typed", func() bool { return len(typed()) >= before+len(want) })
	if got := typed()[before:]; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
	g.Kill()
	g.Await("the loss", func() bool { return j.Err() != nil })
	g.StartMutter()
	terminal()
	g.Await("input again", func() bool {
		strike(45, 0)
		return len(typed()) > 0
	})
}

// injectGNOME runs an Injector for GNOME's monitor until the test ends.
func injectGNOME(t *testing.T, bus string) *Injector {
	t.Helper()
	j := New(Config{Display: "test", Open: GNOME(bus, screencasttest.Monitor)},
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
