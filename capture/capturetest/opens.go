package capturetest

import (
	"bytes"
	"os"
	"runtime"
	"testing"
	"time"

	"wavryhost/capture"
)

// resources are what a process holds and a Source must give back.
type resources struct{ goroutines, files, maps, segments int }

func held(tb testing.TB) resources {
	tb.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		tb.Fatal(err)
	}
	segments, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		tb.Fatal(err)
	}
	return resources{
		runtime.NumGoroutine(), len(files), bytes.Count(maps, []byte("memfd")) + bytes.Count(maps, []byte("SYSV")),
		bytes.Count(segments, []byte("\n")),
	}
}

// Opens is how many times RunOpens opens a display that takes no time to open.
const Opens = 1000

// RunOpens opens a display a number of times, and captures a frame each time. Every fourth frame is released after the
// Source is closed. No goroutine, descriptor or memory may be left. It works on Linux only.
func RunOpens(t *testing.T, times int, open capture.Opener) {
	t.Helper()
	var before resources
	for n := range times {
		s, err := open(t.Context(), capture.Demand{})
		if err != nil {
			t.Fatalf("open %d: %v", n, err)
		}
		f, err := s.Next(t.Context())
		if err != nil {
			t.Fatalf("open %d: %v", n, err)
		}
		if n%4 != 0 {
			f.Release()
		}
		if err := s.Close(); err != nil {
			t.Fatalf("close %d: %v", n, err)
		}
		if n%4 == 0 {
			f.Release()
		}
		if n == 10 {
			before = held(t)
		}
	}
	// Goroutines that have been told to end, and servers that have been left, may need a moment.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(10 * time.Second); ; <-tick.C {
		after := held(t)
		if after.goroutines <= before.goroutines && after.files <= before.files && after.maps <= before.maps &&
			after.segments <= before.segments {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("after the first opens: %+v; after %d: %+v", before, times, after)
		}
	}
}
