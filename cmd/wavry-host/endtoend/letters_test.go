//go:build integration

package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// layout gives all keyboards of the server a layout.
func (x *xserver) layout(t testing.TB, name string) {
	t.Helper()
	p := x.program(t, "setxkbmap", name)
	<-p.done
	if p.err != nil {
		t.Fatalf("setxkbmap %s: %v", name, p.err)
	}
}

// letter presses and releases a key that types a letter on the keyboard of the browser's user.
func (b *browser) letter(t testing.TB, code, key string, modifiers int64) {
	t.Helper()
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		b.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, input.DispatchKeyEvent, input.DispatchKeyEventParams{
				Type: kind, Code: code, Key: key, Modifiers: modifiers,
			})
			return err
		}))
	}
}

// event presses and releases a key by an event of a script, which may have locks.
func (b *browser) event(t testing.TB, code, key string, more map[string]any) {
	t.Helper()
	options := map[string]any{"code": code, "key": key, "bubbles": true, "cancelable": true}
	maps.Copy(options, more)
	raw, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	var done bool
	if err := b.eval(fmt.Sprintf(`(() => { const f = document.getElementById("field");
		for (const n of ["keydown", "keyup"]) f.dispatchEvent(new KeyboardEvent(n, %s));
		return true; })()`, raw), &done); err != nil {
		t.Fatal(err)
	}
}

// What the user of a page types arrives as it is on the user's keyboard: other layouts, locks, AltGr, dead keys, input
// methods, touch keyboards and pasted text.
func TestLettersInChromium(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	file := x.transcriptOfText(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	b := openBrowser(t, "", h.page(""))
	b.control(t, x, [2]int{200, 100})
	want := ""
	expect := func(what, letters string) {
		t.Helper()
		want += letters
		if typed(t, file, []byte(want)); t.Failed() {
			t.Fatal(what)
		}
	}
	for _, layout := range []string{"us", "de", "ru"} {
		x.layout(t, layout)
		// A French keyboard.
		b.letter(t, "KeyQ", "a", 0)
		b.letter(t, "KeyA", "q", 0)
		b.letter(t, "Semicolon", "m", 0)
		b.letter(t, "Digit2", "é", 0)
		b.key(t, "ShiftLeft", true, shift)
		b.letter(t, "Digit2", "2", shift)
		b.letter(t, "KeyQ", "A", shift)
		b.key(t, "ShiftLeft", false, 0)
		expect("a French keyboard on "+layout, "aqmé2A")
		// AltGr of a German keyboard on Windows, which reports Control too.
		b.event(t, "ControlLeft", "Control", map[string]any{"ctrlKey": true})
		altGr := map[string]any{"ctrlKey": true, "altKey": true, "modifierAltGraph": true}
		b.event(t, "AltRight", "AltGraph", altGr)
		b.event(t, "KeyQ", "@", altGr)
		b.event(t, "KeyE", "€", altGr)
		expect("AltGr on "+layout, "@€")
		// A shortcut of a Latin keyboard.
		b.key(t, "ControlLeft", true, ctrl)
		b.letter(t, "KeyC", "c", ctrl)
		b.key(t, "ControlLeft", false, 0)
		expect("Ctrl+C on "+layout, "\x03")
	}
	x.layout(t, "us")
	// A shortcut of a Cyrillic keyboard is the key at that place.
	b.key(t, "ControlLeft", true, ctrl)
	b.letter(t, "KeyC", "с", ctrl)
	b.key(t, "ControlLeft", false, 0)
	expect("Ctrl+С", "\x03")

	b.event(t, "KeyA", "A", map[string]any{"modifierCapsLock": true})
	b.event(t, "Numpad7", "7", map[string]any{"modifierNumLock": true})
	b.event(t, "Numpad7", "Home", nil)
	b.event(t, "KeyA", "a", nil)
	expect("locks", "A7\x1b[Ha")

	b.event(t, "BracketLeft", "Dead", nil)
	b.event(t, "KeyE", "ê", nil)
	expect("a dead key", "ê")

	b.event(t, "", "ß", nil) // touch keyboards tell no place
	b.event(t, "", "Enter", nil)
	expect("keys without a place", "ß\r")

	// An input method composes, and a touch keyboard inserts.
	b.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for _, part := range []string{"に", "にほ", "日本"} {
			if _, err := cdp.Call(ctx, target, input.ImeSetComposition, input.ImeSetCompositionParams{
				Text: part, SelectionStart: int64(len([]rune(part))), SelectionEnd: int64(len([]rune(part))),
			}); err != nil {
				return err
			}
		}
		_, err := cdp.Call(ctx, target, input.InsertText, input.InsertTextParams{Text: "日本"})
		return err
	}))
	expect("an input method", "日本")
	b.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, input.InsertText, input.InsertTextParams{Text: "naïve 👍"})
		return err
	}))
	expect("inserted text", "naïve 👍")
	var done bool
	if err := b.eval(`document.getElementById("field").focus(), document.execCommand("delete")`, &done); err != nil {
		t.Fatal(err)
	}
	expect("a touch keyboard deletes", "\x7f")
	paste := `(() => { const f = document.getElementById("field"); f.focus();
		return document.execCommand("insertText", false, "%s"); })()`
	if err := b.eval(fmt.Sprintf(paste, `line one, ça va?\nline two`), &done); err != nil || !done {
		t.Fatal(err)
	}
	expect("pasted text", "line one, ça va?\rline two")

	if err := b.eval(`(window.wavry.control.places = true)`, &done); err != nil {
		t.Fatal(err)
	}
	b.letter(t, "KeyQ", "a", 0)
	expect("places", "q")
	if n := h.metric(t, "wavry_host_input_dropped_total"); n != 0 {
		t.Errorf("%v messages were dropped", n)
	}
}

// The same in Firefox, whose events for letters that no key of its keyboard types have no place.
func TestLettersInFirefox(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	file := x.transcriptOfText(t)
	x.layout(t, "fr")
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	b := openFirefox(t, h.page(""))
	var done bool
	eventually(t, patience, "the page controls", func() error {
		if err := b.eval(`(window.wavry.control.ready && (window.wavry.control.enter(), window.wavry.control.on))`,
			&done); err != nil || !done {
			return errNotYet
		}
		return nil
	})
	const text = "azqw;A1é@ñ日"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.page.(*firefox).press(ctx, text); err != nil {
		t.Fatal(err)
	}
	typed(t, file, []byte(text))
	b.event(t, "KeyA", "A", map[string]any{"modifierCapsLock": true})
	b.event(t, "Numpad7", "7", map[string]any{"modifierNumLock": true})
	b.event(t, "BracketLeft", "Dead", nil)
	b.event(t, "KeyE", "ê", nil)
	if err := b.eval(`document.execCommand("insertText", false, "ça va? 日本")`, &done); err != nil {
		t.Fatal(err)
	}
	typed(t, file, []byte(text+"A7êça va? 日本"))
}

// press presses and releases the keys of text.
func (f *firefox) press(ctx context.Context, text string) error {
	var actions []map[string]any
	for _, r := range text {
		for _, kind := range []string{"keyDown", "keyUp"} {
			actions = append(actions, map[string]any{"type": kind, "value": string(r)})
		}
	}
	return f.call(ctx, "input.performActions", map[string]any{
		"context": f.tab,
		"actions": []map[string]any{{"type": "key", "id": "keyboard", "actions": actions}},
	}, nil)
}
