//go:build integration

package endtoend

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// transcript starts a terminal whose program writes all typed text into a file, letter by letter.
func (x *xserver) transcript(t testing.TB) (file string) {
	t.Helper()
	return x.transcriptBy(t, "xterm")
}

// transcriptOfText is transcript for letters of all languages.
func (x *xserver) transcriptOfText(t testing.TB) (file string) {
	t.Helper()
	return x.transcriptBy(t, "env", "LC_ALL=C.UTF-8", "xterm", "-u8")
}

func (x *xserver) transcriptBy(t testing.TB, terminal ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "transcript")
	x.background(t, "#204060")
	x.program(t, terminal[0], append(terminal[1:], "-geometry", "80x24+0+0", "-e", "sh", "-c",
		fmt.Sprintf("stty raw -echo; touch %[1]s; exec dd of=%[1]s bs=1 2>/dev/null", file))...)
	x.waitWindows(t, 1)
	eventually(t, patience, "the program reads", func() error {
		_, err := os.Stat(file)
		return err
	})
	return file
}

// typed waits until a transcript has n letters and no further letters arrive for a while.
func typed(t testing.TB, file string, want []byte) {
	t.Helper()
	var got []byte
	eventually(t, patience, fmt.Sprintf("%d letters are typed", len(want)), func() (err error) {
		got, err = os.ReadFile(file)
		if len(got) < len(want) {
			return errors.Join(err, fmt.Errorf("%d letters: %.60q", len(got), got))
		}
		return err
	})
	if !bytes.Equal(got, want) {
		i := 0
		for i < len(want) && got[i] == want[i] {
			i++
		}
		t.Errorf("%d letters for %d; the first wrong one is number %d, in …%.40q",
			len(got), len(want), i, got[max(0, i-10):])
	}
}

// alphabet has the codes of the letters a to j.
var alphabet = []int{30, 48, 46, 32, 18, 33, 34, 35, 23, 36}

// paste makes the page send n letters at once, as a program that types pasted text does.
func (b *browser) paste(t testing.TB, n int) []byte {
	t.Helper()
	var done bool
	if err := b.eval(fmt.Sprintf(`(() => {
		const codes = [%s];
		for (let i = 0; i < %d; i++) { const c = codes[i %% 10]; window.wavry.control.send("key", c,
			true); window.wavry.control.send("key", c, false); }
		return true;
	})()`, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(alphabet)), ","), "[]"), n), &done); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat([]byte("abcdefghij"), n/10)
}

// Text that is sent at once arrives complete and in order, also while the X server is stopped: what the display cannot
// take waits in the page.
func TestPastedTextArrivesWhole(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	file := x.transcript(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	b := openBrowser(t, "", h.page(""))
	b.control(t, x, [2]int{200, 100})
	want := b.paste(t, 10_000)
	typed(t, file, want)

	if err := x.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	want = append(want, b.paste(t, 10_000)...)
	eventually(t, patience, "the page says that the display is slow", func() error {
		if s := b.text(t, "control"); s != "you control; the display is slow" &&
			s != "the display takes no input at present" {
			return fmt.Errorf("it says %q", s)
		}
		return nil
	})
	eventually(t, patience, "three seconds pass", func() error {
		if time.Since(start) < 3*time.Second {
			return errNotYet
		}
		return nil
	})
	if err := x.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	typed(t, file, want)
	b.waitControl(t, "you control")
	if n := h.metric(t, `wavry_host_input_lost_total{reason="overflow"}`) + h.metric(t,
		`wavry_host_input_lost_total{reason="unavailable"}`); n != 0 {
		t.Errorf("%v commands are counted as lost", n)
	}
}

// A client that sends as fast as it can is slowed down. Nothing that it sends is lost, and the daemon buffers little of
// it.
func TestFastClientIsSlowedDown(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	file := x.transcript(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	var channel *webrtc.DataChannel
	open := make(chan struct{})
	a := joinWith(t, h, func(pc *webrtc.PeerConnection) {
		var err error
		if channel, err = pc.CreateDataChannel("input", nil); err != nil {
			t.Fatal(err)
		}
		channel.OnOpen(func() { close(open) })
	})
	defer a.leave(t, h)
	<-open
	const n = 5000
	start := time.Now()
	for i := range n {
		for _, down := range []byte{1, 0} {
			if err := channel.Send([]byte{0x22, 4, 0x08, byte(alphabet[i%10]), 0x10, down}); err != nil {
				t.Fatal(err)
			}
		}
	}
	typed(t, file, bytes.Repeat([]byte("abcdefghij"), n/10))
	if took := time.Since(start); took < 4*time.Second { // 10,000 messages at 2,000 a second
		t.Errorf("%d messages were taken in %v", 2*n, took)
	}
}

// A key that is pressed while the path is cut types one letter, at any repeat rate of the X server. Text that is typed
// over a path which is cut repeatedly arrives as typed.
func TestShortPressIsOneLetterOnABrokenPath(t *testing.T) {
	t.Parallel()
	l := newLink(t)
	need(t, "nft")
	// It repeats keys later than others do, so that a busy machine types no letter more; session:
	// TestCutReleasesBeforeTheDisplayRepeats has the usual delay.
	x := startX(t, 0, 640, 480, "-ardelay", "1500")
	file := x.transcript(t)
	h := startExposed(t, l.host, l.hostIP, append([]string{"--display", x.id()}, patient...)...)
	b := openBrowser(t, l.viewer, h.page(""))
	b.control(t, x, [2]int{100, 100})
	pause := func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		<-timer.C
	}
	var want []byte
	for _, cut := range []time.Duration{
		300 * time.Millisecond, 700 * time.Millisecond, time.Second,
		2 * time.Second, 4 * time.Second,
	} {
		b.key(t, "KeyA", true, 0)
		want = append(want, 'a')
		typed(t, file, want)
		l.cut(t, true)
		b.key(t, "KeyA", false, 0)
		pause(cut)
		l.cut(t, false)
		b.key(t, "KeyB", true, 0)
		b.key(t, "KeyB", false, 0)
		want = append(want, 'b')
		typed(t, file, want)
		if t.Failed() {
			t.Fatalf("the path was cut for %v", cut)
		}
	}

	const words = "the quick brown fox jumps over the lazy dog "
	text := strings.Repeat(words, 2)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			l.cut(t, true)
			pause(300 * time.Millisecond)
			l.cut(t, false)
			select {
			case <-over:
				return
			case <-time.After(700 * time.Millisecond):
			}
		}
	}()
	next := time.Now()
	for _, r := range text {
		code := "Key" + strings.ToUpper(string(r))
		if r == ' ' {
			code = "Space"
		}
		b.key(t, code, true, 0)
		pause(50 * time.Millisecond)
		b.key(t, code, false, 0)
		next = next.Add(125 * time.Millisecond)
		pause(time.Until(next))
	}
	close(over)
	<-ended
	typed(t, file, append(want, text...))
}
