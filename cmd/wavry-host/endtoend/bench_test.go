//go:build integration

package endtoend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/x11"
	"wavryhost/encode"
	"wavryhost/encode/ffmpeg"
)

// The cost of a desktop, compared with FFmpeg's own command line. Product and rival are measured in turn on the same X
// server with the same programs. CPU is the scheduler's account of all threads, in milliseconds.
const (
	benchRate    = 60
	benchMoving  = 8 * time.Second // a measurement of the moving desktop
	benchIdle    = 20 * time.Second
	benchRounds  = 3 // of ours and FFmpeg's, in turn; the median is shown
	benchFrames  = 150
	benchConnect = 40 // connections to measure the first frame of
	benchDelays  = 600
)

var benchSizes = []struct {
	image.Point
	bits int
}{{image.Pt(1280, 720), 4e6}, {image.Pt(1920, 1080), 6e6}}

// cost is the cost of one second of a desktop.
type cost struct {
	frames                                float64 // a second
	capture, convert, encode, all, server float64 // ms of CPU a second
}

func (c cost) perFrame(ms float64) float64 { return ms / c.frames }

// median returns the costs field by field.
func median(list []cost) cost {
	mid := func(of func(cost) float64) float64 {
		var v []float64
		for _, c := range list {
			v = append(v, of(c))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return cost{
		frames: mid(func(c cost) float64 { return c.frames }), capture: mid(func(c cost) float64 { return c.capture }),
		convert: mid(func(c cost) float64 { return c.convert }), encode: mid(func(c cost) float64 { return c.encode }),
		all: mid(func(c cost) float64 { return c.all }), server: mid(func(c cost) float64 { return c.server }),
	}
}

// BenchmarkDesktop prints what capture, conversion and encoding cost on a moving and on a still desktop, and how good
// the pictures are.
func BenchmarkDesktop(b *testing.B) {
	need(b, "ffmpeg")
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dp%d/moving", size.Y, benchRate), func(b *testing.B) {
			x := startX(b, 0, size.X, size.Y)
			x.desktop(b)
			x.moving(b)
			x.waitWindows(b, 3)
			for b.Loop() {
				benchMovingDesktop(b, x, size.bits)
			}
		})
		b.Run(fmt.Sprintf("%dp%d/idle", size.Y, benchRate), func(b *testing.B) {
			x := startX(b, 0, size.X, size.Y)
			x.desktop(b)
			for b.Loop() {
				benchIdleDesktop(b, x, size.bits)
			}
		})
		b.Run(fmt.Sprintf("%dp%d/quality", size.Y, benchRate), func(b *testing.B) {
			x := startX(b, 0, size.X, size.Y)
			x.desktop(b)
			x.moving(b)
			x.waitWindows(b, 3)
			for b.Loop() {
				benchQuality(b, x, size.bits)
			}
		})
	}
}

func benchMovingDesktop(b *testing.B, x *xserver, bits int) {
	b.Helper()
	var idle, ours, whole, grab, convert, full []cost
	for range benchRounds {
		idle = append(idle, cost{frames: 1, server: serverAlone(b, x)})
		ours = append(ours, pipeline(b, x, bits, false))
		whole = append(whole, pipeline(b, x, bits, true))
		grab = append(grab, rival(b, x, "-c:v", "wrapped_avframe", "-f", "null", "-"))
		convert = append(convert, rival(b, x, "-pix_fmt", "yuv420p", "-c:v", "wrapped_avframe", "-f", "null", "-"))
		full = append(full, rival(b, x, x264(bits)...))
	}
	base := median(idle).server
	o, w, g, c, f := median(ours), median(whole), median(grab), median(convert), median(full)
	for _, one := range []*cost{&o, &w, &g, &c, &f} {
		one.server = max(0, one.server-base) // what the programs themselves make the server do is nobody's
	}
	line := func(name string, c cost, stages string) {
		b.Logf("%-28s %5.1f frames/s   %s   X server %.2f   all %.2f ms/frame, %.1f %% of a core", name,
			c.frames, stages,
			c.perFrame(c.server), c.perFrame(c.all+c.server), (c.all+c.server)/10)
	}
	stages := func(c cost) string {
		return fmt.Sprintf("grab %.2f  convert %.2f  encode %.2f", c.perFrame(c.capture),
			c.perFrame(c.convert), c.perFrame(c.encode))
	}
	line("ours, what changed", o, stages(o))
	line("ours, whole pictures", w, stages(w))
	line("ffmpeg, grab", g, "")
	line("ffmpeg, grab and convert", c, "")
	line("ffmpeg, and libx264 ultrafast", f, "")
	ourGrab := (o.capture + o.convert + o.server) / o.frames
	wholeGrab := (w.capture + w.convert + w.server) / w.frames
	theirGrab := (c.all + c.server) / c.frames
	b.ReportMetric(ourGrab/theirGrab, "grab+convert-of-ffmpeg")
	b.ReportMetric(wholeGrab/theirGrab, "whole-grab+convert-of-ffmpeg")
	b.ReportMetric((o.all+o.server)/(f.all+f.server), "cpu-of-ffmpeg")
	b.ReportMetric((o.all+o.server)/10, "%core-ours")
	b.ReportMetric((f.all+f.server)/10, "%core-ffmpeg")
	b.ReportMetric(0, "ns/op")
}

// x264 has the arguments that people commonly use to stream a desktop.
func x264(bits int) []string {
	rate := strconv.Itoa(bits)
	return []string{
		"-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1",
		"-b:v", rate, "-maxrate", rate, "-bufsize", strconv.Itoa(bits / 2), "-g", "600", "-f", "null", "-",
	}
}

// processor returns the CPU time of a process and its running threads. Threads that have ended are not included.
func processor(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		tb.Fatalf("no threads of process %d: %v", pid, err)
	}
	var sum time.Duration
	for _, file := range threads {
		raw, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a thread that has just ended
		}
		if err != nil {
			tb.Fatal(err)
		}
		n, err := strconv.ParseInt(strings.Fields(string(raw))[0], 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		sum += time.Duration(n)
	}
	return sum
}

// own returns the CPU time of this process.
func own(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }

// serverAlone returns the X server's CPU time in milliseconds per second while nobody watches.
func serverAlone(tb testing.TB, x *xserver) float64 {
	tb.Helper()
	before, start := processor(tb, x.Process.Pid), time.Now()
	<-time.After(benchMoving / 2)
	return millis(processor(tb, x.Process.Pid)-before) / time.Since(start).Seconds()
}

// pipeline runs capture, conversion and encoding in this process, paced as in the daemon.
func pipeline(tb testing.TB, x *xserver, bits int, whole bool) cost {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	src, err := x11.New(context.Background(), x11.Config{
		Display: x.name(),
		Demand:  capture.Demand{Cursor: capture.CursorHidden},
	}, log)
	if err != nil {
		tb.Fatal(err)
	}
	defer src.Close()
	enc := openEncoder(tb, x.width, x.height, bits)
	defer enc.Close()

	var c cost
	tick := time.NewTicker(time.Second / benchRate)
	defer tick.Stop()
	server, start := processor(tb, x.Process.Pid), time.Now()
	ours := own(tb)
	for time.Since(start) < benchMoving {
		<-tick.C
		if whole {
			src.Refresh()
		}
		before := own(tb)
		f, err := src.Next(context.Background())
		if err != nil {
			tb.Fatal(err)
		}
		after := own(tb)
		unit, err := enc.Encode(f, encode.Order{})
		if err != nil {
			tb.Fatal(err)
		}
		c.frames++
		c.capture += millis(after - before)
		c.convert += millis(unit.Convert)
		c.encode += millis(own(tb)-after) - millis(unit.Convert)
	}
	seconds := time.Since(start).Seconds()
	c.all = millis(own(tb) - ours)
	c.server = millis(processor(tb, x.Process.Pid) - server)
	for _, v := range []*float64{&c.frames, &c.capture, &c.convert, &c.encode, &c.all, &c.server} {
		*v /= seconds
	}
	return c
}

func openEncoder(tb testing.TB, width, height, bits int) encode.Encoder {
	tb.Helper()
	p, ok := encode.FindProfile("libx264")
	if !ok {
		tb.Fatal("no profile of libx264")
	}
	e, err := ffmpeg.New(p, slog.New(slog.DiscardHandler)).
		Open(encode.Params{Width: width, Height: height, FPS: benchRate, BitsPerSecond: bits})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// rival runs FFmpeg's x11grab for the time of one measurement. Its start-up is not counted.
func rival(tb testing.TB, x *xserver, output ...string) cost {
	tb.Helper()
	return rivalFor(tb, x, benchMoving, output...)
}

func rivalFor(tb testing.TB, x *xserver, limit time.Duration, output ...string) cost {
	tb.Helper()
	args := append([]string{
		"-hide_banner", "-nostdin", "-loglevel", "error", "-progress", "pipe:1", "-stats_period", "0.2",
		"-f", "x11grab", "-draw_mouse", "0", "-framerate", strconv.Itoa(benchRate),
		"-video_size", fmt.Sprintf("%dx%d", x.width, x.height), "-i", x.name(),
	}, output...)
	cmd := exec.Command("ffmpeg", args...)
	r, w := io.Pipe()
	cmd.Stdout = w
	p := start(tb, cmd)
	defer p.kill()
	frames := make(chan float64, 4096) // each report of -progress, never blocks in a measurement's time
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			if text, ok := strings.CutPrefix(s.Text(), "frame="); ok {
				if n, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
					frames <- n
				}
			}
		}
	}()
	next := func() float64 {
		select {
		case n := <-frames:
			return n
		case <-p.done:
			tb.Fatalf("ffmpeg ended: %v\n%s", p.err, p.out)
		case <-time.After(20 * time.Second):
			tb.Fatalf("ffmpeg counts no frames\n%s", p.out)
		}
		return 0
	}
	first := 0.0
	for first < benchRate/2 {
		first = next()
	}
	ours, server, begun := processor(tb, p.Process.Pid), processor(tb, x.Process.Pid), time.Now()
	last := first
	for time.Since(begun) < limit {
		last = next()
	}
	seconds := time.Since(begun).Seconds()
	return cost{
		frames: (last - first) / seconds,
		all:    millis(processor(tb, p.Process.Pid)-ours) / seconds,
		server: millis(processor(tb, x.Process.Pid)-server) / seconds,
	}
}

// benchIdleDesktop compares the whole daemon and one watching browser with FFmpeg.
func benchIdleDesktop(b *testing.B, x *xserver, bits int) {
	b.Helper()
	h := startHost(b, hostOptions{measured: true, args: []string{"--display", x.id(), "displays.cursor=false"}})
	browser := openBrowser(b, "", h.page(""))
	browser.waitFrames(b, 1, 20*time.Second)
	eventually(b, 30*time.Second, "the picture is sharp and the stream at rest", func() error {
		before := h.session(b).FramesSent
		<-time.After(2 * time.Second)
		if after := h.session(b).FramesSent; after > before+3 {
			return fmt.Errorf("%d frames in two seconds", after-before)
		}
		return nil
	})
	var ours, theirs []cost
	for range benchRounds {
		daemon, server, start := processor(b, h.Process.Pid), processor(b, x.Process.Pid), time.Now()
		<-time.After(benchIdle)
		seconds := time.Since(start).Seconds()
		ours = append(ours, cost{
			all:    millis(processor(b, h.Process.Pid)-daemon) / seconds,
			server: millis(processor(b, x.Process.Pid)-server) / seconds,
		})
		paused := rivalFor(b, x, benchMoving, x264(bits)...)
		theirs = append(theirs, paused)
	}
	o, f := median(ours), median(theirs)
	b.Logf("ours, a browser watching       daemon %.2f   X server %.2f %% of a core", o.all/10, o.server/10)
	b.Logf("ffmpeg, libx264 ultrafast      ffmpeg %.2f   X server %.2f %% of a core", f.all/10, f.server/10)
	b.ReportMetric((f.all+f.server)/(o.all+o.server), "times-cheaper")
	b.ReportMetric((o.all+o.server)/10, "%core-ours")
	b.ReportMetric((f.all+f.server)/10, "%core-ffmpeg")
	b.ReportMetric(0, "ns/op")
}

// benchQuality records pictures and has both encode them at the same bitrate.
func benchQuality(b *testing.B, x *xserver, bits int) {
	b.Helper()
	dir := b.TempDir()
	raw := filepath.Join(dir, "recorded.bgr0")
	record(b, x, raw)
	ours := filepath.Join(dir, "ours.h264")
	encodeRecorded(b, raw, ours, x.width, x.height, bits)
	theirs := filepath.Join(dir, "ffmpeg.h264")
	input := []string{
		"-hide_banner", "-nostdin", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr0",
		"-video_size", fmt.Sprintf("%dx%d", x.width, x.height), "-framerate", strconv.Itoa(benchRate), "-i", raw,
	}
	args := x264(bits)
	args = append(args[:len(args)-3:len(args)-3], "-f", "h264", theirs)
	if out, err := exec.Command("ffmpeg", append(slices.Clone(input), args...)...).CombinedOutput(); err != nil {
		b.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	for _, one := range []struct{ name, file string }{{"ours", ours}, {"ffmpeg", theirs}} {
		info, err := os.Stat(one.file)
		if err != nil {
			b.Fatal(err)
		}
		rate := float64(info.Size()) * 8 * benchRate / benchFrames
		q := ssim(b, input, one.file)
		b.Logf("%-8s SSIM (luma) %.4f at %.2f Mbit/s of %.0f", one.name, q, rate/1e6, float64(bits)/1e6)
		b.ReportMetric(q, "ssim-"+one.name)
		b.ReportMetric(rate/1e6, "Mbit/s-"+one.name)
	}
	b.ReportMetric(0, "ns/op")
}

// record writes pictures of the moving desktop as they are captured, at most 60 a second.
func record(tb testing.TB, x *xserver, file string) {
	tb.Helper()
	src, err := x11.New(context.Background(), x11.Config{
		Display: x.name(),
		Demand:  capture.Demand{Cursor: capture.CursorHidden},
	},
		slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	defer src.Close()
	out, err := os.Create(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	tick := time.NewTicker(time.Second / benchRate)
	defer tick.Stop()
	for range benchFrames {
		<-tick.C
		f, err := src.Next(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for y := range f.Height {
			if _, err := out.Write(f.Pix[y*f.Stride : y*f.Stride+4*f.Width]); err != nil {
				tb.Fatal(err)
			}
		}
		f.Release()
	}
}

// encodeRecorded encodes a recording as the daemon would.
func encodeRecorded(tb testing.TB, raw, file string, width, height, bits int) {
	tb.Helper()
	enc := openEncoder(tb, width, height, bits)
	defer enc.Close()
	in, err := os.Open(raw)
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	start := time.Now()
	for n := range benchFrames {
		f := capture.NewFrame(nil)
		f.Width, f.Height, f.Stride, f.Pix = width, height, 4*width, make([]byte, 4*width*height)
		f.Damage, f.Time, f.Seq = append(f.Damage, f.Bounds()),
			start.Add(time.Duration(n)*time.Second/benchRate), uint64(n+1)
		if _, err := io.ReadFull(in, f.Pix); err != nil {
			tb.Fatal(err)
		}
		unit, err := enc.Encode(f, encode.Order{Key: n == 0})
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := out.Write(unit.Data); err != nil {
			tb.Fatal(err)
		}
	}
}

var ssimForm = regexp.MustCompile(`SSIM Y:([0-9.]+)`)

// ssim returns the SSIM of the luma between an encoder's output and the recording, over all pictures.
func ssim(tb testing.TB, input []string, file string) float64 {
	tb.Helper()
	args := slices.Clone(input)
	args[slices.Index(args, "error")] = "info"
	args = append(args, "-framerate", strconv.Itoa(benchRate), "-f", "h264", "-i", file,
		"-lavfi", "[0:v]settb=1/60,setpts=N,format=yuv420p[a];"+
			"[1:v]settb=1/60,setpts=N,format=yuv420p[b];[b][a]ssim", "-f", "null", "-")
	out, err := exec.Command("ffmpeg", args...).CombinedOutput()
	m := ssimForm.FindSubmatch(out)
	if err != nil || m == nil {
		tb.Fatalf("ffmpeg ssim: %v\n%s", err, tail(string(out), 2000))
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// percentiles reports p50, p95 and p99.
func percentiles(b *testing.B, ms []float64, what string) {
	b.Helper()
	slices.Sort(ms)
	at := func(p float64) float64 { return ms[min(len(ms)-1, int(p*float64(len(ms))))] }
	b.Logf("%s: p50 %.1f   p95 %.1f   p99 %.1f ms   (n = %d)", what, at(.5), at(.95), at(.99), len(ms))
	b.ReportMetric(at(.5), "p50-ms")
	b.ReportMetric(at(.95), "p95-ms")
	b.ReportMetric(at(.99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFirstFrame measures the time from the POST of an offer to the first frame that Chromium presents.
func BenchmarkFirstFrame(b *testing.B) {
	script, err := os.ReadFile("testdata/firstframe.js")
	if err != nil {
		b.Fatal(err)
	}
	x := startX(b, 0, 1280, 720)
	x.desktop(b)
	h := startHost(b, hostOptions{measured: true, args: []string{"--display", x.id()}})
	page := openBrowser(b, "", h.page("?display=none"))
	for b.Loop() {
		var ms []float64
		for range benchConnect {
			var one float64
			if err := page.eval(string(script), &one); err != nil {
				b.Fatal(err)
			}
			ms = append(ms, one)
		}
		percentiles(b, ms, "POST to the first decoded frame, 1280x720")
	}
}

// BenchmarkCaptureToDisplay reads the time code of the test pattern from the video that Chromium shows.
func BenchmarkCaptureToDisplay(b *testing.B) {
	script, err := os.ReadFile("testdata/delay.js")
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dp%d", size.Y, benchRate), func(b *testing.B) {
			h := startHost(b, hostOptions{measured: true, args: []string{
				"--display", "synthetic", "--virtual-size", fmt.Sprintf("%dx%d", size.X, size.Y), "--fps",
				strconv.Itoa(benchRate),
			}})
			page := openBrowser(b, "", h.page(""))
			page.waitFrames(b, 5*benchRate, 30*time.Second)
			page.readsCodes(b)
			for b.Loop() {
				var got struct {
					Delays []float64
					Unread int
				}
				if err := page.eval(strings.ReplaceAll(string(script), "COUNT", strconv.Itoa(benchDelays)),
					&got); err != nil {
					b.Fatal(err)
				}
				if len(got.Delays) == 0 {
					b.Fatalf("no time code could be read, %d pictures had none", got.Unread)
				}
				percentiles(b, got.Delays, fmt.Sprintf("drawn to displayed, %v", size.Point))
				b.ReportMetric(float64(got.Unread), "unread")
			}
		})
	}
}

// readsCodes gives a page the function readCode of testdata/code.js.
func (b *browser) readsCodes(t testing.TB) {
	t.Helper()
	script, err := os.ReadFile("testdata/code.js")
	if err != nil {
		t.Fatal(err)
	}
	var done bool
	if err := b.eval("(window.readCode = "+string(script)+", true)", &done); err != nil {
		t.Fatal(err)
	}
}
