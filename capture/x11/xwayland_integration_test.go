//go:build integration && linux

package x11

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/capture"
)

// Xwayland whose windows are the compositor's is refused by New and by Probe; one in a window of its own is captured.
func TestXwayland(t *testing.T) {
	for _, program := range []string{"weston", "Xwayland"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: apt install weston xwayland", program)
		}
	}
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	weston := exec.CommandContext(
		context.Background(), "weston", "--backend=headless-backend.so", "--width=640", "--height=480", "--socket=wayland-7",
		"--use-pixman", "--idle-time=0",
	)
	var out bytes.Buffer
	weston.Stdout, weston.Stderr = &out, &out
	if err := weston.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = weston.Process.Kill()
		_ = weston.Wait()
	})
	t.Setenv("WAYLAND_DISPLAY", "wayland-7")
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "wayland-7")); err == nil {
			break
		}
		if time.Now().After(end) {
			_ = weston.Process.Kill()
			_ = weston.Wait()
			t.Fatalf("weston does not start: %s", out.String())
		}
	}
	srv := xvfbCommand(t, "Xwayland", "-rootless")
	if list, err := Probe(t.Context(), srv.display, nil); err != nil || !errors.Is(list[0].Err, capture.ErrUnsupported) ||
		!strings.Contains(list[0].Err.Error(), "Xwayland") {
		t.Errorf("rootless: got %+v, %v; want that it is Xwayland", list, err)
	}
	if _, err := New(
		t.Context(), Config{Display: srv.display}, slog.New(slog.DiscardHandler),
	); !errors.Is(
		err, errXwayland,
	) {
		t.Errorf("rootless: New gives %v; want errXwayland", err)
	}
	srv = xvfbCommand(t, "Xwayland")
	if list, err := Probe(t.Context(), srv.display, nil); err != nil || list[0].Err != nil || list[0].Width == 0 {
		t.Errorf("in a window: got %+v, %v; want that it can be captured", list, err)
	}
	s := open(t, Config{Display: srv.display})
	frame(t, s).Release()
}
