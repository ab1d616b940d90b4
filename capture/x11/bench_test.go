//go:build integration && linux

package x11

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkNext reports, besides the time, the CPU that a frame costs this process and the server. Paced, each frame
// follows the one before by a 60th of a second, so that neither caches nor clocks are warm.
func BenchmarkNext(b *testing.B) {
	for _, size := range [][2]int{{1280, 720}, {1920, 1080}} {
		for _, what := range []string{"full", "band", "none"} {
			for _, interval := range []time.Duration{0, time.Second / 60} {
				pace := "unpaced"
				if interval > 0 {
					pace = "paced"
				}
				if what == "none" && interval == 0 {
					continue
				}
				b.Run(fmt.Sprintf("%dx%d/%s/%s", size[0], size[1], what, pace), func(b *testing.B) {
					benchmarkNext(b, size[0], size[1], what, interval)
				})
			}
		}
	}
}

func benchmarkNext(b *testing.B, width, height int, what string, interval time.Duration) {
	b.Helper()
	srv := xvfb(b, fmt.Sprintf("%dx%dx24", width, height))
	p := paint(b, srv.display)
	s := open(b, Config{Display: srv.display})
	frame(b, s).Release()
	tick := time.NewTicker(max(interval, time.Nanosecond))
	defer tick.Stop()
	ours, theirs := cpu(b), schedule(b, srv.cmd.Process.Pid)
	var drawn time.Duration // CPU that the drawing of the change costs here
	n := 0
	for b.Loop() {
		n++
		if interval > 0 {
			<-tick.C
		}
		switch what {
		case "full":
			s.Refresh()
		case "band":
			before := cpu(b)
			p.fill(uint32(n), 0, 64*(n%8), width, 64)
			p.sync()
			drawn += cpu(b) - before
		case "none": // what the waking alone costs
			continue
		}
		f, err := s.Next(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		f.Release()
	}
	client := cpu(b) - ours - drawn
	server := schedule(b, srv.cmd.Process.Pid) - theirs
	b.ReportMetric(client.Seconds()*1e3/float64(n), "client-ms/frame")
	b.ReportMetric(server.Seconds()*1e3/float64(n), "server-ms/frame")
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

// schedule is the time that another process has run, to the nanosecond.
func schedule(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.Fields(string(raw))[0], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return time.Duration(n)
}
