//go:build integration

package endtoend

import (
	"testing"
	"time"
)

// BenchmarkMemory prints the memory of an encoding and of a session: a moving display of each size, with one viewer and
// with ten more. Admission's memoryPerPixel and memoryPerSession come from it, and so does the number of bits that a
// session sends for each pixel.
func BenchmarkMemory(b *testing.B) {
	const more, settle = 10, 12 * time.Second
	sizes := [][2]int{{1280, 720}, {1920, 1080}, {1280, 720}}
	var screens []*xserver
	for _, s := range sizes {
		x := startX(b, 0, s[0], s[1])
		x.moving(b)
		screens = append(screens, x)
	}
	h := startHost(b, hostOptions{args: []string{
		"--display", screens[0].id(), "--fps", "30", "displays.max_encodings=1", "sessions.max=100",
	}})
	for b.Loop() {
		var all []*audience
		for i, x := range screens {
			before := resident(b, h)
			a, _ := joinDisplay(b, h, x.id(), loopback(b), nil)
			all = append(all, a)
			<-time.After(settle)
			one := resident(b, h)
			a.bytes.Store(0)
			began := time.Now()
			for range more {
				a, _ := joinDisplay(b, h, x.id(), loopback(b), nil)
				all = append(all, a)
			}
			<-time.After(settle)
			rate := float64(a.bytes.Load()) * 8 / time.Since(began).Seconds()
			eleven := resident(b, h)
			pixels := float64(x.width * x.height)
			b.Logf("%d. display, %dx%d: %.1f MB before, %.1f with a viewer (%.0f bytes a pixel), %.1f with %d "+
				"more (%.2f MB each); %.2f Mbit/s each, %.4f bits for each of 30 pictures' pixels",
				i+1, x.width, x.height, before, one, (one-before)*1e6/pixels, eleven, more, (eleven-one)/more,
				rate/1e6, rate/30/pixels)
		}
		b.ReportMetric(0, "ns/op")
		for _, a := range all {
			a.leave(b, h)
		}
	}
}
