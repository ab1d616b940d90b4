//go:build integration

package endtoend

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"testing"
)

// promtool runs Prometheus' own checker. Its findings fail the test.
func promtool(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	need(t, "promtool")
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

// The metrics of the daemon, of Go and of the process, with a viewer. Without one, they are few.
func TestPromtoolTakesTheMetrics(t *testing.T) {
	t.Parallel()
	h := startHost(t, hostOptions{args: []string{"--display", "synthetic", "--virtual-size", "320x240"}})
	status, exposition, err := h.request(http.MethodGet, "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET /metrics: status %d, %v", status, err)
	}
	idle := 0
	for line := range bytes.Lines(exposition) {
		if name, _, _ := bytes.Cut(line, []byte("{")); bytes.HasPrefix(line, []byte("wavry_host_")) &&
			!bytes.HasSuffix(name, []byte("_bucket")) {
			idle++
		}
	}
	t.Logf("%d series without a viewer", idle)
	if idle > 150 { // docs/operate/metrics.md promises it
		t.Errorf("an idle host has %d series; want 150 at most", idle)
	}
	a, _ := join(t, h)
	a.waitMedia(t)
	status, exposition, err = h.request(http.MethodGet, "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET /metrics: status %d, %v", status, err)
	}
	if !bytes.Contains(exposition, []byte("\nwavry_host_target_rate_bytes_per_second{")) {
		t.Errorf("GET /metrics has no rates of sessions:\n%s", tail(string(exposition), 2000))
	}
	promtool(t, exposition, "check", "metrics")
	eventually(t, patience, "the target rate in bytes is the session's bitrate in bits", func() error {
		rate, bits := h.metric(t, `wavry_host_target_rate_bytes_per_second{of="sum"}`), h.session(t).TargetBitrate
		if rate*8 != float64(bits) {
			return fmt.Errorf("%v B/s, %d bit/s", rate, bits)
		}
		return nil
	})
	a.leave(t, h)
}
