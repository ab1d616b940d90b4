//go:build integration && linux

package screenshot

import (
	"bufio"
	"errors"
	"image"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"wavryhost/capture"
)

// startX starts an X server, which this process's environment names from then on.
func startX(t *testing.T) *exec.Cmd {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.CommandContext(
		t.Context(), "Xvfb", "-displayfd", "3", "-screen", "0", "320x200x24", "-nolisten", "tcp", "-noreset",
	)
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DISPLAY", ":"+strings.TrimSpace(number))
	t.Setenv("XAUTHORITY", os.DevNull)
	t.Setenv("XDG_SESSION_TYPE", "x11")
	return cmd
}

func TestRealDisplay(t *testing.T) {
	server := startX(t)
	if got := Displays(); len(got) != 1 || got[0] != (Display{Bounds: image.Rect(0, 0, 320, 200)}) {
		t.Errorf("displays are %+v; want one of 320x200", got)
	}
	if _, err := New(Config{Index: 1}); !errors.Is(err, capture.ErrUnsupported) {
		t.Errorf("the second display: %v; want ErrUnsupported", err)
	}
	s, err := New(Config{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, want := range []struct {
		colour string
		pixel  [3]byte // blue, green, red
	}{{"#102030", [3]byte{0x30, 0x20, 0x10}}, {"#ff8000", [3]byte{0x00, 0x80, 0xff}}} {
		if out, err := exec.CommandContext(t.Context(), "xsetroot", "-solid", want.colour).CombinedOutput(); err != nil {
			t.Fatalf("xsetroot: %v: %s", err, out)
		}
		f, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Width != 320 || f.Height != 200 || [3]byte(f.Pix[100*f.Stride+100*4:]) != want.pixel {
			t.Errorf(
				"%s: the frame is %dx%d with pixel %v; want 320x200 with %v", want.colour, f.Width, f.Height, f.Pix[:3], want.pixel,
			)
		}
		f.Release()
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	for err = error(nil); err == nil; {
		var f *capture.Frame
		if f, err = s.Next(t.Context()); err == nil {
			f.Release()
		}
	}
	if !errors.Is(err, capture.ErrLost) {
		t.Errorf("without its server: %v; want ErrLost", err)
	}
	if got := Displays(); len(got) != 0 {
		t.Errorf("displays are %+v; want none", got)
	}
}
