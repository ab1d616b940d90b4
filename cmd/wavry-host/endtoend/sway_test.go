//go:build integration

package endtoend

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// compositor is the test's own headless sway, with one output.
type compositor struct {
	*process
	dir string // XDG_RUNTIME_DIR
}

const nobody = 65534

// startSway starts sway with an output of 1280x720. As root it runs as nobody, because sway refuses root.
func startSway(t testing.TB) *compositor {
	t.Helper()
	need(t, "sway", "swaymsg", "foot", "wev", "setpriv")
	dir, err := os.MkdirTemp("", "sway-") // nobody may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := "output HEADLESS-1 resolution 1280x720 position 0 0 bg #204060 solid_color\ndefault_border none\n" +
		"xwayland disable\n"
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	s := &compositor{dir: dir}
	s.run(t)
	return s
}

// run starts sway, again after its end.
func (s *compositor) run(t testing.TB) {
	t.Helper()
	_ = os.Remove(filepath.Join(s.dir, "ipc")) // sway takes another path if one is left there
	s.process = s.program(t, "sway", "-c", filepath.Join(s.dir, "config"))
	eventually(t, patience, "sway answers", func() error {
		return s.command("swaymsg", "-t", "get_version").Run()
	})
}

func (s *compositor) command(name string, args ...string) *exec.Cmd {
	if os.Getuid() == 0 {
		id := strconv.Itoa(nobody)
		name, args = "setpriv", append([]string{"--reuid", id, "--regid", id, "--clear-groups", name}, args...)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_RUNTIME_DIR=" + s.dir, "WLR_BACKENDS=headless",
		"WLR_RENDERER=pixman", "WLR_LIBINPUT_NO_DEVICES=1", "WAYLAND_DISPLAY=wayland-1", "LC_ALL=C.UTF-8",
		"SWAYSOCK=" + filepath.Join(s.dir, "ipc"),
	}
	return cmd
}

// program starts a program in the session.
func (s *compositor) program(t testing.TB, name string, args ...string) *process {
	t.Helper()
	return start(t, s.command(name, args...))
}

// msg gives sway a command.
func (s *compositor) msg(t testing.TB, args ...string) {
	t.Helper()
	if out, err := s.command("swaymsg", args...).CombinedOutput(); err != nil {
		t.Fatalf("swaymsg %v: %v: %s", args, err, out)
	}
}

// transcript starts a terminal whose program writes all typed text into a file.
func (s *compositor) transcript(t testing.TB) (file string) {
	t.Helper()
	file = filepath.Join(s.dir, "typed")
	_ = os.Remove(file)
	s.program(t, "foot", "sh", "-c", fmt.Sprintf("stty raw -echo; touch %[1]s; exec dd of=%[1]s bs=1 2>/dev/null", file))
	eventually(t, patience, "the terminal reads", func() error {
		if _, err := os.Stat(file); err != nil {
			return err
		}
		return s.command("swaymsg", "[app_id=foot]", "focus").Run() // fails before its window is there
	})
	return file
}

// waitColor waits until the page shows a picture of a size whose pixels at the corners and in the middle have a color.
func (b *browser) waitColor(t testing.TB, color string, width, height int) {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(color, "#"), 16, 24)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, fmt.Sprintf("%s at %dx%d", color, width, height), func() error {
		var got struct {
			Width, Height int
			Pixels        [][]float64
		}
		if err := b.eval(`(() => {
			const v = document.querySelector("video"), c = document.createElement("canvas");
			const w = c.width = v.videoWidth, h = c.height = v.videoHeight;
			if (!w) return {};
			const g = c.getContext("2d");
			g.drawImage(v, 0, 0);
			const at = (x, y) => Array.from(g.getImageData(x, y, 1, 1).data);
			return {Width: w, Height: h, Pixels: [at(2, 2), at(w - 3, 2), at(2, h - 3), at(w - 3, h - 3), at(w >> 1, h >> 1)]};
		})()`, &got); err != nil {
			return err
		}
		if got.Width != width || got.Height != height {
			return fmt.Errorf("the picture is %dx%d", got.Width, got.Height)
		}
		for _, p := range got.Pixels {
			for i, shift := range []uint{16, 8, 0} {
				if math.Abs(p[i]-float64(n>>shift&0xff)) > 8 {
					return fmt.Errorf("pixels are %v", got.Pixels)
				}
			}
		}
		return nil
	})
}

// displays returns the states of the host's displays by their IDs, with their sizes.
func (h *host) displays(t testing.TB) map[string]string {
	t.Helper()
	_, body, err := h.request("GET", "/v1/displays")
	var list struct {
		Displays []struct {
			ID, State     string
			Width, Height int
			Input         bool
		}
	}
	if err = errors.Join(err, json.Unmarshal(body, &list)); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, d := range list.Displays {
		all[d.ID] = fmt.Sprintf("%s %dx%d, input %v", d.State, d.Width, d.Height, d.Input)
	}
	return all
}

// A Wayland session is watched and controlled: first picture, changes, modes, rotations, scales, another output, the
// end of the compositor and its return, and letters in a terminal.
func TestSwayInChromium(t *testing.T) {
	t.Parallel()
	s := startSway(t)
	h := startHost(t, hostOptions{
		args: []string{"--display", "wayland:wayland-1@HEADLESS-1", "displays.cursor=false"},
		env:  []string{"XDG_RUNTIME_DIR=" + s.dir, "DISPLAY=", "WAYLAND_DISPLAY=wayland-1"},
	})
	b := openBrowser(t, "", h.page(""))
	b.waitColor(t, "#204060", 1280, 720)
	before := h.session(t)

	s.msg(t, "output", "HEADLESS-1", "bg", "#a03020", "solid_color")
	b.waitColor(t, "#a03020", 1280, 720)
	s.msg(t, "output", "HEADLESS-1", "mode", "800x600@60Hz")
	b.waitColor(t, "#a03020", 800, 600)
	s.msg(t, "output", "HEADLESS-1", "transform", "90")
	b.waitColor(t, "#a03020", 600, 800)
	s.msg(t, "output", "HEADLESS-1", "scale", "2")
	s.msg(t, "output", "HEADLESS-1", "bg", "#30a050", "solid_color")
	b.waitColor(t, "#30a050", 600, 800)
	s.msg(t, "output", "HEADLESS-1", "transform", "normal")
	s.msg(t, "output", "HEADLESS-1", "scale", "1")
	s.msg(t, "output", "HEADLESS-1", "mode", "1280x720@60Hz")
	b.waitColor(t, "#30a050", 1280, 720)
	s.msg(t, "create_output")
	eventually(t, patience, "another output is listed", func() error {
		all := h.displays(t)
		first, second := all["wayland:wayland-1@HEADLESS-1"], all["wayland:wayland-1@HEADLESS-2"]
		if second == "" || !strings.HasSuffix(first, "input true") {
			return fmt.Errorf("got %v", all)
		}
		return nil
	})

	file := s.transcript(t)
	s.control(t, b)
	letters := s.typing(t, b, file)
	if now := h.session(t); now.ID != before.ID || now.Frozen {
		t.Errorf("session %s became %s, frozen %v", before.ID, now.ID, now.Frozen)
	}

	s.kill()
	eventually(t, patience, "the session is frozen", func() error {
		if s := h.session(t); !s.Frozen {
			return errNotYet
		}
		return nil
	})
	s.run(t)
	b.waitColor(t, "#204060", 1280, 720)
	if now := h.session(t); now.ID != before.ID || now.Frozen {
		t.Errorf("after the return of sway: session %s became %s, frozen %v", before.ID, now.ID, now.Frozen)
	}
	file = s.transcript(t)
	s.control(t, b)
	pause(t)
	if again := s.typing(t, b, file); again != letters {
		t.Errorf("typed %q; before it was %q", again, letters)
	}
}

// control takes control with a click in the middle.
func (s *compositor) control(t testing.TB, b *browser) {
	t.Helper()
	eventually(t, patience, "the page may control", func() error {
		var ready bool
		if err := b.eval(`window.wavry.control.ready && window.wavry.state === "live"`, &ready); err != nil || !ready {
			return errors.Join(err, errNotYet)
		}
		return nil
	})
	px, py := b.spot(t, 640, 360)
	b.mouse(t, chromedp.MouseMoved, px, py, 0)
	for range 2 { // the first one takes control
		b.mouse(t, chromedp.MousePressed, px, py, 1)
		b.mouse(t, chromedp.MouseReleased, px, py, 0)
	}
}

// pause waits for a while. What was lost with a former sway may be the middle of a text, so the host drops input until
// there is a pause.
func pause(t testing.TB) {
	t.Helper()
	began := time.Now()
	eventually(t, patience, "a pause", func() error {
		if time.Since(began) < 1500*time.Millisecond {
			return errNotYet
		}
		return nil
	})
}

// typing types in several ways, and returns the letters that arrived.
func (s *compositor) typing(t testing.TB, b *browser, file string) string {
	t.Helper()
	b.letter(t, "KeyQ", "a", 0) // a French keyboard
	b.letter(t, "Digit2", "é", 0)
	b.key(t, "ShiftLeft", true, shift)
	b.letter(t, "KeyQ", "A", shift)
	b.letter(t, "Digit2", "2", shift)
	b.key(t, "ShiftLeft", false, 0)
	b.key(t, "ControlLeft", true, ctrl)
	b.letter(t, "KeyC", "c", ctrl)
	b.key(t, "ControlLeft", false, 0)
	b.event(t, "KeyA", "A", map[string]any{"modifierCapsLock": true})
	b.event(t, "Digit2", "é", map[string]any{"modifierCapsLock": true})
	b.event(t, "Numpad7", "7", map[string]any{"modifierNumLock": true})
	b.event(t, "KeyA", "a", nil)
	var done bool
	if err := b.eval(`(window.wavry.control.type("Привет, 日本 👍 «ça va»\n"), true)`, &done); err != nil {
		t.Fatal(err)
	}
	const want = "aéA2\x03Aé7aПривет, 日本 👍 «ça va»\r"
	typed(t, file, []byte(want))
	return want
}

// Positions, buttons and the wheel arrive where they are meant, on scaled and turned outputs.
func TestPointerOnSway(t *testing.T) {
	t.Parallel()
	s := startSway(t)
	h := startHost(t, hostOptions{
		args: []string{"--display", "wayland:wayland-1@HEADLESS-1"},
		env:  []string{"XDG_RUNTIME_DIR=" + s.dir, "DISPLAY=", "WAYLAND_DISPLAY=wayland-1"},
	})
	watch := s.program(t, "stdbuf", "-oL", "wev")
	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 1, patience)
	s.control(t, b)
	last := regexp.MustCompile(`motion: [^\n]*x, y: ([0-9.]+), ([0-9.]+)`)
	at := func(what string, x, y, wantX, wantY int) {
		t.Helper()
		px, py := b.spot(t, x, y)
		eventually(t, patience, what, func() error {
			b.mouse(t, chromedp.MouseMoved, px+1, py, 0) // a move to the same place would be none
			b.mouse(t, chromedp.MouseMoved, px, py, 0)
			all := last.FindAllStringSubmatch(watch.out.String(), -1)
			if len(all) == 0 {
				return errNotYet
			}
			gotX, _ := strconv.ParseFloat(all[len(all)-1][1], 64)
			gotY, _ := strconv.ParseFloat(all[len(all)-1][2], 64)
			if math.Abs(gotX-float64(wantX)) > 2 || math.Abs(gotY-float64(wantY)) > 2 {
				return fmt.Errorf("it is at %v,%v; want %d,%d", gotX, gotY, wantX, wantY)
			}
			return nil
		})
	}
	at("upright", 1000, 100, 1000, 100)
	s.msg(t, "output", "HEADLESS-1", "scale", "2")
	at("scaled", 1000, 100, 500, 50)
	s.msg(t, "output", "HEADLESS-1", "transform", "90")
	b.waitSize(t, 720, 1280)
	at("turned and scaled", 600, 1000, 300, 500)
	s.msg(t, "create_output") // the desktop has another output beside
	at("beside another output", 100, 900, 50, 450)

	px, py := b.spot(t, 100, 900)
	b.mouse(t, chromedp.MousePressed, px, py, 1)
	b.mouse(t, chromedp.MouseReleased, px, py, 0)
	var taken bool
	if err := b.eval(`!document.querySelector("video").dispatchEvent(
		new WheelEvent("wheel", {deltaY: 200, cancelable: true}))`, &taken); err != nil || !taken {
		t.Fatalf("the wheel is left to the browser: %v", err)
	}
	eventually(t, patience, "button and wheel", func() error {
		out := watch.out.String()
		for _, want := range []string{
			"button: 272 (left), state: 1 (pressed)", "button: 272 (left), state: 0 (released)",
			"axis: 0 (vertical), value: 25.0", // 200/120 of 15
		} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("no %q in %s", want, tail(out, 2000))
			}
		}
		return nil
	})
}

func (b *browser) waitSize(t testing.TB, width, height int) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%dx%d", width, height), func() error {
		var got [2]int
		if err := b.eval(`(() => { const v = document.querySelector("video"); return [v.videoWidth, v.videoHeight]; })()`,
			&got); err != nil {
			return err
		}
		if got != [2]int{width, height} {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}
