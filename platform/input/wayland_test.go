//go:build linux

package input

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/platform/wlproto/wlprototest"
)

// A compositor without virtual input is an error that says so.
func TestCompositorWithoutVirtualInput(t *testing.T) {
	c := wlprototest.New(t, wlprototest.Config{
		Globals: wlprototest.Screencopy(3), Outputs: []wlprototest.Output{{Name: "OUT-1", Width: 64, Height: 48}},
	})
	d, err := Wayland(c.Socket, "OUT-1")(t.Context())
	if !errors.Is(err, errNoVirtualInput) {
		t.Errorf("got %v, %v; want %v", d, err, errNoVirtualInput)
	}
}

// pointerWatch records what virtual pointers are asked for.
type pointerWatch struct {
	mu   sync.Mutex
	said []string
}

func (w *pointerWatch) take(_ *wlprototest.Client, iface string, op uint16, b []byte) bool {
	if iface != "zwlr_virtual_pointer_v1" && iface != pointerManager {
		return true
	}
	var args []int32
	for ; len(b) >= 4; b = b[4:] {
		args = append(args, int32(le.Uint32(b)))
	}
	var text string
	switch {
	case iface == pointerManager && op == 0:
		text = "pointer of the seat"
	case iface == pointerManager:
		text = "pointer of an output"
	case op == 0:
		text = fmt.Sprintf("motion %v %v", args[1], args[2])
	case op == 3:
		text = fmt.Sprintf("axis %v by %v", args[1], args[2])
	case op == 5:
		text = fmt.Sprintf("source %v", args[0])
	case op == 7:
		text = fmt.Sprintf("axis %v by %v, discrete %v", args[1], args[2], args[3])
	case op == 8:
		text = "end of a pointer"
	default:
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
	return true
}

// got checks what was asked for since the last time.
func (w *pointerWatch) got(t *testing.T, what string, d Device, want ...string) {
	t.Helper()
	if err := d.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.said, want) {
		t.Errorf("%s: the compositor got %q; want %q", what, w.said, want)
	}
	w.said = nil
}

// Motion and scrolling arrive as they are, to a part of 256 of a unit. What is less than that adds up.
func TestMotionOnWayland(t *testing.T) {
	for version, own := range map[uint32]string{1: "pointer of the seat", 2: "pointer of an output"} {
		var w pointerWatch
		out := wlprototest.Output{Name: "OUT-1", Width: 64, Height: 48}
		c := wlprototest.New(t, wlprototest.Config{
			Globals: map[string]uint32{pointerManager: version, keyboardManager: 1, "wl_seat": 5},
			Outputs: []wlprototest.Output{out}, OnRequest: w.take,
		})
		d, err := Wayland(c.Socket, "OUT-1")(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		if err := d.arrange(t.Context()); err != nil {
			t.Fatal(err)
		}
		act := func(what string, do func(ctx context.Context, dx, dy float64) error, dx, dy float64, want ...string) {
			t.Helper()
			if err := do(t.Context(), dx, dy); err != nil {
				t.Fatal(err)
			}
			w.got(t, what, d, want...)
		}
		w.got(t, "the start", d, "pointer of the seat")
		act("a motion", d.motion, 3, -1.5, own, "motion 768 -384")
		act("half of the least part", d.motion, 1./512, 0)
		act("the other half", d.motion, 1./512, 0, "motion 1 0")
		act("two notches", d.scroll, 0, 2, "axis 0 by -7680, discrete -2", "source 0")
		act("a notch to the left", d.scroll, -1, 0, "axis 1 by -3840, discrete -1", "source 0")
		act("a part of a notch", d.scroll, 0, .25, "axis 0 by -960", "source 2")
		act("less than a part", d.scroll, 0, 1./7680)
		act("the rest of it", d.scroll, 0, 1./7680, "axis 0 by -1", "source 2")
		act("less than a part again", d.scroll, 0, 1./7680)
		act("and as much back", d.scroll, 0, -1./7680)
	}
}

// The built-in keymap types what the American one of xkeyboard-config types, and spare keys leave it alone.
func TestAmericanKeymap(t *testing.T) {
	m := americanKeymap()
	for _, tt := range []struct {
		code   uint32
		mods   byte
		letter rune
	}{
		{30, 0, 'a'},
		{30, modShift, 'A'},
		{30, modLock, 'A'},
		{30, modShift | modLock, 'a'},
		{30, modControl, 'a'},
		{2, 0, '1'},
		{2, modLock, '1'},
		{2, modShift, '!'},
		{12, modShift, '_'},
		{26, 0, '['},
		{40, modShift, '"'},
		{41, 0, '`'},
		{43, modShift, '|'},
		{53, 0, '/'},
		{57, modShift, ' '},
	} {
		if !m.typesLetter(byte(tt.code+keyOffset), 0, tt.mods, tt.letter) {
			s, _ := m.symbol(byte(tt.code+keyOffset), 0, tt.mods)
			t.Errorf("key %d with %#x types %q; want %q", tt.code, tt.mods, rune(s), tt.letter)
		}
	}
	for r := rune(' '); r < 0x7f; r++ {
		_, plain := m.find(r, 0, 0)
		if _, shifted := m.find(r, 0, modShift); !plain && !shifted {
			t.Errorf("no key types %q", r)
		}
	}
	for _, key := range spareKeys() {
		if s, _ := m.symbol(key, 0, 0); s != 0 || key-keyOffset == 217 || key-keyOffset == 226 {
			t.Errorf("key %d is in use", key)
		}
	}
}

// The keymap that the compositor gets has the letters of the spare keys.
func TestKeymapOfAVirtualKeyboard(t *testing.T) {
	k := &virtualKeyboard{keymap: americanKeymap()}
	for _, key := range spareKeys() {
		k.spares.list = append(k.spares.list, spare{key: key})
	}
	k.bind('日', time.Now())
	source := k.source()
	if strings.Count(source, "replace key") != 1 || !strings.Contains(source, "[ U65E5, U65E5 ]") ||
		!strings.HasSuffix(source, "\x00") {
		t.Errorf("got\n%s", source)
	}
}
