//go:build integration && linux

package wayland

import (
	"bytes"
	"context"
	"errors"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
)

// sway is a headless sway of a test's own.
type sway struct {
	socket string
	dir    string
	user   *syscall.SysProcAttr
	kill   func()
	tb     testing.TB
}

const nobody = 65534

// startSway runs sway. As root it runs as nobody, because sway refuses root.
func startSway(tb testing.TB) *sway {
	tb.Helper()
	if _, err := exec.LookPath("sway"); err != nil {
		tb.Fatal("needs sway: apt install sway")
	}
	dir, err := os.MkdirTemp("", "sway") //nolint:usetesting // nobody may not enter a test's directory
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &sway{dir: dir, user: &syscall.SysProcAttr{Setpgid: true}, tb: tb}
	config := "output HEADLESS-1 resolution 640x480 position 0 0 bg #102030 solid_color\ndefault_border none\n" +
		"xwayland disable\nfocus_follows_mouse no\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o644); err != nil { //nolint:gosec // for nobody
		tb.Fatal(err)
	}
	if os.Getuid() == 0 {
		s.user.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			tb.Fatal(err)
		}
	}
	cmd := s.command("sway", "-c", filepath.Join(dir, "config"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	s.kill = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	tb.Cleanup(s.kill)
	s.socket = filepath.Join(dir, "wayland-1")
	s.await("the socket of sway", func() bool {
		_, err := Probe(tb.Context(), s.socket)
		return err == nil
	})
	return s
}

func (s *sway) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.user
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_RUNTIME_DIR=" + s.dir, "WLR_BACKENDS=headless",
		"WLR_RENDERER=pixman", "WLR_LIBINPUT_NO_DEVICES=1", "WAYLAND_DISPLAY=wayland-1",
		"SWAYSOCK=" + filepath.Join(s.dir, "ipc"),
	}
	return cmd
}

// msg gives sway a command.
func (s *sway) msg(args ...string) {
	s.tb.Helper()
	if out, err := s.command("swaymsg", args...).CombinedOutput(); err != nil {
		s.tb.Fatalf("swaymsg %v: %v: %s", args, err, out)
	}
}

func (s *sway) await(what string, done func() bool) {
	s.tb.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(limit) {
			s.tb.Fatalf("%s did not come within %v", what, patience)
		}
	}
}

// outputs returns the names and sizes of the outputs.
func (s *sway) outputs() string {
	info, err := Probe(s.tb.Context(), s.socket)
	if err != nil {
		return err.Error()
	}
	var list []string
	for _, o := range info.Outputs {
		w, h := o.Upright()
		list = append(list, o.Name+" "+image.Pt(w, h).String())
	}
	return strings.Join(list, ", ")
}

// colors are backgrounds, so that each change is one.
var colors = []string{"#ff0000", "#00ff00", "#0000ff", "#ffff00", "#00ffff"}

// The contract holds on sway (wlroots).
func TestSwayContract(t *testing.T) {
	s := startSway(t)
	capturetest.Run(t, func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		src, err := New(ctx, Config{Socket: s.socket, Output: "HEADLESS-1", Demand: d}, logger(t))
		if err != nil {
			return nil, err
		}
		return src, nil
	}, capturetest.Options{})
}

// Colors, sizes, rotations, scales and outputs that come are what swaymsg sets. The end of sway ends the source.
func TestSway(t *testing.T) {
	s := startSway(t)
	src, err := New(t.Context(), Config{Socket: s.socket, Output: "HEADLESS-1"}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	// until reads frames until one is as wanted.
	until := func(what string, ok func(f *capture.Frame) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for {
			f, err := src.Next(ctx)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			done := ok(f)
			f.Release()
			if done {
				return
			}
		}
	}
	pixel := func(f *capture.Frame, x, y int) uint32 {
		p := f.Pix[y*f.Stride+4*x:]
		return uint32(p[2])<<16 | uint32(p[1])<<8 | uint32(p[0])
	}
	until("the background", func(f *capture.Frame) bool {
		return f.Bounds().Size() == image.Pt(640, 480) && pixel(f, 639, 479) == 0x102030
	})
	for i, color := range colors {
		s.msg("output", "HEADLESS-1", "bg", color, "solid_color")
		want := []uint32{0xff0000, 0xff00, 0xff, 0xffff00, 0xffff}[i]
		until(color, func(f *capture.Frame) bool { return pixel(f, 1, 1) == want && pixel(f, 600, 400) == want })
	}
	s.msg("output", "HEADLESS-1", "mode", "800x600@60Hz")
	until("800x600", func(f *capture.Frame) bool { return f.Bounds().Size() == image.Pt(800, 600) })
	s.msg("output", "HEADLESS-1", "transform", "90")
	until("turned", func(f *capture.Frame) bool { return f.Bounds().Size() == image.Pt(600, 800) })
	s.msg("output", "HEADLESS-1", "transform", "normal")
	s.msg("output", "HEADLESS-1", "scale", "2")
	until("back", func(f *capture.Frame) bool { return f.Bounds().Size() == image.Pt(800, 600) })
	info, err := Probe(t.Context(), s.socket)
	if err != nil || len(info.Outputs) != 1 || info.Outputs[0].Scale != 2 {
		t.Errorf("got %+v, %v; want one output with scale 2", info, err)
	}
	s.msg("create_output")
	s.await("another output", func() bool { return strings.Contains(s.outputs(), "HEADLESS-2") })
	s.kill()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		f, err := src.Next(ctx)
		if err != nil {
			if !errors.Is(err, capture.ErrLost) {
				t.Errorf("after the end of sway: got %v; want %v", err, capture.ErrLost)
			}
			return
		}
		f.Release()
	}
}
