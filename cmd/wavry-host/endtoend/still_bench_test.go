//go:build integration

package endtoend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkStillScreen prints the daemon's CPU while the screen stands still, with nobody watching and with a page in
// Chromium. WAVRY_BINARIES names builds to compare, separated by commas: they run at the same time, so that the
// machine's other work disturbs all of them alike.
func BenchmarkStillScreen(b *testing.B) {
	const long = 30 * time.Second
	builds := []string{hostBinary}
	if list := os.Getenv("WAVRY_BINARIES"); list != "" {
		builds = strings.Split(list, ",")
	}
	x := startX(b, 0, 1280, 720)
	x.page(b)
	hosts := make([]*host, len(builds))
	for i, build := range builds {
		usual := hostBinary
		hostBinary = build
		hosts[i] = startHost(b, hostOptions{measured: true, args: []string{"--display", x.id()}})
		hostBinary = usual
	}
	measure := func(what string) {
		before := make([]time.Duration, len(hosts))
		for i, h := range hosts {
			before[i] = processor(b, h.Process.Pid)
		}
		begun := time.Now()
		<-time.After(long)
		for i, h := range hosts {
			used := 100 * (processor(b, h.Process.Pid) - before[i]).Seconds() / time.Since(begun).Seconds()
			b.Logf("%-8s %-12s %.2f %% of a core", what, filepath.Base(builds[i]), used)
			b.ReportMetric(used, "%core-"+what+"-"+filepath.Base(builds[i]))
		}
	}
	for b.Loop() {
		measure("nobody")
		for _, h := range hosts {
			openBrowser(b, "", h.page("")).waitFrames(b, 1, patience)
		}
		for _, h := range hosts { // the picture is sharp
			h.waitMetric(b, `wavry_host_still_pictures_total{kind="keep_alive"}`, 8)
		}
		measure("page")
	}
	b.ReportMetric(0, "ns/op")
}
