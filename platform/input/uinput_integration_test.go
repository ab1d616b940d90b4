//go:build integration && linux

package input

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/platform/guesttest"
)

func TestMain(m *testing.M) { guesttest.Main(m) }

// TestUInputOfTheKernel reads what the kernel makes of the events, as a compositor does.
func TestUInputOfTheKernel(t *testing.T) {
	if !guesttest.Inside() {
		guesttest.Run(t, guesttest.Machine{})
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	j := New(Config{Display: "kms:card@DP-1", Open: UInput(UInputConfig{Name: "DP-1", American: true})},
		slog.New(slog.NewTextHandler(t.Output(), nil)), NewMetrics(prometheus.NewRegistry()))
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	keyboard, mouse := newEventReader(t, "keyboard"), newEventReader(t, "mouse")
	j.Key(30, true, 'A', 0)
	j.Key(30, false, 0, 0)
	keyboard.expect("1 42 1", "1 30 1", "1 42 0", "1 30 0")
	j.Text("1\n")
	keyboard.expect("1 2 1", "1 2 0", "1 28 1", "1 28 0")
	j.Text(strings.Repeat("aB", 100)) // more than the kernel keeps for a program
	for range 100 {
		keyboard.expect("1 30 1", "1 30 0", "1 42 1", "1 48 1", "1 42 0", "1 48 0")
	}
	j.Move(0.25, 0.75)
	j.Button(1, true)
	j.Button(1, false)
	keyboard.expect("3 0 16384", "3 1 49152", "1 272 1", "1 272 0")
	j.MoveBy(3, -4)
	j.Scroll(0, -1)
	mouse.expect("2 0 3", "2 1 -4")
	keyboard.expect("2 11 -120", "2 8 -1")
	j.Key(29, true, 0, 0)
	keyboard.expect("1 29 1")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	keyboard.expect("1 29 0")
	if list := namesOfInput(t); len(list) != 0 {
		t.Errorf("the devices %v are left", list)
	}
}

// namesOfInput returns the names of our devices, with the paths of their nodes.
func namesOfInput(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("/sys/class/input/event*/device/name")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, path := range paths {
		name, err := os.ReadFile(path)
		if text := strings.TrimSpace(string(name)); err == nil && strings.HasPrefix(text, "wavry-host ") {
			all[text] = filepath.Join("/dev/input", filepath.Base(filepath.Dir(filepath.Dir(path))))
		}
	}
	return all
}

// eventReader reads the events of a device.
type eventReader struct {
	t      *testing.T
	events chan string
}

// newEventReader opens the device of a kind, once it is there.
func newEventReader(t *testing.T, kind string) *eventReader {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var path string
	for limit := time.Now().Add(time.Minute); path == "" && time.Now().Before(limit); <-tick.C {
		path = namesOfInput(t)["wavry-host "+kind+" DP-1"]
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	r := &eventReader{t, make(chan string, 100)}
	go func() {
		defer close(r.events)
		for b := make([]byte, 24); ; {
			if _, err := f.Read(b); err != nil {
				return // the device is gone
			}
			if kind := binary.NativeEndian.Uint16(b[16:]); kind != evSync {
				r.events <- fmt.Sprint(kind, binary.NativeEndian.Uint16(b[18:]), int32(binary.NativeEndian.Uint32(b[20:])))
			}
		}
	}()
	return r
}

// expect reads these events.
func (r *eventReader) expect(want ...string) {
	r.t.Helper()
	for _, w := range want {
		select {
		case got := <-r.events:
			if got != w {
				r.t.Errorf("got %q; want %q", got, w)
			}
		case <-time.After(time.Minute):
			r.t.Fatalf("%q did not come", w)
		}
	}
}
