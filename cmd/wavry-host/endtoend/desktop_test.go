//go:build integration

package endtoend

import (
	"encoding/json"
	"fmt"
	"image"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// screenshots is the folder for pictures that people look at; empty for none.
var screenshots = os.Getenv("WAVRY_SCREENSHOTS")

func TestDesktopInChromium(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.desktop(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id(), "displays.cursor=false"}})
	b := openBrowser(t, "", h.page(""))

	b.waitFrames(t, 1, patience)
	b.waitPicture(t, x)

	t.Run("typed text appears", func(t *testing.T) {
		const columns, rows = 160, 90
		before := x.luma(t, columns, rows)
		x.typeText(t, image.Pt(300, 200), "echo hello wavry 42\n")
		eventually(t, patience, "the terminal shows what was typed", func() error {
			if largest, _ := difference(before, x.luma(t, columns, rows)); largest < 20 {
				return fmt.Errorf("the screen changed by %.1f of 255 only", largest)
			}
			return nil
		})
		b.waitPicture(t, x)
		after, err := b.luma(columns, rows)
		if err != nil {
			t.Fatal(err)
		}
		if largest, _ := difference(before, after); largest < 20 {
			t.Errorf("the picture differs from the one before by %.1f of 255 only", largest)
		}
	})

	t.Run("a moving desktop flows", func(t *testing.T) {
		x.moving(t)
		b.waitFrames(t, 100, patience)
		h.waitSize(t, x, b.size)
		s := h.session(t)
		if s.State != "connected" || s.Quality == "" || s.FramesSent == 0 || s.Codec != "H264" {
			t.Errorf("the API shows %+v", s)
		}
		for _, metric := range []string{
			"wavry_host_frames_total{stage=\"captured\"", "wavry_host_frames_total{stage=\"encoded\"",
			"wavry_host_frames_total{stage=\"sent\"",
			"wavry_host_encode_seconds_count", "wavry_host_capture_to_send_seconds_count",
			"wavry_host_rtt_seconds_count",
		} {
			if v := h.metric(t, metric); v == 0 {
				t.Errorf("metric %s is 0", metric)
			}
		}
		if screenshots != "" {
			var clicked bool
			if err := b.eval(`(document.getElementById("stats-button").click(), true)`, &clicked); err != nil {
				t.Fatal(err)
			}
			b.waitFrames(t, 400, patience) // for curves to look at
			b.screenshot(t, filepath.Join(screenshots, "viewer.png"))
		}
	})

	t.Run("SIGTERM ends the session and the daemon", func(t *testing.T) {
		h.stop(t)
		if h.err != nil {
			t.Errorf("exit status %v; want 0", h.err)
		}
		if out := h.out.String(); !strings.Contains(out, `"session ended"`) || !strings.Contains(out,
			`"reason":"shutdown"`) { // all of it has come, as the daemon was waited for
			t.Error("the log does not tell that the session ended by the shutdown")
		}
	})
}

// aiortc shares no code with pion or Chromium.
func TestDesktopInAiortc(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.desktop(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id(), "displays.cursor=false"}})
	x.moving(t)
	x.waitWindows(t, 3)

	r := startReceiver(t, aiortc, "", h)
	r.waitFrames(t, 90)
	r.waitPicture(t, x)
	h.waitSize(t, x, r.size(t))
	if got := r.leave(t); !got.Rising {
		t.Error("the time stamps of aiortc's pictures do not rise")
	}
	h.waitEmpty(t)
}

func TestXServerRestarts(t *testing.T) {
	t.Parallel()
	// A server that chooses its own number takes the lowest free one, which is this server's number while it is down.
	x := startX(t, 1000+rand.IntN(50_000), 1280, 720)
	x.desktop(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id(), "displays.cursor=false"}})
	b := openBrowser(t, "", h.page(""))
	b.waitPicture(t, x)
	before := h.session(t)

	x.kill()
	eventually(t, patience, "the session is frozen", func() error {
		if s := h.session(t); !s.Frozen {
			return errNotYet
		}
		return nil
	})

	again := startX(t, x.number, 1280, 720)
	again.background(t, "#a03020")
	again.program(t, "xterm", "-geometry", "60x10+500+300")
	again.waitWindows(t, 1)
	b.waitPicture(t, again)
	after := h.session(t)
	if after.ID != before.ID || after.Frozen {
		t.Errorf("session %s became %s, frozen %v; want the same one, live", before.ID, after.ID, after.Frozen)
	}
}

// When an X server stops, its viewers' session becomes frozen within two seconds, with an event, and the display stays
// listed. Other displays continue. One second after the server resumes, all sessions are good again. A still screen is
// not frozen.
func TestXServerThatHangsFreezesThePicture(t *testing.T) {
	t.Parallel()
	x := startX(t, 1000+rand.IntN(50_000), 320, 240)
	y := startX(t, 1000+rand.IntN(50_000), 320, 240)
	h := startHost(t, hostOptions{args: []string{"--display", y.id(), "displays.cursor=false"}})
	b := openBrowser(t, "", h.page("?display="+x.id()))
	b.waitFrames(t, 1, patience)
	if s := h.session(t); s.Frozen {
		t.Error("a still screen counts as frozen")
	}
	shown := func() (state, reason string) {
		t.Helper()
		status, body, err := h.request("GET", "/v1/displays")
		var list struct {
			Displays []struct{ ID, State, Reason string }
		}
		if err == nil {
			err = json.Unmarshal(body, &list)
		}
		if err != nil || status != http.StatusOK {
			t.Fatalf("GET /v1/displays: status %d, %v", status, err)
		}
		for _, d := range list.Displays {
			if d.ID == x.id() {
				return d.State, d.Reason
			}
		}
		return "not listed", ""
	}
	if err := x.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	eventually(t, patience, "the session is frozen", func() error {
		if s := h.session(t); !s.Frozen {
			return errNotYet
		}
		return nil
	})
	t.Logf("frozen %v after the server stopped", time.Since(stopped).Round(10*time.Millisecond))
	h.waitMetric(t, `wavry_host_displays_lost_total{reason="hung"}`, 1)
	h.waitLog(t, `"reason":"hung"`)
	if status, body, err := h.request("GET", "/readyz"); status != http.StatusOK || err != nil {
		t.Errorf("with a display that hangs beside the default: readyz %d %s %v", status, body, err)
	}
	// This is longer than all deadlines of the source.
	for end := time.Now().Add(14 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if state, reason := shown(); state != "lost" || reason == "" {
			t.Fatalf("the display is %s, %q after %v; want lost, and why", state, reason, time.Since(stopped))
		}
	}
	if err := x.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	went := time.Now()
	eventually(t, patience, "the session goes on", func() error {
		if s := h.session(t); s.Frozen {
			return errNotYet
		}
		return nil
	})
	t.Logf("live %v after the server went on", time.Since(went).Round(10*time.Millisecond))
}

// On a machine without a display the daemon provides one, with moving content.
func TestVirtualDisplay(t *testing.T) {
	t.Parallel()
	h := startHost(t, hostOptions{measured: true, args: []string{"--display", "virtual"}, env: []string{"DISPLAY="}})
	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 5, patience)
	children := childrenOf(t, h.Process.Pid)
	if len(children) == 0 {
		t.Error("the daemon has not started the supervisor of the display")
	}
	for _, pid := range children {
		children = append(children, family(t, pid)...)
	}
	h.stop(t)
	for _, pid := range children { // the setting of the tests has the display end with the daemon
		waitGone(t, pid)
	}
}

// waitGone waits until a process has ended. Orphans are this process's to wait for.
func waitGone(t testing.TB, pid int) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("process %d is gone", pid), func() error {
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			return errNotYet
		}
		return nil
	})
}

func childrenOf(t testing.TB, pid int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var children []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread ended
		}
		for field := range strings.FieldsSeq(string(data)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}
