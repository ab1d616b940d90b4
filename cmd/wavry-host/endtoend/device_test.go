//go:build integration

package endtoend

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/encode/ffmpeg/standin"
)

// onlyH264 is a device without other codecs, whose trials would take seconds.
const onlyH264 = "encode=h264"

// deviceHost runs a daemon on a graphics device for tests, with a screen that moves and a browser that watches it.
func deviceHost(t *testing.T, d standin.Device, o hostOptions) (*host, *browser) {
	t.Helper()
	x := startX(t, 0, 1280, 720)
	x.background(t, "#204060")
	o.env = slices.Concat(standin.Env(t), o.env, []string{"DISPLAY=" + x.name()})
	o.args = []string{"--display", x.id(), "encoding.vaapi_device=" + d.Path, "displays.bitrate.max=4M"}
	h := startHost(t, o)
	b := openBrowser(t, "", h.page(""))
	b.waitPicture(t, x)
	x.noisy(t)
	b.waitFrames(t, 30, patience)
	return h, b
}

// watchFreezes makes the page measure the time between decoded pictures.
func (b *browser) watchFreezes(t *testing.T) {
	t.Helper()
	var ok bool
	err := b.eval(`(() => {
		const video = document.querySelector("video");
		window.longest = 0;
		let last = performance.now();
		const next = () => {
			const now = performance.now();
			window.longest = Math.max(window.longest, now - last);
			last = now;
			video.requestVideoFrameCallback(next);
		};
		video.requestVideoFrameCallback(next);
		return true;
	})()`, &ok)
	if err != nil {
		t.Fatal(err)
	}
}

// longestFreeze returns the longest time between two decoded pictures since watchFreezes.
func (b *browser) longestFreeze(t *testing.T) time.Duration {
	t.Helper()
	var ms float64
	if err := b.eval(`window.longest`, &ms); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// waitEncoder waits until the session is encoded by that encoder.
func (h *host) waitEncoder(t *testing.T, name string) {
	t.Helper()
	eventually(t, patience, "the encoder is "+name, func() error {
		if got := h.session(t).Encoder; got != name {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// A graphics device that fails while a browser watches is replaced in the same track within a second, and used again
// when it works.
func TestDeviceFaultsInABrowser(t *testing.T) {
	const vaapi, nvenc = "h264_vaapi", "h264_nvenc"
	for _, c := range []struct{ encoder, fault, reason string }{
		{vaapi, "lost", "error"},
		{vaapi, "hang", "hang"},
		{vaapi, "damaged", "output"},
		{vaapi, "rate=ignored", "rate"},
		{nvenc, "lost", "error"},
		{nvenc, "hang", "hang"},
	} {
		t.Run(c.encoder+" "+c.fault, func(t *testing.T) {
			t.Parallel()
			d := standin.New(t, onlyH264)
			render, o := d, hostOptions{}
			if c.encoder == nvenc {
				render, o.env = standin.New(t, "encode=none"), standin.Nvidia(t, d)
			}
			h, b := deviceHost(t, render, o)
			h.waitEncoder(t, c.encoder)
			id := h.session(t).ID
			b.watchFreezes(t)
			b.waitFrames(t, 60, patience)
			usual := b.longestFreeze(t) // on this machine, which may be busy
			d.Set(t, onlyH264, c.fault)
			h.waitEncoder(t, "libx264")
			b.waitFrames(t, 30, patience)
			froze := b.longestFreeze(t)
			t.Logf("longest time without a picture: %v, before the fault %v", froze.Round(time.Millisecond),
				usual.Round(time.Millisecond))
			if froze > time.Second+2*usual {
				t.Errorf("no picture for %v; want a second at most, and twice the %v from before the fault", froze, usual)
			}
			h.waitMetric(t, fmt.Sprintf(`wavry_host_encoder_fallbacks_total{codec="H264",from=%q,reason=%q,to="libx264"}`,
				c.encoder, c.reason), 1)
			d.Set(t, onlyH264)
			h.waitEncoder(t, c.encoder)
			b.waitFrames(t, 30, patience)
			t.Logf("with the return of the device: %v", b.longestFreeze(t).Round(time.Millisecond))
			if again := h.session(t).ID; again != id {
				t.Errorf("session %s became %s", id, again)
			}
		})
	}
}

// A crash in a driver ends the daemon. The service manager starts it again. Then the trial of the encoder crashes,
// which is a process of its own, and the page continues with another encoder.
func TestDeviceThatCrashes(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // both daemons have the same address
	if err != nil {
		t.Fatal(err)
	}
	const token = "crash-crash-crash-crash"
	o := hostOptions{listen: ln.Addr().String(), token: token, env: []string{"WAVRY_HOST_AUTH__TOKEN=" + token}}
	ln.Close()
	d := standin.New(t, onlyH264)
	h, b := deviceHost(t, d, o)
	h.waitEncoder(t, "h264_vaapi")
	d.Set(t, onlyH264, "crash")
	select {
	case <-h.done:
	case <-time.After(patience):
		t.Fatal("the daemon survived a crash in its own process")
	}
	if code := h.ProcessState.ExitCode(); code == 0 { // systemd's Restart=on-failure restarts for all others
		t.Error("the daemon ended with 0; the service manager would not restart it")
	}
	next := &exec.Cmd{Path: h.Path, Args: h.Args, Env: h.Env}
	restarted := time.Now()
	h.process = start(t, next)
	b.waitLive(t, h)
	t.Logf("picture back %v after the restart", time.Since(restarted).Round(time.Millisecond))
	if got := h.session(t).Encoder; got != "libx264" {
		t.Errorf("encoder %s; want libx264", got)
	}
	h.waitLog(t, "SIGSEGV: segmentation violation")
}

// The report says what works and what does not, and a crash in a driver is part of it.
func TestVerifyEncoders(t *testing.T) {
	t.Parallel()
	d := standin.New(t)
	for _, c := range []struct {
		fault string
		code  int
		want  []string
	}{
		{"rate=vbr", 0, []string{
			"Works: PSNR", "Variant 2 of 3, sizes from 64x64 to 4096x4096.",
			"| pictures of 1920x1080 | passed |", "| pictures of 5120x1440 | skipped |",
			"| opening and closing | passed | 20 times",
		}},
		{"crash", 0, []string{"Cannot be used: verifying process: ", "SIGSEGV: segmentation violation"}},
		{"corrupt", 0, []string{"Cannot be used: ", "output does not decode"}},
	} {
		d.Set(t, c.fault)
		path := filepath.Join(t.TempDir(), "report.md")
		cmd := exec.CommandContext(t.Context(), hostBinary, "verify-encoders", "--opens", "20", "--output", path)
		cmd.Env = slices.Concat(os.Environ(), standin.Env(t), []string{
			"WAVRY_HOST_ENCODING__ENCODER=h264_vaapi", "WAVRY_HOST_ENCODING__VAAPI_DEVICE=" + d.Path,
		})
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != c.code {
			t.Errorf("%q: %v; want exit code %d: %s", c.fault, err, c.code, out)
		}
		report, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		for _, want := range append(c.want, "## h264_vaapi") {
			if !strings.Contains(string(report), want) {
				t.Errorf("%q: the report has no %q:\n%s", c.fault, want, report)
			}
		}
	}
}
