//go:build integration && linux

package wayland

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkNext reports the CPU that a whole picture of sway costs this process, copied 60 times a second.
func BenchmarkNext(b *testing.B) {
	s := startSway(b)
	for _, size := range [][2]int{{1280, 720}, {1920, 1080}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			s.msg("output", "HEADLESS-1", "mode", fmt.Sprintf("%dx%d@60Hz", size[0], size[1]))
			src, err := New(context.Background(), Config{Socket: s.socket, Output: "HEADLESS-1"}, logger(b))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = src.Close() }()
			tick := time.NewTicker(time.Second / 60)
			defer tick.Stop()
			before, n := cpu(b), 0
			for b.Loop() {
				n++
				src.Refresh()
				f, err := src.Next(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				if f.Width != size[0] {
					b.Fatalf("got a picture of %v", f.Bounds())
				}
				f.Release()
				<-tick.C
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
