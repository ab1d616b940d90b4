//go:build integration

package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser is a page of a headless browser.
type browser struct{ page page }

// page drives a browser.
type page interface {
	// evaluate runs JavaScript, waits for the promise that it returns, and returns its text.
	evaluate(ctx context.Context, script string) (string, error)
	// screenshot returns the page as a PNG file.
	screenshot(ctx context.Context) ([]byte, error)
}

// chromium is a page of Chromium.
type chromium struct {
	ctx context.Context //nolint:containedctx // chromedp keeps the page in its context
}

// within returns the page's context, which also ends when ctx ends.
func (c chromium) within(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(c.ctx)
	}
	return context.WithDeadline(c.ctx, end)
}

func (c chromium) evaluate(ctx context.Context, script string) (string, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
}

func (c chromium) screenshot(ctx context.Context) ([]byte, error) {
	ctx, cancel := c.within(ctx)
	defer cancel()
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}

// openBrowser starts Chromium, inside a network namespace when one is named, and opens url.
func openBrowser(t testing.TB, namespace, url string) *browser {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{chromedp.Flag("headless", "new")}
	if namespace != "" {
		options = append(options, chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
			ip, err := exec.LookPath("ip")
			if err != nil {
				t.Fatal(err)
			}
			cmd.Args = append([]string{ip, "netns", "exec", namespace, cmd.Path}, cmd.Args[1:]...)
			cmd.Path = ip
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // as chromedp has it
		}))
	}
	return startChromium(t, url, options...)
}

// startChromium starts Chromium with further options, and opens url.
func startChromium(t testing.TB, url string, further ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	need(t, "chromium")
	out := new(output)
	// chromedp makes Chromium's profile: it waits for the browser's children, which outlive the browser for a moment,
	// before it removes the folder.
	options := append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.CombinedOutput(out),
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("no-first-run", true), chromedp.Flag("mute-audio", true),
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("window-size", "1280,800"),
		// The page must be painted although nobody looks at it.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
	}, further...)
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancelAllocator)
	page, cancelPage := chromedp.NewContext(allocator)
	t.Cleanup(cancelPage)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Chromium printed:\n%s", tail(out.String(), 3000))
		}
	})
	if err := chromedp.Do(page, chromedp.Navigate(url)); err != nil {
		t.Fatalf("open %s: %v\n%s", url, err, out)
	}
	return &browser{chromium{page}}
}

// eval runs JavaScript, waits for its promise, and stores the value in result.
func (b *browser) eval(script string, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	text, err := b.page.evaluate(ctx, "(async () => JSON.stringify(await ("+script+")))()")
	if err != nil {
		return err
	}
	if text == "" || text == "undefined" {
		return errNotYet
	}
	return json.Unmarshal([]byte(text), result)
}

// inbound has the browser's statistics of the received video.
type inbound struct {
	FramesDecoded   int     `json:"framesDecoded"`
	FramesPerSecond float64 `json:"framesPerSecond"`
	KeyFrames       int     `json:"keyFramesDecoded"`
	Width           int     `json:"frameWidth"`
	Height          int     `json:"frameHeight"`
	PacketsLost     int     `json:"packetsLost"`
	NACKs           int     `json:"nackCount"`
	PLIs            int     `json:"pliCount"`
	FreezeCount     int     `json:"freezeCount"`
	Decoder         string  `json:"decoderImplementation"`
}

func (b *browser) inbound() (inbound, error) {
	var in inbound
	err := b.eval(`(async () => {
		const report = await window.wavry.pc.getStats();
		for (const s of report.values()) if (s.type === "inbound-rtp" && s.kind === "video") return s;
		return {};
	})()`, &in)
	return in, err
}

// waitFrames waits until n more frames than now are decoded.
func (b *browser) waitFrames(t testing.TB, n int, limit time.Duration) {
	t.Helper()
	first := -1
	eventually(t, limit, fmt.Sprintf("%d frames are decoded", n), func() error {
		in, err := b.inbound()
		if err != nil {
			return err
		}
		if first < 0 || in.FramesDecoded < first {
			first = in.FramesDecoded
		}
		if in.FramesDecoded < first+n {
			return fmt.Errorf("%d of %d", in.FramesDecoded-first, n)
		}
		return nil
	})
}

// size returns the size of the last decoded picture.
func (b *browser) size() (width, height int, err error) {
	in, err := b.inbound()
	return in.Width, in.Height, err
}

// luma returns the brightness of the video's picture, averaged into cells.
func (b *browser) luma(columns, rows int) ([]float64, error) {
	var cells []float64
	err := b.eval(fmt.Sprintf(`(async () => {
		const video = document.querySelector("video"), columns = %d, rows = %d;
		const w = video.videoWidth, h = video.videoHeight;
		if (!w) return [];
		const canvas = document.createElement("canvas");
		canvas.width = w; canvas.height = h;
		const context = canvas.getContext("2d", {willReadFrequently: true});
		context.drawImage(video, 0, 0);
		const d = context.getImageData(0, 0, w, h).data;
		const sums = new Float64Array(columns * rows), counts = new Float64Array(columns * rows);
		for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
			const i = (y * w + x) * 4, cell = Math.floor(y * rows / h) * columns + Math.floor(x * columns / w);
			sums[cell] += 0.299 * d[i] + 0.587 * d[i+1] + 0.114 * d[i+2];
			counts[cell]++;
		}
		return Array.from(sums, (s, i) => Math.round(s / counts[i] * 10) / 10);
	})()`, columns, rows), &cells)
	if err == nil && len(cells) != columns*rows {
		err = errNotYet
	}
	return cells, err
}

// screenshot writes the page as a PNG file.
func (b *browser) screenshot(t testing.TB, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	png, err := b.page.screenshot(ctx)
	if err != nil {
		t.Fatalf("screenshot: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// difference returns the largest and the mean difference of two brightness maps, of 255.
func difference(a, b []float64) (largest, mean float64) {
	for i := range a {
		d := math.Abs(a[i] - b[i])
		largest = max(largest, d)
		mean += d / float64(len(a))
	}
	return largest, mean
}

// waitPicture waits until the browser shows the X server's picture, which must stand still.
func (b *browser) waitPicture(t testing.TB, x *xserver) {
	t.Helper()
	b.waitLuma(t, func(columns, rows int) []float64 { return x.luma(t, columns, rows) })
}

// waitLuma waits until the browser shows a desktop, by the mean luma of cells of it.
func (b *browser) waitLuma(t testing.TB, want func(columns, rows int) []float64) {
	t.Helper()
	const columns, rows = 160, 90
	eventually(t, patience, "the picture is the desktop's", func() error {
		got, err := b.luma(columns, rows)
		if err != nil {
			return err
		}
		largest, mean := difference(got, want(columns, rows))
		if largest > 24 || mean > 1.5 {
			return fmt.Errorf("it differs by %.1f at most and %.2f on average, of 255", largest, mean)
		}
		return nil
	})
}
