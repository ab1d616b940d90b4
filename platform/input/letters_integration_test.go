//go:build integration && linux

package input

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wavryhost/platform/xproto"

	"github.com/prometheus/client_golang/prometheus"
)

const patience = 30 * time.Second

// desk is an X server with a terminal that writes what is typed into a file.
type desk struct {
	t       *testing.T
	display string
	file    string
	j       *Injector
	written string
	end     func()
}

// program starts a program that ends with the test.
func (d *desk) program(name string, args ...string) *exec.Cmd {
	d.t.Helper()
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+d.display, "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return cmd
}

// run runs a program to its end.
func (d *desk) run(name string, args ...string) {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+d.display)
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

func (d *desk) eventually(what string, done func() error) {
	d.t.Helper()
	eventually(d.t, what, done)
}

func eventually(t *testing.T, what string, done func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); ; <-tick.C {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, file: filepath.Join(t.TempDir(), "typed"), display: startXvfb(t)}
	d.program("xterm", "-u8", "-geometry", "100x30+0+0", "-e", "sh", "-c",
		fmt.Sprintf("stty raw -echo; touch %[1]s; exec dd of=%[1]s bs=1 2>/dev/null", d.file))
	d.eventually("the terminal", func() error { _, err := os.Stat(d.file); return err })
	d.j, d.end = injector(t, d.display, "")
	d.j.Move(.3, .3)
	eventuallyServed(t, d.j)
	return d
}

// startXvfb starts an X server, which ends with the test, and returns its display.
func startXvfb(t *testing.T, args ...string) (display string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-displayfd", "3", "-screen", "0", "640x480x24", "-noreset", "-nolisten", "tcp"}, args...)
	cmd := exec.CommandContext(context.Background(), "Xvfb", args...)
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	_ = w.Close()
	number, err := io.ReadAll(r)
	if err != nil || len(number) == 0 {
		t.Fatalf("Xvfb does not start: %v", err)
	}
	return ":" + strings.TrimSpace(string(number))
}

// injector runs an Injector for a screen of an X server, or one of its monitors, until end.
func injector(t *testing.T, display, monitor string) (_ *Injector, end func()) {
	t.Helper()
	j := New(Config{Display: display, Open: XTEST(func(ctx context.Context) (*xproto.Conn, error) {
		return xproto.Dial(ctx, display, nil)
	}, monitor, 10*time.Second)}, slog.New(slog.NewTextHandler(t.Output(), nil)), NewMetrics(prometheus.NewRegistry()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return j, end
}

// press presses and releases a key.
func (d *desk) press(code uint32, letter rune, locks uint8) {
	d.j.Key(code, true, letter, locks)
	d.j.Key(code, false, 0, 0)
}

// wrote checks what has been typed since the last time.
func (d *desk) wrote(what, want string) {
	d.t.Helper()
	var got string
	d.eventually(what, func() error {
		b, err := os.ReadFile(d.file)
		if got = strings.TrimPrefix(string(b), d.written); err == nil && len(got) < len(want) {
			err = fmt.Errorf("got %q; want %q", got, want)
		}
		return err
	})
	d.written += got
	if got != want {
		d.t.Errorf("%s: got %q; want %q", what, got, want)
	}
}

// azerty are keys of a French keyboard: place, and letter with and without Shift.
var azerty = []struct {
	code           uint32
	plain, shifted rune
}{
	{16, 'a', 'A'},
	{17, 'z', 'Z'},
	{30, 'q', 'Q'},
	{44, 'w', 'W'},
	{39, 'm', 'M'},
	{2, '&', '1'},
	{3, 'é', '2'},
	{10, 'ç', '9'},
	{40, 'ù', '%'},
	{51, ':', '/'},
	{52, '!', '§'},
	{20, 't', 'T'},
}

// The letter that the viewer meant arrives whatever the layouts of the two sides are.
func TestLettersOfOtherLayouts(t *testing.T) {
	d := newDesk(t)
	type layout struct{ name, variant string }
	for _, host := range []layout{
		{"us", ""}, {"fr", ""}, {"de", ""}, {"ru", ""}, {"us,ru", ""}, {"pl", ""}, {"us", "dvorak"},
	} {
		d.run("setxkbmap", "-layout", host.name, "-variant", host.variant)
		var want strings.Builder
		for _, k := range azerty {
			d.press(k.code, k.plain, 0)
			d.j.Key(42, true, 0, 0)
			d.press(k.code, k.shifted, 0)
			d.j.Key(42, false, 0, 0)
			want.WriteRune(k.plain)
			want.WriteRune(k.shifted)
		}
		for _, r := range "йцЖ€@{Łßλñ日" { // of other keyboards, at any place
			d.press(30, r, 0)
			want.WriteRune(r)
		}
		d.wrote(fmt.Sprintf("host %v", host), want.String())
	}
	// A shortcut of a Latin viewer in a Cyrillic group.
	d.run("setxkbmap", "ru")
	d.j.Key(29, true, 0, 0)
	d.press(46, 'c', 0)
	d.j.Key(29, false, 0, 0)
	d.wrote("Ctrl+C", "\x03")
	// Without a letter the place counts.
	d.press(16, 0, 0)
	d.wrote("place", "й")
}

// XTEST's keyboard may have another layout than the others, as where the configuration of Xorg sets that of real
// keyboards alone.
func TestLettersOfXTESTsOwnLayout(t *testing.T) {
	d := newDesk(t)
	d.run("setxkbmap", "fr")
	conn, err := xproto.Dial(t.Context(), d.display, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	id, err := xtestDevice(t.Context(), conn)
	if err != nil || id == xkbCoreKeyboard {
		t.Fatalf("got device %d, %v", id, err)
	}
	d.run("sh", "-c", fmt.Sprintf("setxkbmap -layout us -print | xkbcomp -w 0 -i %d - %s", id, d.display))
	d.press(16, 'a', 0)
	d.press(17, 'z', 0)
	d.press(39, 'm', 0)
	d.wrote("letters", "azm")
}

// CapsLock and NumLock are as on the viewer's keyboard, and letters keep their case.
func TestLocksInStep(t *testing.T) {
	d := newDesk(t)
	const off, caps, num = LocksKnown, LocksKnown | CapsLock, LocksKnown | NumLock
	d.press(30, 'A', caps)
	d.press(30, 0, caps) // by place
	d.press(30, 'a', off)
	d.press(30, 0, off)
	d.press(30, 'é', caps) // a viewer whose CapsLock leaves é alone
	d.press(30, 'É', caps)
	d.press(71, '7', num)
	d.press(71, 0, num)
	d.wrote("locks", "AAaaéÉ77")
	d.press(71, 0, off) // Home
	d.wrote("keypad without NumLock", "\x1b[H")
	d.press(30, 0, 0) // nothing is known: as before
	d.press(58, 0, 0) // CapsLock itself
	d.press(30, 0, 0)
	d.press(58, 0, caps)
	d.press(30, 0, 0)
	d.wrote("CapsLock's own key", "aAa")
}

// Text of input methods and of a clipboard arrives whole, however many letters the layout lacks.
func TestTextIsTyped(t *testing.T) {
	d := newDesk(t)
	text := "Hello, Welt – ça va? Привет! 日本語\tend\n"
	for r := rune(0x4e00); r < 0x4e00+150; r++ {
		text += string(r)
	}
	text += "done"
	d.j.Text(text)
	d.wrote("text", strings.ReplaceAll(text, "\n", "\r"))
	d.run("setxkbmap", "fr") // a new keymap has none of the letters
	d.j.Text("日本 aq")
	d.wrote("after another layout", "日本 aq")
}

// A letter that is held is released, and the keymap is as before when the Injector ends.
func TestKeymapIsRestored(t *testing.T) {
	d := newDesk(t)
	d.run("xset", "r", "off")
	keymap := func() string {
		out, err := exec.CommandContext(t.Context(), "xmodmap", "-display", d.display, "-pke").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := keymap()
	d.j.Key(16, true, 'ж', 0)
	d.wrote("letter", "ж")
	if keymap() == before {
		t.Error("the letter has no key")
	}
	d.j.Release()
	d.press(16, 'ж', 0)
	d.wrote("again", "ж")
	d.end()
	if after := keymap(); after != before {
		t.Errorf("the keymap was\n%s\nand is\n%s", before, after)
	}
}
