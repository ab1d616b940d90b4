//go:build integration

package endtoend

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkViewers prints the cost of another viewer of the same display: 1280x720 at 30 frames a second and about 4
// Mbit/s, of a screen that always moves (libx264 leaves a fifth of its 5 Mbit/s unused). Viewers and host share the
// machine; only the host's CPU is counted.
func BenchmarkViewers(b *testing.B) {
	const most, long = 20, 8 * time.Second
	x := startX(b, 0, 1280, 720)
	x.noisy(b)
	h := startHost(b, hostOptions{measured: true, args: []string{
		"--display", x.id(), "--fps", "30",
		"displays.bitrate.fixed=5M", "sessions.max=100",
	}})
	for b.Loop() {
		var all []*audience
		costs := map[int]float64{}
		for _, n := range []int{1, 5, 10, most} {
			for len(all) < n {
				a, _ := join(b, h)
				all = append(all, a)
			}
			<-time.After(3 * time.Second)
			for _, a := range all {
				a.bytes.Store(0)
			}
			before, start := processor(b, h.Process.Pid), time.Now()
			<-time.After(long)
			took := time.Since(start).Seconds()
			costs[n] = millis(processor(b, h.Process.Pid)-before) / took / 10
			var rates []float64
			for _, a := range all {
				rates = append(rates, float64(a.bytes.Load())*8/took/1e6)
			}
			slices.Sort(rates)
			_, body, err := h.request(http.MethodGet, "/v1/displays")
			if err != nil {
				b.Fatal(err)
			}
			encodes := strings.Contains(string(body), `"encodings":1`)
			b.Logf("%2d viewers: %5.1f %% of a core, %.2f to %.2f Mbit/s each, one encode: %v", n, costs[n],
				rates[0], rates[len(rates)-1], encodes)
		}
		b.ReportMetric((costs[most]-costs[1])/(most-1), "%core/viewer")
		b.ReportMetric(costs[1], "%core-first")
		b.ReportMetric(0, "ns/op")
		for _, a := range all {
			a.leave(b, h)
		}
	}
}

// BenchmarkCreate prints the time from an offer to its answer, for a watched display and for a
// display that must be opened.
func BenchmarkCreate(b *testing.B) {
	x := startX(b, 0, 1280, 720)
	x.desktop(b)
	h := startHost(b, hostOptions{measured: true, args: []string{
		"--display", x.id(), "sessions.max=1000",
		"timeouts.linger=100ms",
	}})
	for _, watched := range []bool{true, false} {
		b.Run(fmt.Sprintf("watched=%v", watched), func(b *testing.B) {
			if watched {
				first, _ := join(b, h)
				defer first.leave(b, h)
			}
			for b.Loop() {
				var ms []float64
				for range 100 {
					a, took := join(b, h)
					ms = append(ms, millis(took))
					a.leave(b, h)
					if !watched {
						settle(b, h)
					}
				}
				percentiles(b, ms, "offer to answer")
			}
		})
	}
}

// BenchmarkChurn prints what remains after a thousand viewers joined and left, and after a thousand were killed.
func BenchmarkChurn(b *testing.B) {
	const cycles = 1000
	for _, killed := range []bool{false, true} {
		b.Run(fmt.Sprintf("killed=%v", killed), func(b *testing.B) {
			x := startX(b, 0, 640, 480)
			x.desktop(b)
			h := startHost(b, hostOptions{measured: true, args: []string{
				"--display", x.id(), "sessions.max=1000", "displays.bitrate.fixed=1M",
			}})
			come := func(n int) (zombie time.Duration) {
				if killed {
					_, zombie = killViewers(b, h, n, false)
					return zombie
				}
				for range n {
					connectOnce(b, h)
				}
				return 0
			}
			for b.Loop() {
				// A warm-up allocates what is made once and kept, with the same concurrency as later, and lets the
				// garbage collector settle.
				come(cycles / 5)
				settle(b, h)
				before, memory := usage(b, h), resident(b, h)
				zombie := come(cycles)
				settle(b, h)
				after := usage(b, h)
				b.Logf("%d cycles: %v, %.1f MB before, %v, %.1f MB after", cycles, before, memory, after,
					resident(b, h))
				if killed {
					b.Logf("no session was left %.1f s after its viewer", zombie.Seconds())
					b.ReportMetric(zombie.Seconds(), "s-oldest-zombie")
				}
				b.ReportMetric(resident(b, h)-memory, "MB-grown")
				b.ReportMetric(float64(after.goroutines-before.goroutines), "goroutines-grown")
				b.ReportMetric(float64(after.descriptors-before.descriptors), "descriptors-grown")
			}
		})
	}
}

// resident returns the daemon's resident memory in MB.
func resident(tb testing.TB, h *host) float64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				tb.Fatal(err)
			}
			return float64(kb) / 1e3
		}
	}
	tb.Fatal("the kernel tells no VmRSS")
	return 0
}

// BenchmarkFlood prints the effect on a stream of a client that makes a thousand requests a second with a wrong token.
func BenchmarkFlood(b *testing.B) {
	const rate, long = 1000, 10 * time.Second
	x := startX(b, 0, 1280, 720)
	x.noisy(b)
	const token = "for-this-test-and-no-other"
	h := startHost(b, hostOptions{
		measured: true, token: token, args: []string{
			"--display", x.id(), "--fps", "30", "displays.bitrate.fixed=4M",
		}, env: []string{"WAVRY_HOST_AUTH__TOKEN=" + token},
	})
	viewer, _ := join(b, h)
	defer viewer.leave(b, h)
	<-time.After(3 * time.Second)
	// watch returns the frames sent, the drops, and the share of a core over a while.
	watch := func() (frames, drops, core float64) {
		before, dropped := h.metric(b, `wavry_host_frames_total{stage="sent"}`), h.metric(b,
			"wavry_host_frames_dropped_total")
		cpu, start := processor(b, h.Process.Pid), time.Now()
		<-time.After(long)
		return h.metric(b, `wavry_host_frames_total{stage="sent"}`) - before, h.metric(b,
				"wavry_host_frames_dropped_total") - dropped,
			millis(processor(b, h.Process.Pid)-cpu) / time.Since(start).Seconds() / 10
	}
	// The attacker has another address than the viewer: a network that asks too much is refused as a whole.
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	stranger := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 100}}
	defer stranger.CloseIdleConnections()
	for b.Loop() {
		calm, calmDrops, calmCore := watch()
		ctx, stop := context.WithCancel(b.Context())
		var refused atomic.Int64
		var all sync.WaitGroup
		const clients = 20
		for range clients {
			all.Go(func() {
				tick := time.NewTicker(clients * time.Second / rate)
				defer tick.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case <-tick.C:
					}
					request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+"/whep/default",
						strings.NewReader("v=0"))
					if err != nil {
						return
					}
					request.Header.Set("Authorization", "Bearer wrong-wrong-wrong-wrong")
					if response, err := stranger.Do(request); err == nil {
						_, _ = io.Copy(io.Discard, response.Body)
						response.Body.Close()
						if response.StatusCode >= 400 {
							refused.Add(1)
						}
					}
				}
			})
		}
		flooded, drops, core := watch()
		stop()
		all.Wait()
		b.Logf("calm: %.0f frames, %.0f dropped, %.1f %% of a core; under %.0f refused requests a second: %.0f "+
			"frames, %.0f dropped, %.1f %% of a core",
			calm, calmDrops, calmCore, float64(refused.Load())/long.Seconds(), flooded, drops, core)
		b.ReportMetric(flooded/calm, "frames-of-calm")
		b.ReportMetric(core-calmCore, "%core-more")
		b.ReportMetric(0, "ns/op")
	}
}
