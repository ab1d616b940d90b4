//go:build integration

package endtoend

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"wavryhost/encode/ffmpeg/standin"
)

// Faults of a live daemon make the conditions of their alerts true in a Prometheus that scrapes it. How long a
// condition must stay true before its alert fires is checked with promtool, in deploy/monitoring.
func TestFaultsReachAlerts(t *testing.T) {
	t.Parallel()
	x, d := startX(t, 0, 640, 360), standin.New(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := `
sessions: {max: 1}
ice: {servers: [{urls: ["turn:127.0.0.1:9?transport=udp"], username: u, credential: c}]}
gateway: {url: "ws://127.0.0.1:9/ws", token_file: ` + write("token", "no-token") + `, user: host, allow: ["*"]}
fleet: {url: "nats://127.0.0.1:9"}
api: {audit_file: /dev/full}
media: {network: loopback}
`
	config := write("config.yaml", good)
	h := startHost(t, hostOptions{
		args: []string{"--config", config, "--display", x.id(), "encoding.vaapi_device=" + d.Path},
		env:  slices.Concat(standin.Env(t), []string{"DISPLAY=" + x.name()}),
	})
	p := startPrometheus(t, "", h)
	alerts := func(names ...string) {
		t.Helper()
		begun := time.Now()
		for _, name := range names {
			p.has(t, name, `ALERTS{alertname="`+name+`"}`)
			t.Logf("%s after %v", name, time.Since(begun).Round(100*time.Millisecond))
		}
	}
	// Counters that are there from the start can be seen to grow after the first scrape.
	p.has(t, "the first scrape", "up == 1")
	alerts("WavryHostGatewayLost", "WavryHostFleetLost", "WavryHostRelayDown", "WavryHostNoRelay")

	if status, body, err := h.request(http.MethodPut, "/v1/cordon"); err != nil || status != http.StatusOK {
		t.Fatalf("cordon: %d, %v: %s", status, err, body)
	}
	if status, body, err := h.request(http.MethodDelete, "/v1/cordon"); err != nil || status != http.StatusOK {
		t.Fatalf("the end of the cordon: %d, %v: %s", status, err, body)
	}
	alerts("WavryHostAuditFails")

	write("config.yaml", good+"displays: {fps: 100000}\n")
	status, body, err := h.request(http.MethodPost, "/v1/reload")
	if err != nil || status != http.StatusUnprocessableEntity {
		t.Fatalf("a reload of a bad configuration: %d, %v: %s", status, err, body)
	}
	alerts("WavryHostConfigRefused")

	a, _ := join(t, h)
	a.waitMedia(t)
	status, body, err = h.send(http.MethodPost, "/v1/reservations", `{"subject": "ann"}`)
	if err != nil || status != http.StatusServiceUnavailable {
		t.Fatalf("a place for a second session: %d, %v: %s", status, err, body)
	}
	alerts("WavryHostRefusesSessions")

	h.waitEncoder(t, "h264_vaapi")
	x.noisy(t)
	d.Set(t, "hang")
	alerts("WavryHostEncoderHung", "WavryHostEncoderReplaced")

	if err := x.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	alerts("WavryHostDisplayLost")

	h.kill()
	alerts("WavryHostDown")
}
