//go:build integration && linux

package display

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wavryhost/platform/xproto"
)

// on runs a program on a display.
func on(ctx context.Context, address, authority string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DISPLAY="+address, "XAUTHORITY="+authority)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, errs.Bytes())
	}
	return out, nil
}

// until waits for a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for pause := time.NewTicker(20 * time.Millisecond); !done(); <-pause.C {
		if time.Now().After(deadline) {
			t.Fatalf("in 90 s: not %s", what)
		}
	}
}

// start starts a virtual display that runs until the returned function ends it.
func start(t *testing.T, cfg VirtualConfig) (v *Virtual, end func()) {
	t.Helper()
	v, err := StartVirtual(t.Context(), cfg, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	end = func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v; want its context's error", err)
		}
		v.Close()
		v.Close()
	}
	return v, end
}

// processes returns the processes that have the display in their environment, and the zombies among our children.
func processes(t *testing.T, v *Virtual) (on, zombies []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if slices.Contains(strings.Split(string(environ), "\x00"), "XAUTHORITY="+v.Authority()) {
			on = append(on, pid)
		}
		stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if _, rest, ok := strings.Cut(string(stat), ") "); ok && strings.HasPrefix(rest, fmt.Sprintf("Z %d ", os.Getpid())) {
			zombies = append(zombies, pid)
		}
	}
	return on, zombies
}

// serverOf returns the server's process.
func serverOf(t *testing.T, v *Virtual) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		line, _ := os.ReadFile(path)
		if bytes.HasPrefix(line, []byte("Xvfb\x00")) && bytes.Contains(line, []byte("\x00"+v.Authority()+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid
		}
	}
	t.Fatal("no server runs")
	return 0
}

func TestVirtualIsPrivate(t *testing.T) {
	v, end := start(t, VirtualConfig{Width: 640, Height: 480, DPI: 120})
	defer end()
	out, err := on(t.Context(), v.Address(), v.Authority(), "xdpyinfo")
	if err != nil || !bytes.Contains(out, []byte("640x480")) || !bytes.Contains(out, []byte("120x120")) {
		t.Errorf("a client with the cookie: %v, %s; want it to find 640x480 at 120x120 dpi", err, out)
	}
	if _, err := on(t.Context(), v.Address(), "/dev/null", "xdpyinfo"); err == nil {
		t.Error("a client without the cookie is let in")
	}
	other := filepath.Join(t.TempDir(), "authority")
	if err := xproto.WriteAuthority(other, make([]byte, cookieSize)); err != nil {
		t.Fatal(err)
	}
	if c, err := xproto.Dial(t.Context(), v.Address(), []string{other}); err == nil {
		c.Close()
		t.Error("a client with another cookie is let in")
	}
	for path, want := range map[string]os.FileMode{v.dir: 0o700 | os.ModeDir, v.Authority(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want mode %v", path, info.Mode(), err, want)
		}
	}
}

// Killed, the server comes back under the same number, with the programs on it.
func TestVirtualSurvivesItsServer(t *testing.T) {
	v, end := start(t, VirtualConfig{Width: 640, Height: 480, Programs: [][]string{{"xclock"}, {"no-such-program"}}})
	address := v.Address()
	clock := func() bool {
		out, err := on(t.Context(), address, v.Authority(), "xwininfo", "-root", "-children")
		return err == nil && bytes.Contains(out, []byte("xclock"))
	}
	for range 2 {
		until(t, "a clock on the display", clock)
		pid := serverOf(t, v)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "reaped", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	}
	until(t, "a clock on the display again", clock)

	// A program that is killed comes back too.
	var before []int
	until(t, "the clock alone on the display", func() bool { // one whose server was killed may still be ending
		before, _ = processes(t, v)
		return len(before) == 1
	})
	if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "another clock", func() bool {
		after, _ := processes(t, v)
		return len(after) == 1 && after[0] != before[0]
	})

	end()
	if left, zombies := processes(t, v); len(left)+len(zombies) > 0 {
		t.Errorf("after Close processes %v and zombies %v are left", left, zombies)
	}
	for _, path := range []string{v.dir, fmt.Sprintf("%s/X%d", defaultSocketDir, v.number)} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after Close: %v; want it gone", path, err)
		}
	}
}

// A display whose programs are not installed runs, and says how to fill it.
func TestVirtualWithoutPrograms(t *testing.T) {
	var lines strings.Builder
	logged := make(chan struct{})
	log := slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("is empty")) {
			lines.Write(b)
			close(logged)
		}
		return len(b), nil
	}), nil))
	cfg := VirtualConfig{Width: 64, Height: 48, Programs: [][]string{{"no-such-program"}}}
	v, err := StartVirtual(t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	select {
	case <-logged:
	case <-time.After(time.Minute):
		t.Fatal("no line says that the display is empty")
	}
	if !strings.Contains(lines.String(), "install xterm") || !strings.Contains(lines.String(), v.Address()) {
		t.Errorf("the log says %s", lines.String())
	}
	c, err := xproto.Dial(t.Context(), v.Address(), []string{v.Authority()})
	if err != nil {
		t.Fatal(err)
	}
	if c.Screen.Width != 64 || c.Screen.Height != 48 {
		t.Errorf("the screen is %+v", c.Screen)
	}
	c.Close()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v; want its context's error", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A program that ends well at once was meant to; what it sees of the daemon's environment holds no secret.
func TestProgramsOfVirtual(t *testing.T) {
	t.Setenv("WAVRY_HOST_AUTH__TOKEN", "s3cret")
	out := filepath.Join(t.TempDir(), "environment")
	v, end := start(t, VirtualConfig{Programs: [][]string{{"sh", "-c", "env >>" + out + "; echo end >>" + out}}})
	until(t, "run", func() bool { b, _ := os.ReadFile(out); return bytes.Contains(b, []byte("end\n")) })
	end()
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("s3cret")) || !bytes.Contains(b, []byte("DISPLAY="+v.Address()+"\n")) ||
		bytes.Count(b, []byte("end\n")) != 1 {
		t.Errorf("the program's environment is\n%s", b)
	}
}

const helper = "DISPLAY_TEST_HELPER"

// A daemon that is killed leaves no server behind.
func TestVirtualEndsWithTheDaemon(t *testing.T) {
	if os.Getenv(helper) != "" {
		v, err := StartVirtual(t.Context(), VirtualConfig{Programs: [][]string{}}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(os.Stderr, "pid %d dir %s\n", v.server.ID(), v.dir)
		_ = v.Run(t.Context())
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVirtualEndsWithTheDaemon$")
	cmd.Env = append(os.Environ(), helper+"=1")
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	if _, err := fmt.Fscanf(errs, "pid %d dir %s\n", &pid, &dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, errs)
	_ = cmd.Wait()
	until(t, "the server gone", func() bool { return gone(pid) })
}

// gone reports whether a process has ended. In a container it may stay a zombie, if the first process does not reap it.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

// resize sets the size of a virtual display, as a client of its server.
func resize(t *testing.T, v *Virtual, width, height int) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := xproto.Dial(ctx, v.Address(), []string{v.Authority()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Resize(ctx, c.Screen.Root, image.Pt(width, height), 120)
}

func TestVirtualChangesItsSize(t *testing.T) {
	v, end := start(t, VirtualConfig{Width: 640, Height: 480, DPI: 120})
	defer end()
	for _, size := range []image.Point{{1366, 768}, {3840, 2160}, {301, 1999}, {2000, 300}, {640, 480}, {640, 480}} {
		if err := resize(t, v, size.X, size.Y); err != nil {
			t.Fatalf("%v: %v", size, err)
		}
		out, err := on(t.Context(), v.Address(), v.Authority(), "xdpyinfo")
		// The server knows its size in whole millimeters.
		want := fmt.Sprintf("%dx%d pixels (%.0fx%.0f millimeters)", size.X, size.Y,
			float64(size.X)*25.4/120, float64(size.Y)*25.4/120)
		if err != nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("%v, %s; want %s", err, out, want)
		}
		out, err = on(t.Context(), v.Address(), v.Authority(), "xrandr")
		want = fmt.Sprintf("screen connected %dx%d+0+0 ", size.X, size.Y)
		if err != nil || !bytes.Contains(out, []byte(want)) || bytes.Count(out, []byte("\n")) > 4 {
			t.Errorf("%v, %s; want %q and at most two modes", err, out, want)
		}
	}
	var outside xproto.RangeError
	if err := resize(t, v, 3841, 480); !errors.As(err, &outside) || outside.Max != image.Pt(3840, 2160) {
		t.Errorf("a display that is too wide: %v; want the limits of the server", err)
	}
	if out, err := on(t.Context(), v.Address(), v.Authority(), "xdpyinfo"); err != nil ||
		!bytes.Contains(out, []byte("640x480 pixels")) {
		t.Errorf("%v, %s; want the size of before", err, out)
	}
}
