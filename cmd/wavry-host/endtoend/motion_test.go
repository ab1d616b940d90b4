//go:build integration

package endtoend

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jezek/xgb/xproto"
	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/platform/input"
	"wavryhost/platform/wlproto/wlprototest"
)

// injector runs an Injector for sway's first output, until the test ends.
func (s *compositor) injector(t *testing.T) *input.Injector {
	t.Helper()
	j := input.New(
		input.Config{Display: "test", Open: input.Wayland(filepath.Join(s.dir, "wayland-1"), "HEADLESS-1")},
		slog.New(slog.NewTextHandler(t.Output(), nil)), input.NewMetrics(prometheus.NewRegistry()),
	)
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

// A program of sway gets the motion in full, and fine scrolling as it was given. The pointer stays on the output.
func TestMotionOnSway(t *testing.T) {
	t.Parallel()
	s := startSway(t)
	watch := s.program(t, "stdbuf", "-oL", "wev")
	j := s.injector(t)
	// within acts, and waits until the pointer is at y, and at x or less than a width to the right of it.
	within := func(what string, act func(), x, width, y float64) (got float64) {
		t.Helper()
		act()
		eventually(t, patience, what, func() error {
			all := wlprototest.ReadWev(watch.out.String()).Motions
			if len(all) == 0 {
				return errNotYet
			}
			last := all[len(all)-1]
			got = last[0]
			if got < x-.02 || got > x+width+.02 || math.Abs(last[1]-y) > .02 {
				return fmt.Errorf("the pointer is at %v; want %v,%v", last, x, y)
			}
			return nil
		})
		return got
	}
	at := func(what string, act func(), x, y float64) {
		t.Helper()
		within(what, act, x, 0, y)
	}
	// The window may be there a moment after its program. Two positions at a time might become one.
	place := .25
	eventually(t, patience, "the window gets positions", func() error {
		place = .75 - place
		j.Move(place, place)
		if len(wlprototest.ReadWev(watch.out.String()).Motions) == 0 {
			return errNotYet
		}
		return nil
	})
	at("a position", func() { j.Move(.5, .25) }, 640, 180)
	at("a motion", func() { j.MoveBy(25, -13) }, 665, 167)
	at("parts of a pixel", func() {
		for range 300 {
			j.MoveBy(-.3, .1)
		}
	}, 575, 197)
	s.msg(t, "create_output")
	// The edge is in the last pixel: at its left side in sway 1.7, at its right side in 1.10.
	edge := within("motion over the edge", func() { j.MoveBy(5000, 0) }, 1279, 1, 197)
	at("motion back", func() { j.MoveBy(-100, 0) }, edge-100, 197)

	// scrolled waits until the wheel has turned by units on an axis, and whole notches.
	scrolled := func(what string, from int, axis, units, notches float64, source string) {
		t.Helper()
		eventually(t, patience, what, func() error {
			return wlprototest.ReadWev(watch.out.String()[from:]).Scrolled(axis, units, notches, source)
		})
	}
	from := len(watch.out.String())
	for range 30 {
		j.Scroll(0, -1./30)
	}
	j.Scroll(0, -1./4)
	scrolled("slow scrolling down", from, 0, 15*1.25, 0, "(continuous)")
	from = len(watch.out.String())
	j.Scroll(.125, 0)
	scrolled("an eighth of a notch to the right", from, 1, 15./8, 0, "(continuous)")
	from = len(watch.out.String())
	j.Scroll(0, 2)
	scrolled("two notches of a wheel up", from, 0, -30, -2, "(wheel)")
}

// captured waits until the page has captured the mouse, or has released it.
func (b *browser) captured(t testing.TB, want bool) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("the mouse is captured: %v", want), func() error {
		var got struct {
			Captured bool
			Refused  string
		}
		if err := b.eval(`(() => {
			const c = window.wavry.control;
			return {Captured: c.captured, Refused: c.refused};
		})()`, &got); err != nil {
			return err
		}
		if got.Captured != want {
			return fmt.Errorf("it is %+v", got)
		}
		return nil
	})
}

// mouseAt is a position of the mouse in the page.
type mouseAt struct{ X, Y float64 }

// capture clicks on the page's button until the mouse is captured. Chromium refuses that for a second after Escape, and
// after many attempts.
func (b *browser) capture(t testing.TB) (at mouseAt) {
	t.Helper()
	var clicked time.Time
	eventually(t, patience, "the page captures the mouse", func() error {
		var now struct {
			Captured bool
			Refused  string
			X, Y     float64 // of the button
		}
		if err := b.eval(`(() => {
			const r = document.getElementById("capture").getBoundingClientRect(), c = window.wavry.control;
			return {Captured: c.captured, Refused: c.refused, X: r.left + r.width / 2, Y: r.top + r.height / 2};
		})()`, &now); err != nil || now.Captured {
			return err
		}
		if now.X > 0 && time.Since(clicked) > 2*time.Second { // it is shown
			clicked = time.Now()
			at = mouseAt{now.X, now.Y}
			b.mouse(t, chromedp.MouseMoved, at.X, at.Y, 0)
			b.mouse(t, chromedp.MousePressed, at.X, at.Y, 1)
			b.mouse(t, chromedp.MouseReleased, at.X, at.Y, 0)
		}
		return fmt.Errorf("it has %+v", now)
	})
	return at
}

// turn moves the captured mouse.
func (b *browser) turn(t testing.TB, at *mouseAt, dx, dy float64) {
	t.Helper()
	at.X, at.Y = at.X+dx, at.Y+dy
	b.mouse(t, chromedp.MouseMoved, at.X, at.Y, 0)
}

// waitMoved waits until the X server's pointer has moved from a place by a distance.
func (x *xserver) waitMoved(t testing.TB, from image.Point, dx, dy int) {
	t.Helper()
	eventually(t, patience, "the pointer moves by the mouse's motion", func() error {
		px, py, _ := x.pointer(t)
		if got := image.Pt(px, py).Sub(from); got != image.Pt(dx, dy) {
			return fmt.Errorf("it moved by %v; want %d,%d", got, dx, dy)
		}
		return nil
	})
}

// shown reports whether an element of the page is shown.
func (b *browser) shown(id string) (shown bool, err error) {
	err = b.eval(fmt.Sprintf(`!document.getElementById(%q).hidden`, id), &shown)
	return shown, err
}

// With the mouse captured, the display gets its motion in full. Escape ends that, and releases what is held.
func TestCaptureInChromium(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.background(t, "#204060")
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	b := openBrowser(t, "", h.page(""))
	b.control(t, x, [2]int{300, 200})
	at := b.capture(t)
	if got := b.text(t, "hint"); !strings.Contains(got, "Escape") {
		t.Errorf("the hint is %q; want it to name Escape", got)
	}
	if shown, err := b.shown("capture"); err != nil || shown {
		t.Errorf("the button is shown while the mouse is captured: %v, %v", shown, err)
	}
	px, py, _ := x.pointer(t)
	from := image.Pt(px, py)
	for _, by := range [][2]float64{{-30, 0}, {0, 25}, {3, 4}, {-100, 70}, {7, -1}} {
		b.turn(t, &at, by[0], by[1])
	}
	x.waitMoved(t, from, -120, 98)
	if screenshots != "" {
		b.screenshot(t, filepath.Join(screenshots, "captured.png"))
	}
	// The keys that end control end it, too.
	b.key(t, "ControlLeft", true, ctrl)
	b.key(t, "AltLeft", true, ctrl|alt)
	b.key(t, "ShiftLeft", true, ctrl|alt|shift)
	b.captured(t, false)
	b.waitControl(t, "click the picture to control")
	x.waitHeld(t, "nothing is down")

	// M takes control and captures the mouse. A script of the page ends that, and control stays.
	b.do(t, chromedp.KeyEvent("m"))
	b.captured(t, true)
	b.waitControl(t, "you control")
	px, py, _ = x.pointer(t)
	from = image.Pt(px, py)
	// To Chromium, the first position after the capture is no motion.
	b.turn(t, &at, 12, -8)
	eventually(t, patience, "the mouse's motion is the pointer's", func() error {
		b.turn(t, &at, 12, -8)
		px, py, _ := x.pointer(t)
		if got := image.Pt(px, py).Sub(from); got.X < 12 || got.X*2 != got.Y*-3 {
			return fmt.Errorf("it moved by %v", got)
		}
		return nil
	})
	var done bool
	if err := b.eval(`(document.exitPointerLock(), true)`, &done); err != nil {
		t.Fatal(err)
	}
	b.captured(t, false)
	b.waitControl(t, "you control")

	// A button goes down where the display has the pointer. Escape releases it, and the keys.
	at = b.capture(t)
	px, py, _ = x.pointer(t)
	from = image.Pt(px, py)
	b.mouse(t, chromedp.MousePressed, at.X, at.Y, 1)
	b.key(t, "KeyW", true, 0)
	x.waitHeld(t, "W is down", 25)
	x.waitMoved(t, from, 0, 0)
	if _, _, mask := x.pointer(t); mask&xproto.ButtonMask1 == 0 {
		t.Error("the button is not down")
	}
	b.do(t, chromedp.KeyEvent(kb.Escape))
	b.captured(t, false)
	x.waitHeld(t, "W is released")
	if _, _, mask := x.pointer(t); mask&xproto.ButtonMask1 != 0 {
		t.Error("the button is still down")
	}
	b.key(t, "KeyW", false, 0)
	b.mouse(t, chromedp.MouseReleased, at.X, at.Y, 0)
	// Positions are absolute again.
	b.waitControl(t, "you control")
	spotX, spotY := b.spot(t, 700, 500)
	b.mouse(t, chromedp.MouseMoved, spotX, spotY, 0)
	x.waitPointer(t, 700, 500)

	b.capture(t)
	// A host that says nothing of relative motion gets none.
	if err := b.eval(`(() => {
		const real = window.fetch;
		window.fetch = async (...args) => {
			const answer = await real(...args), json = answer.json.bind(answer);
			answer.json = async () => { const body = await json(); delete body.relative_pointer; return body; };
			return answer;
		};
		return true;
	})()`, &done); err != nil {
		t.Fatal(err)
	}
	b.captured(t, false)
	eventually(t, patience, "the page does not offer to capture the mouse", func() error {
		if shown, err := b.shown("capture"); err != nil || shown {
			return errors.Join(err, errNotYet)
		}
		return nil
	})
	if n := h.metric(t, "wavry_host_input_dropped_total") + h.metric(t, "wavry_host_input_lost_total"); n != 0 {
		t.Errorf("%v messages were lost", n)
	}
}
