//go:build integration && linux

package pipewire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wavryhost/capture"
)

// daemon is a PipeWire daemon of a test's own, with a session manager.
type daemon struct {
	dir     string
	tb      testing.TB
	kill    func() // ends PipeWire
	sources int
}

// startDaemon runs PipeWire.
func startDaemon(tb testing.TB) *daemon {
	tb.Helper()
	for _, name := range []string{"pipewire", "wireplumber", "pw-dump", "gst-launch-1.0", "dbus-daemon"} {
		if _, err := exec.LookPath(name); err != nil {
			tb.Fatalf("needs %s: scripts/setup test", name)
		}
	}
	dir, err := os.MkdirTemp("", "pw") //nolint:usetesting // a socket's path is at most 108 bytes
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &daemon{dir: dir, tb: tb}
	d.run("dbus-daemon", "--session", "--address=unix:path="+filepath.Join(dir, "bus"), "--nofork", "--nopidfile")
	d.await("the bus", func() bool { return d.exists("bus") })
	d.kill = d.run("pipewire")
	d.await("the socket of PipeWire", func() bool { return d.exists("pipewire-0") })
	d.run("wireplumber")
	return d
}

func (d *daemon) exists(name string) bool {
	_, err := os.Stat(filepath.Join(d.dir, name))
	return err == nil
}

func (d *daemon) socket() string { return filepath.Join(d.dir, "pipewire-0") }

func (d *daemon) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Dir, cmd.SysProcAttr = d.dir, &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "XDG_RUNTIME_DIR=" + d.dir, "LANG=C.UTF-8",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(d.dir, "bus"),
		"DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + filepath.Join(d.dir, "bus"),
	}
	return cmd
}

// run starts a program that ends with the test, or by the returned function.
func (d *daemon) run(name string, args ...string) (kill func()) {
	d.tb.Helper()
	cmd := d.command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		d.tb.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if d.tb.Failed() {
			d.tb.Logf("%s %v:\n%s", name, args, out.Bytes())
		}
	})
	d.tb.Cleanup(kill)
	return kill
}

func (d *daemon) await(what string, done func() bool) {
	d.tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(limit) {
			d.tb.Fatalf("%s did not come within %v", what, patience)
		}
	}
}

// node returns the number of a node, or 0.
func (d *daemon) node(name string) uint32 {
	out, err := d.command("pw-dump").Output()
	if err != nil {
		return 0
	}
	var all []struct {
		ID   uint32
		Info struct{ Props map[string]any }
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return 0
	}
	for _, one := range all {
		if one.Info.Props["node.name"] == name {
			return one.ID
		}
	}
	return 0
}

// source starts a source of pictures, and returns its node.
func (d *daemon) source(caps string, pattern ...string) (node uint32, kill func()) {
	d.tb.Helper()
	d.sources++
	name := fmt.Sprint("source", d.sources)
	args := append([]string{"videotestsrc", "is-live=true"}, pattern...)
	kill = d.run("gst-launch-1.0", append(args, "!", "video/x-raw,"+caps, "!", "pipewiresink", "mode=provide",
		"stream-properties=props,media.class=Video/Source,node.name="+name)...)
	d.await("the node of the source", func() bool {
		node = d.node(name)
		return node != 0
	})
	return node, kill
}

// opener returns what opens a node.
func (d *daemon) opener(node uint32) capture.Opener {
	return func(ctx context.Context, demand capture.Demand) (capture.Source, error) {
		if err := demand.MemoryOnly(); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		s, err := newSource(ctx, "a test", newDesk(), demand, logger(d.tb), func(wake func()) (pipe, error) {
			fd, err := dial(ctx, d.socket())
			if err != nil {
				return nil, err
			}
			return openStream(fd, node, streamProperties, 60, wake)
		})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// lose reads frames until the source is lost, and checks how.
func lose(t *testing.T, s capture.Source, act func()) {
	t.Helper()
	began, acted := time.Now(), make(chan struct{})
	go func() {
		defer close(acted)
		act()
	}()
	defer func() { <-acted }()
	for limit := time.Now().Add(patience); ; {
		ctx, cancel := context.WithDeadline(t.Context(), limit)
		f, err := s.Next(ctx)
		cancel()
		if err != nil {
			if !errors.Is(err, capture.ErrLost) {
				t.Errorf("got %v; want %v", err, capture.ErrLost)
			}
			t.Logf("lost after %v", time.Since(began).Round(time.Millisecond))
			return
		}
		f.Release()
	}
}

// The library, a daemon and a session manager deliver the pictures of a program with the right colors. Their end is
// noticed.
func TestPipeWire(t *testing.T) {
	if err := Available(); err != nil {
		t.Fatalf("needs libpipewire: scripts/setup test: %v", err)
	}
	t.Log("libpipewire", version())
	d := startDaemon(t)
	for caps, size := range map[string]image.Point{
		"format=BGRx,width=320,height=240,framerate=60/1": image.Pt(320, 240),
		"format=RGBx,width=102,height=61,framerate=60/1":  image.Pt(102, 61),
	} {
		t.Run(caps, func(t *testing.T) {
			node, kill := d.source(caps, "pattern=solid-color", "foreground-color=0xff123456")
			defer kill()
			s, err := d.opener(node)(t.Context(), capture.Demand{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			f, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer f.Release()
			for _, at := range []image.Point{{}, size.Sub(image.Pt(1, 1)), size.Div(2)} {
				px := f.Pix[at.Y*f.Stride+4*at.X:]
				if f.Bounds().Size() != size || px[0] != 0x56 || px[1] != 0x34 || px[2] != 0x12 {
					t.Errorf("got %v at %v of %v; want blue 0x56, green 0x34, red 0x12", px[:3], at, f.Bounds())
				}
			}
		})
	}
	t.Run("the source ends", func(t *testing.T) {
		node, kill := d.source("format=BGRx,width=640,height=360,framerate=60/1", "pattern=ball")
		s, err := d.opener(node)(t.Context(), capture.Demand{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		lose(t, s, kill)
	})
	t.Run("the daemon ends", func(t *testing.T) {
		node, _ := d.source("format=BGRx,width=640,height=360,framerate=60/1", "pattern=ball")
		s, err := d.opener(node)(t.Context(), capture.Demand{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		lose(t, s, d.kill)
		if _, err := d.opener(node)(t.Context(), capture.Demand{}); err == nil {
			t.Error("opened a stream of a daemon that is gone")
		}
	})
}

// BenchmarkNext reports the CPU that a changed picture costs this process, 60 times a second.
func BenchmarkNext(b *testing.B) {
	d := startDaemon(b)
	for _, size := range []string{"width=1280,height=720", "width=1920,height=1080"} {
		b.Run(size, func(b *testing.B) {
			node, kill := d.source("format=BGRx,framerate=60/1,"+size, "pattern=ball")
			defer kill()
			s, err := d.opener(node)(context.Background(), capture.Demand{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			before, n := cpu(b), 0
			for b.Loop() {
				f, err := s.Next(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				n++
				f.Release()
			}
			b.ReportMetric((cpu(b)-before).Seconds()*1e3/float64(n), "client-ms/frame")
		})
	}
}

// cpu is the processor time that this process has used.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
