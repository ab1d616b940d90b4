//go:build integration

package endtoend

import (
	"context"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	ours "wavryhost/platform/xproto"
)

// startXorg starts Xorg with the dummy driver, whose monitors come and go. It shows text that moves.
func startXorg(t testing.TB) *xserver {
	t.Helper()
	need(t, "Xorg", "xrandr", "xterm")
	if os.Geteuid() != 0 {
		t.Skip("needs root: Xorg opens the console")
	}
	config, err := filepath.Abs("../../../capture/x11/testdata/xorg-dummy.conf")
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("Xorg", "-config", config, "-logfile", filepath.Join(t.TempDir(), "log"), "-noreset", "-nolisten",
		"tcp", "-novtswitch", "-sharevts", "vt7", "-displayfd", "3")
	cmd.ExtraFiles = []*os.File{w}
	x := &xserver{process: start(t, cmd), width: 1280, height: 720}
	w.Close()
	_ = r.SetReadDeadline(time.Now().Add(patience))
	if _, err := fmt.Fscanln(r, &x.number); err != nil {
		t.Fatalf("Xorg does not say its display number: %v", err)
	}
	x.xrandr(t, "--addmode", "DUMMY1", "1024x768")
	x.program(t, "xterm", "-geometry", "50x20+0+0", "-bg", "white", "-fg", "black", "-j", "-e", "sh", "-c",
		"i=0; while :; do i=$((i+1)); echo $i the quick brown fox $((i*7919)); sleep 0.02; done")
	return x
}

// resize changes the mode of the only monitor.
func (x *xserver) resize(t testing.TB, size image.Point) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := ours.Dial(ctx, x.name(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Resize(ctx, c.Screen.Root, size, 96); err != nil {
		t.Fatalf("%v: %v", size, err)
	}
	x.width, x.height = size.X, size.Y
}

// plug plugs a second monitor in at the right of the first, or unplugs it.
func (x *xserver) plug(t testing.TB, in bool, first image.Point) {
	t.Helper()
	if in {
		x.xrandr(t, "--output", "DUMMY1", "--mode", "1024x768", "--pos", fmt.Sprintf("%dx0", first.X))
		x.width, x.height = first.X+1024, max(first.Y, 768)
		return
	}
	x.xrandr(t, "--output", "DUMMY1", "--off")
	x.width, x.height = first.X, first.Y
}

// BenchmarkModeChanges changes the mode of a display, to upright ones too, and plugs and unplugs a monitor, under a
// viewer in Chromium. It measures the longest time between two pictures around each change, and without changes. It
// fails if a size is wrong or the stream is negotiated again.
func BenchmarkModeChanges(b *testing.B) {
	const changes = 100
	x := startXorg(b)
	h := startHost(b, hostOptions{args: []string{"--display", x.id()}})
	page := openBrowser(b, "", h.page(""))
	page.waitFrames(b, 30, patience)
	evaluate := func(script string, result any) {
		b.Helper()
		if err := page.eval(script, result); err != nil {
			b.Fatal(err)
		}
	}
	evaluate(`(() => {
		const v = document.querySelector("video");
		window.gap = {last: performance.now(), longest: 0, frames: 0};
		const next = (now) => {
			gap.longest = Math.max(gap.longest, now - gap.last);
			gap.last = now;
			gap.frames++;
			v.requestVideoFrameCallback(next);
		};
		v.requestVideoFrameCallback(next);
		return 0;
	})()`, new(int))
	const reset = `(() => { gap.longest = 0; gap.frames = 0; return 0; })()`
	longest := func() time.Duration {
		b.Helper()
		var ms float64
		eventually(b, patience, "more pictures", func() error {
			var frames int
			if evaluate(`gap.frames`, &frames); frames < 3 {
				return errNotYet
			}
			return nil
		})
		evaluate(`gap.longest`, &ms)
		return time.Duration(ms * float64(time.Millisecond))
	}
	var before, after string
	const peer = `wavry.session.id + wavry.pc.currentRemoteDescription.sdp`
	evaluate(peer, &before)

	var without, with []time.Duration
	for range changes / 4 {
		evaluate(reset, new(int))
		evaluate(`new Promise((done) => { setTimeout(() => done(0), 500); })`, new(int))
		without = append(without, longest())
	}
	random := rand.New(rand.NewPCG(17, 17))
	first, plugged := image.Pt(x.width, x.height), false
	for b.Loop() {
		for range changes {
			evaluate(reset, new(int))
			if plugged || random.IntN(4) == 0 {
				plugged = !plugged
				x.plug(b, plugged, first)
			} else {
				first = image.Pt(320+2*random.IntN(480), 240+2*random.IntN(240))
				if random.IntN(3) == 0 {
					first = image.Pt(first.Y, first.X)
				}
				x.resize(b, first)
			}
			h.waitSize(b, x, page.size)
			evaluate(`(() => { gap.frames = 0; return 0; })()`, new(int))
			with = append(with, longest())
		}
	}
	evaluate(peer, &after)
	if after != before {
		b.Error("the stream was negotiated again")
	}
	for name, list := range map[string][]time.Duration{"gap": with, "still": without} {
		slices.Sort(list)
		for _, share := range []int{50, 95, 100} {
			at := list[min(len(list)-1, len(list)*share/100)]
			b.ReportMetric(float64(at.Microseconds())/1e3, fmt.Sprintf("%s-p%d-ms", name, share))
		}
	}
}
