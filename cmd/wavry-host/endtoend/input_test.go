//go:build integration

package endtoend

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jezek/xgb/xproto"
)

// Key modifiers in Chromium's protocol.
const (
	alt   = 1
	ctrl  = 2
	shift = 8
)

// pointer returns the pointer's position on the X server and the buttons that are down.
func (x *xserver) pointer(t testing.TB) (px, py int, mask uint16) {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := xproto.QueryPointer(c, xproto.Setup(c).DefaultScreen(c).Root).Reply()
	if err != nil {
		t.Fatal(err)
	}
	return int(p.RootX), int(p.RootY), p.Mask
}

// held returns the keycodes of the keys that are down on the X server.
func (x *xserver) held(t testing.TB) []int {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := xproto.QueryKeymap(c).Reply()
	if err != nil {
		t.Fatal(err)
	}
	var codes []int
	for i := range 256 {
		if m.Keys[i/8]>>(i%8)&1 != 0 {
			codes = append(codes, i)
		}
	}
	return codes
}

// waitHeld waits until exactly these keys are down.
func (x *xserver) waitHeld(t testing.TB, what string, want ...int) {
	t.Helper()
	eventually(t, patience, what, func() error {
		if got := x.held(t); !slices.Equal(got, want) {
			return fmt.Errorf("keys %v are down; want %v", got, want)
		}
		return nil
	})
}

// watchButtons opens a window in the right half of the screen and returns the buttons pressed there.
func (x *xserver) watchButtons(t testing.TB) <-chan byte {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	screen := xproto.Setup(c).DefaultScreen(c)
	window, err := xproto.NewWindowId(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := xproto.CreateWindowChecked(c, screen.RootDepth, window, screen.Root, 640, 0, 640, 720, 0,
		xproto.WindowClassInputOutput, screen.RootVisual,
		xproto.CwEventMask, []uint32{xproto.EventMaskButtonPress}).Check(); err != nil {
		t.Fatal(err)
	}
	if err := xproto.MapWindowChecked(c, window).Check(); err != nil {
		t.Fatal(err)
	}
	pressed, done := make(chan byte, 16), make(chan struct{})
	go func() {
		defer close(done)
		for {
			event, err := c.WaitForEvent()
			if event == nil && err == nil {
				return
			}
			if press, ok := event.(xproto.ButtonPressEvent); ok {
				pressed <- byte(press.Detail)
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return pressed
}

// reader starts a terminal over the left half of the screen. Its shell writes the first line that is typed into a file.
func (x *xserver) reader(t testing.TB) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "typed")
	x.background(t, "#204060")
	x.program(t, "xterm", "-geometry", "80x40+0+0", "-bg", "white", "-fg", "black", "+bc", "-e", "sh", "-c",
		fmt.Sprintf("IFS= read -r line; printf %%s \"$line\" > %[1]s.part; mv %[1]s.part %[1]s; exec cat", file))
	x.waitWindows(t, 1)
	return file
}

// spot returns the position in the page of a pixel of the display.
func (b *browser) spot(t testing.TB, x, y int) (px, py float64) {
	t.Helper()
	var p *struct{ X, Y float64 }
	eventually(t, patience, "the page knows the display as the picture has it", func() error {
		err := b.eval(fmt.Sprintf(`(() => {
			const v = document.querySelector("video"), r = v.getBoundingClientRect(), all = window.wavry.displays;
			const d = all.find((d) => d.id === window.wavry.display) || all[0];
			// The picture may be smaller than the display, but not of another shape.
			if (!d || !(Math.abs(d.width * v.videoHeight / (d.height * v.videoWidth) - 1) < .01)) return null;
			const s = Math.min(r.width / d.width, r.height / d.height);
			return {X: r.left + (r.width - d.width * s) / 2 + (%d + .5) * s,
				Y: r.top + (r.height - d.height * s) / 2 + (%d + .5) * s};
		})()`, x, y), &p)
		if err == nil && p == nil {
			err = errNotYet
		}
		return err
	})
	return p.X, p.Y
}

// chromedp returns the context with which chromedp drives Chromium.
func (b *browser) chromedp(t testing.TB) context.Context {
	t.Helper()
	page, ok := b.page.(chromium)
	if !ok {
		t.Fatal("the browser is no Chromium")
	}
	return page.ctx
}

func (b *browser) do(t testing.TB, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.chromedp(t), 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// key presses or releases a key by its physical place.
func (b *browser) key(t testing.TB, code string, down bool, modifiers int64) {
	t.Helper()
	kind := input.DispatchKeyEventTypeKeyUp
	if down {
		kind = input.DispatchKeyEventTypeKeyDown
	}
	b.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type: kind,
			Code: code, Modifiers: modifiers,
		})
		return err
	}))
}

// mouse moves the mouse, or presses or releases its left button.
func (b *browser) mouse(t testing.TB, kind input.DispatchMouseEventType, x, y float64, buttons int64) {
	t.Helper()
	p := input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Buttons: buttons}
	if kind != chromedp.MouseMoved {
		p.Button, p.ClickCount = input.MouseButtonLeft, 1
	}
	b.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, input.DispatchMouseEvent, p)
		return err
	}))
}

// typeKeys types text key by key as a person does, with Shift where needed.
func (b *browser) typeKeys(t testing.TB, text string) {
	t.Helper()
	for _, r := range text {
		k, ok := kb.Keys[r]
		if !ok {
			t.Fatalf("no key for %q", r)
		}
		var modifiers int64
		if k.Shift {
			modifiers = shift
			b.key(t, "ShiftLeft", true, modifiers)
		}
		b.key(t, k.Code, true, modifiers)
		b.key(t, k.Code, false, modifiers)
		if k.Shift {
			b.key(t, "ShiftLeft", false, 0)
		}
	}
}

// control clicks on a pixel of the display, which takes control, and waits until the pointer is there.
func (b *browser) control(t testing.TB, x *xserver, at [2]int) {
	t.Helper()
	eventually(t, patience, "the page may control", func() error {
		var ready bool
		if err := b.eval(`window.wavry.control.ready && document.querySelector("video").videoWidth > 0`,
			&ready); err != nil || !ready {
			return errors.Join(err, errNotYet)
		}
		return nil
	})
	px, py := b.spot(t, at[0], at[1])
	b.mouse(t, chromedp.MouseMoved, px, py, 0)
	b.mouse(t, chromedp.MousePressed, px, py, 1)
	b.mouse(t, chromedp.MouseReleased, px, py, 0)
	x.waitPointer(t, at[0], at[1])
}

func (x *xserver) waitPointer(t testing.TB, wantX, wantY int) {
	t.Helper()
	eventually(t, patience, "the pointer moves", func() error {
		if px, py, _ := x.pointer(t); math.Abs(float64(px-wantX)) > 2 || math.Abs(float64(py-wantY)) > 2 {
			return fmt.Errorf("it is at %d,%d; want %d,%d", px, py, wantX, wantY)
		}
		return nil
	})
}

func (b *browser) text(t testing.TB, id string) string {
	t.Helper()
	var s string
	script := fmt.Sprintf(`(() => { const e = document.getElementById(%q); return e.hidden ? "" : e.textContent; })()`, id)
	if err := b.eval(script, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *browser) waitControl(t testing.TB, want string) {
	t.Helper()
	eventually(t, patience, "the page says "+want, func() error {
		if got := b.text(t, "control"); got != want {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
}

func TestControlInChromium(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	file := x.reader(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id(), "--log-level", "debug"}})
	b := openBrowser(t, "", h.page(""))
	b.waitControl(t, "click the picture to control")
	b.control(t, x, [2]int{300, 200})
	b.waitControl(t, "you control")

	// The page's own shortcuts, S and F and I, are among the letters.
	const typed = "Sift: if 42 is fine, (say) \"Yes\"?"
	b.typeKeys(t, typed+"\r")
	eventually(t, patience, "the shell has read the line", func() error {
		got, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if string(got) != typed {
			t.Fatalf("the shell has read %q; want %q", got, typed)
		}
		return nil
	})
	if screenshots != "" {
		b.screenshot(t, filepath.Join(screenshots, "control.png"))
	}
	if b.text(t, "overlay") != "" {
		t.Error("a key for the display opened the page's statistics")
	}

	// The left button is held, dragged and released.
	fromX, fromY := b.spot(t, 100, 300)
	toX, toY := b.spot(t, 900, 600)
	b.mouse(t, chromedp.MouseMoved, fromX, fromY, 0)
	b.mouse(t, chromedp.MousePressed, fromX, fromY, 1)
	x.waitPointer(t, 100, 300)
	eventually(t, patience, "the button is down", func() error {
		if _, _, mask := x.pointer(t); mask&xproto.ButtonMask1 == 0 {
			return errNotYet
		}
		return nil
	})
	b.mouse(t, chromedp.MouseMoved, toX, toY, 1)
	x.waitPointer(t, 900, 600)
	b.mouse(t, chromedp.MouseReleased, toX, toY, 0)
	eventually(t, patience, "the button is up", func() error {
		if _, _, mask := x.pointer(t); mask&xproto.ButtonMask1 != 0 {
			return errNotYet
		}
		return nil
	})

	// One wheel notch in each direction, by script events: Chromium's protocol turns every wheel event into a notch on
	// both axes.
	buttons := x.watchButtons(t)
	wheelX, wheelY := b.spot(t, 1000, 300)
	b.mouse(t, chromedp.MouseMoved, wheelX, wheelY, 0)
	x.waitPointer(t, 1000, 300)
	for _, turn := range []struct {
		dx, dy float64
		want   byte
	}{{0, 120, 5}, {0, -120, 4}, {120, 0, 7}, {-120, 0, 6}} {
		var taken bool
		if err := b.eval(fmt.Sprintf(`!document.querySelector("video").dispatchEvent(
			new WheelEvent("wheel", {deltaX: %v, deltaY: %v, cancelable: true}))`,
			turn.dx, turn.dy), &taken); err != nil || !taken {
			t.Fatalf("the wheel is left to the browser: %v", err)
		}
		select {
		case got := <-buttons:
			if got != turn.want {
				t.Errorf("a turn of %v,%v is button %d; want %d", turn.dx, turn.dy, got, turn.want)
			}
		case <-time.After(patience):
			t.Fatalf("a turn of %v,%v is not seen", turn.dx, turn.dy)
		}
	}

	// A page that loses the keyboard focus releases held keys and control.
	b.key(t, "KeyW", true, 0)
	x.waitHeld(t, "W is down", 25)
	var done bool
	if err := b.eval(`(window.dispatchEvent(new Event("blur")), true)`, &done); err != nil {
		t.Fatal(err)
	}
	x.waitHeld(t, "W is released")
	b.waitControl(t, "click the picture to control")
	b.control(t, x, [2]int{400, 300})

	// AltGr with Shift types letters such as Ł, also where the browser reports Ctrl and Alt with it, as on Windows.
	for _, modifiers := range []int64{0, ctrl | alt} {
		b.key(t, "AltRight", true, modifiers)
		b.key(t, "ShiftLeft", true, modifiers|shift)
		b.key(t, "KeyL", true, modifiers|shift)
		x.waitHeld(t, "L, Shift and AltGr are down", 46, 50, 108)
		b.key(t, "KeyL", false, modifiers|shift)
		b.key(t, "ShiftLeft", false, modifiers)
		b.key(t, "AltRight", false, 0)
		x.waitHeld(t, "nothing is down")
		b.waitControl(t, "you control")
	}

	// Ctrl+Alt+Shift releases the keyboard and leaves nothing held; then S is the page's shortcut again.
	b.key(t, "ControlLeft", true, ctrl)
	b.key(t, "AltLeft", true, ctrl|alt)
	x.waitHeld(t, "Ctrl and Alt are down", 37, 64)
	b.key(t, "ShiftLeft", true, ctrl|alt|shift)
	x.waitHeld(t, "nothing is down")
	b.waitControl(t, "click the picture to control")
	b.do(t, chromedp.KeyEvent("s"))
	if b.text(t, "overlay") == "" {
		t.Error("S does not open the statistics once the keyboard is the page's again")
	}
	x.waitHeld(t, "nothing is down")

	for _, name := range []string{
		`wavry_host_control_changes_total{reason="taken"}`,
		`wavry_host_input_messages_total{kind="key"}`, "wavry_host_input_seconds_count",
	} {
		if h.metric(t, name) == 0 {
			t.Errorf("metric %s is 0", name)
		}
	}
	if n := h.metric(t, "wavry_host_input_dropped_total") + h.metric(t, "wavry_host_input_lost_total"); n != 0 {
		t.Errorf("%v messages were lost", n)
	}
	if strings.Contains(h.out.String(), "Sift") {
		t.Error("the log has what was typed")
	}
}

// The page's key table has the keys of a 105-key keyboard, without duplicates.
func TestKeysOfThePage(t *testing.T) {
	t.Parallel()
	h := startHost(t, hostOptions{args: []string{"--display", "synthetic"}})
	b := openBrowser(t, "", h.page(""))
	var codes map[string]int
	if err := b.eval(`import("./page/input.js").then((m) => m.CODES)`, &codes); err != nil {
		t.Fatal(err)
	}
	seen := map[int]string{}
	for name, code := range codes {
		if other, ok := seen[code]; ok || code < 1 || code > 247 {
			t.Errorf("%s is %d, and so is %q", name, code, other)
		}
		seen[code] = name
	}
	board := []string{
		"Escape", "PrintScreen", "ScrollLock", "Pause", "Backquote", "Minus", "Equal", "Backspace", "Tab",
		"BracketLeft", "BracketRight", "Enter",
		"CapsLock", "Semicolon", "Quote", "Backslash", "IntlBackslash", "Comma", "Period", "Slash", "Space",
		"ShiftLeft", "ShiftRight", "ControlLeft", "ControlRight", "AltLeft", "AltRight", "MetaLeft",
		"MetaRight", "ContextMenu",
		"Insert", "Home", "PageUp", "Delete", "End", "PageDown", "ArrowUp", "ArrowLeft", "ArrowDown", "ArrowRight",
		"NumLock", "NumpadDivide", "NumpadMultiply", "NumpadSubtract", "NumpadAdd", "NumpadEnter", "NumpadDecimal",
	}
	for i := range 26 {
		board = append(board, "Key"+string(rune('A'+i)))
	}
	for i := range 10 {
		board = append(board, fmt.Sprint("Digit", i), fmt.Sprint("Numpad", i))
	}
	for i := range 12 {
		board = append(board, fmt.Sprint("F", i+1))
	}
	if len(board) != 105 {
		t.Fatalf("the board has %d keys", len(board))
	}
	for _, name := range board {
		if codes[name] == 0 {
			t.Errorf("there is no code for %s", name)
		}
	}
	// The known Linux key codes.
	for name, want := range map[string]int{
		"KeyA": 30, "Enter": 28, "NumpadEnter": 96, "ArrowUp": 103,
		"F12": 88, "IntlBackslash": 86, "MetaLeft": 125, "AudioVolumeUp": 115, "MediaPlayPause": 164,
	} {
		if codes[name] != want {
			t.Errorf("%s is %d; want %d", name, codes[name], want)
		}
	}
	// Letterboxed: a picture of 1280x720 in a box of 1000x1000 begins 218.75 below its top.
	var p struct{ X, Y float64 }
	if err := b.eval(`import("./page/input.js").then((m) => m.place(
		510, 20 + 218.75 + 281.25, {left: 10, top: 20, width: 1000, height: 1000}, 1280, 720))`, &p); err != nil {
		t.Fatal(err)
	}
	if math.Abs(p.X-.5) > 1e-9 || math.Abs(p.Y-.5) > 1e-9 {
		t.Errorf("the middle is at %v", p)
	}
	// The vector is upstream's own, except for the time.
	var bytes []int
	if err := b.eval(`import("./page/input.js").then((m) => Array.from(m.message("move", .5, .25)))`,
		&bytes); err != nil {
		t.Fatal(err)
	}
	if want := []int{0x12, 0x0a, 0x0d, 0, 0, 0, 0x3f, 0x15, 0, 0, 0x80, 0x3e}; len(bytes) < 12 ||
		!slices.Equal(bytes[len(bytes)-12:], want) {
		t.Errorf("a move is %x; want it to end in %x", bytes, want)
	}
}

func TestRolesDecideWhoControls(t *testing.T) {
	t.Parallel()
	const viewer, controller, operator = "the-viewers-token-x", "the-controllers-token", "the-operators-token"
	tokens := filepath.Join(t.TempDir(), "tokens")
	line := func(name, role, token string) string {
		return fmt.Sprintf("%s %s sha256:%x\n", name, role, sha256.Sum256([]byte(token)))
	}
	if err := os.WriteFile(tokens, []byte(line("vera", "viewer", viewer)+line("carl", "controller",
		controller)), 0o600); err != nil {
		t.Fatal(err)
	}
	x := startX(t, 0, 1280, 720)
	x.background(t, "#204060")
	h := startHost(t, hostOptions{
		token: operator, env: []string{"WAVRY_HOST_AUTH__TOKEN=" + operator}, args: []string{
			"--display", x.id(),
			"auth.tokens_file=" + tokens, "input.idle=1h",
		},
	})
	b := openBrowser(t, "", h.url+"/#token="+controller)
	b.control(t, x, [2]int{200, 200})
	mine := h.session(t)

	// Another session in the page: its own channel, its own keys.
	join := func(name, token string) string {
		t.Helper()
		var id string
		if err := b.eval(fmt.Sprintf(`(async () => {
			const pc = new RTCPeerConnection(), channel = pc.createDataChannel("input");
			pc.addTransceiver("video", {direction: "recvonly"});
			window[%[1]q] = {pc, channel, closed: false};
			channel.onclose = () => { window[%[1]q].closed = true; };
			await pc.setLocalDescription(await pc.createOffer());
			await new Promise((r) => {
				pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && r();
				pc.onicegatheringstatechange();
			});
			const answer = await fetch("/whep/default", {method: "POST",
				headers: {Authorization: "Bearer %[2]s", "Content-Type": "application/sdp"},
					body: pc.localDescription.sdp});
			await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
			return answer.headers.get("Location").split("/").pop();
		})()`, name, token), &id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	is := func(what, script string) {
		t.Helper()
		eventually(t, patience, what, func() error {
			var ok bool
			if err := b.eval(script, &ok); err != nil || !ok {
				return errors.Join(err, errNotYet)
			}
			return nil
		})
	}
	press := func(name string) {
		t.Helper()
		var ok bool
		script := fmt.Sprintf(
			`import("./page/input.js").then((m) => (window[%q].channel.send(m.message("key", 46, true)), true))`, name)
		if err := b.eval(script, &ok); err != nil {
			t.Fatal(err)
		}
	}
	join("watching", viewer)
	is("a viewer's channel is closed", "window.watching.closed")

	second := join("second", controller)
	is("a controller's channel is open", `window.second.channel.readyState === "open"`)
	press("second")
	eventually(t, patience, "who has no control is not heard", func() error {
		if h.metric(t, `wavry_host_input_dropped_total{reason="no_control"}`) == 0 {
			return errNotYet
		}
		return nil
	})
	x.waitHeld(t, "no key is down")

	set := func(method, id string) {
		t.Helper()
		if status, body, err := h.request(method, "/v1/sessions/"+id+"/control"); err != nil ||
			status != http.StatusOK {
			t.Fatalf("%s control: %d %s %v", method, status, body, err)
		}
	}
	b.key(t, "KeyA", true, 0)
	x.waitHeld(t, "A is down", 38)
	set("PUT", second)
	x.waitHeld(t, "A is released when control goes")
	b.waitControl(t, "somebody else controls")
	press("second")
	x.waitHeld(t, "C is down", 54)
	b.key(t, "KeyA", false, 0)
	set("PUT", mine.ID)
	x.waitHeld(t, "C is released")
	b.waitControl(t, "you control")
	b.key(t, "KeyB", true, 0)
	x.waitHeld(t, "B is down", 56)
	set("DELETE", mine.ID)
	x.waitHeld(t, "B is released")
	b.key(t, "KeyB", false, 0)
	b.key(t, "KeyA", true, 0)
	b.key(t, "KeyA", false, 0)
	b.waitControl(t, "control was withdrawn")
	press("second")
	x.waitHeld(t, "control was free", 54)
	if status, body, err := h.request("PUT", "/v1/sessions/nobody/control"); err != nil ||
		status != http.StatusNotFound {
		t.Errorf("control for a session that is not there: %d %s %v", status, body, err)
	}
}

// A page that disappears while a key is down leaves no key down: its user closes it, or the whole browser is killed, in
// which case the host only stops receiving.
func TestKeysOfAPageThatGoes(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.background(t, "#204060")
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	b := openBrowser(t, "", h.page(""))

	b.control(t, x, [2]int{300, 200})
	b.key(t, "KeyW", true, 0)
	x.waitHeld(t, "W is down", 25)
	// Keys of a viewer that is still there stay held, although nothing moves on the screen.
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for range 20 {
		<-ticker.C
		if got := x.held(t); !slices.Equal(got, []int{25}) {
			t.Fatalf("keys %v are down while W is held", got)
		}
	}
	b.do(t, chromedp.Navigate("about:blank"))
	x.waitHeld(t, "W is released with the page")

	b.do(t, chromedp.Navigate(h.page("")))
	b.control(t, x, [2]int{300, 200})
	b.key(t, "KeyW", true, 0)
	x.waitHeld(t, "W is down", 25)
	if err := syscall.Kill(chromedp.FromContext(b.chromedp(t)).Browser.Process().Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	x.waitHeld(t, "W is released though nobody said so")
	t.Logf("%.1f s after the browser was killed", time.Since(start).Seconds())
}
