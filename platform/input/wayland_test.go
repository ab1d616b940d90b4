//go:build linux

package input

import (
	"errors"
	"strings"
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
