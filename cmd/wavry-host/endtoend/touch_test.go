//go:build integration

package endtoend

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jezek/xgb/xproto"
)

// touch dispatches a touch event on the video with fingers at pixels of the display.
func (b *browser) touch(t testing.TB, kind string, fingers ...[2]int) {
	t.Helper()
	var list []string
	for i, f := range fingers {
		px, py := b.spot(t, f[0], f[1])
		list = append(list, fmt.Sprintf("new Touch({identifier: %d, target: v, clientX: %v, clientY: %v})", i, px, py))
	}
	var taken bool
	if err := b.eval(fmt.Sprintf(`(() => {
		const v = document.querySelector("video"), touches = [%s];
		return !v.dispatchEvent(new TouchEvent(%q, {touches, cancelable: true}));
	})()`, strings.Join(list, ", "), kind), &taken); err != nil || !taken {
		t.Fatalf("%s is left to the browser: %v", kind, err)
	}
}

// waitButton waits for the press of a mouse button on the display.
func waitButton(t testing.TB, what string, pressed <-chan byte, want byte) {
	t.Helper()
	eventually(t, patience, what, func() error {
		select {
		case got := <-pressed:
			if got != want {
				t.Fatalf("%s: got button %d; want %d", what, got, want)
			}
			return nil
		default:
			return errNotYet
		}
	})
}

// Fingers do what a mouse would: tap, drag, long press, scroll and pinch. Then the display gets the size of the window,
// and they still hit.
func TestTouchGestures(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.background(t, "#204060")
	h := startHost(t, hostOptions{args: []string{"--display", x.id(), "displays.rules=[{display: x11:*, resize: allow}]"}})
	b := openBrowser(t, "", h.page(""))
	b.waitControl(t, "click the picture to control")
	b.control(t, x, [2]int{300, 300})
	b.waitControl(t, "you control")
	pressed := x.watchButtons(t)

	b.touch(t, "touchstart", [2]int{900, 300})
	b.touch(t, "touchend")
	waitButton(t, "a tap", pressed, 1)
	x.waitPointer(t, 900, 300)

	b.touch(t, "touchstart", [2]int{800, 200})
	waitButton(t, "a long press", pressed, 3)
	b.touch(t, "touchend")

	down := func(want uint16) {
		t.Helper()
		eventually(t, patience, "the left button", func() error {
			if _, _, mask := x.pointer(t); mask&xproto.ButtonMask1 != want {
				return errNotYet
			}
			return nil
		})
	}
	b.touch(t, "touchstart", [2]int{700, 100})
	b.touch(t, "touchmove", [2]int{800, 400})
	waitButton(t, "a drag", pressed, 1)
	x.waitPointer(t, 800, 400)
	down(xproto.ButtonMask1)
	b.touch(t, "touchend")
	down(0)

	b.touch(t, "touchstart", [2]int{900, 300})
	b.touch(t, "touchstart", [2]int{900, 300}, [2]int{1000, 300})
	b.touch(t, "touchmove", [2]int{900, 400}, [2]int{1000, 400})
	waitButton(t, "fingers that move down turn the wheel up", pressed, 4)
	b.touch(t, "touchend", [2]int{900, 400})
	b.touch(t, "touchend")
	for len(pressed) > 0 {
		waitButton(t, "more of it", pressed, 4)
	}

	b.touch(t, "touchstart", [2]int{800, 300})
	b.touch(t, "touchstart", [2]int{800, 300}, [2]int{1000, 300})
	b.touch(t, "touchmove", [2]int{860, 300}, [2]int{940, 300})
	for range 5 { // to two fifths, which is six notches
		waitButton(t, "fingers that meet", pressed, 5)
	}
	b.touch(t, "touchend")
	x.waitHeld(t, "Control is up")

	var stage [2]int
	var session string
	if err := b.eval(`[document.querySelector("#stage").clientWidth, document.querySelector("#stage").clientHeight]`,
		&stage); err != nil || stage[0] > 1280 || stage[1] > 720 {
		t.Fatalf("place of the picture %v, %v; want it within the X server's 1280x720", stage, err)
	}
	const peer = `wavry.session.id + wavry.pc.currentRemoteDescription.sdp`
	if err := b.eval(peer, &session); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the button that fits the display to the window", func() error {
		var clicked bool
		err := b.eval(`(() => { const f = document.querySelector("#fit"); if (!f.hidden) f.click(); return !f.hidden; })()`,
			&clicked)
		if err == nil && !clicked {
			err = errNotYet
		}
		return err
	})
	width, height := stage[0]/2*2, stage[1]/2*2
	b.waitSize(t, width, height)
	var still string
	if err := b.eval(peer, &still); err != nil || still != session {
		t.Errorf("%v; the stream was negotiated again", err)
	}
	for len(pressed) > 0 {
		waitButton(t, "more of it", pressed, 5)
	}
	b.touch(t, "touchstart", [2]int{width - 40, height - 30})
	b.touch(t, "touchend")
	waitButton(t, "a tap after the change", pressed, 1)
	x.waitPointer(t, width-40, height-30)
}
