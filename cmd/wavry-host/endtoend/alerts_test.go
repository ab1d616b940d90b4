//go:build integration

package endtoend

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"wavryhost/encode/ffmpeg/standin"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
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
	alerts := p.alerts
	// Counters that are there from the start can be seen to grow after the first scrape.
	p.has(t, "the first scrape", "up == 1")
	alerts(t, "WavryHostGatewayLost", "WavryHostFleetLost", "WavryHostRelayDown", "WavryHostNoRelay")

	if status, body, err := h.request(http.MethodPut, "/v1/cordon"); err != nil || status != http.StatusOK {
		t.Fatalf("cordon: %d, %v: %s", status, err, body)
	}
	if status, body, err := h.request(http.MethodDelete, "/v1/cordon"); err != nil || status != http.StatusOK {
		t.Fatalf("the end of the cordon: %d, %v: %s", status, err, body)
	}
	alerts(t, "WavryHostAuditFails")

	write("config.yaml", good+"displays: {fps: 100000}\n")
	status, body, err := h.request(http.MethodPost, "/v1/reload")
	if err != nil || status != http.StatusUnprocessableEntity {
		t.Fatalf("a reload of a bad configuration: %d, %v: %s", status, err, body)
	}
	alerts(t, "WavryHostConfigRefused")

	a, _ := join(t, h)
	a.waitMedia(t)
	status, body, err = h.send(http.MethodPost, "/v1/reservations", `{"subject": "ann"}`)
	if err != nil || status != http.StatusServiceUnavailable {
		t.Fatalf("a place for a second session: %d, %v: %s", status, err, body)
	}
	alerts(t, "WavryHostRefusesSessions")

	h.waitEncoder(t, "h264_vaapi")
	x.noisy(t)
	d.Set(t, "hang")
	alerts(t, "WavryHostEncoderHung", "WavryHostEncoderReplaced")

	if err := x.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	alerts(t, "WavryHostDisplayLost")

	h.kill()
	alerts(t, "WavryHostDown")
}

// alerts waits until the conditions of alerts are true.
func (p *scraper) alerts(t *testing.T, names ...string) {
	t.Helper()
	begun := time.Now()
	for _, name := range names {
		p.has(t, name, `ALERTS{alertname="`+name+`"}`)
		t.Logf("%s after %v", name, time.Since(begun).Round(100*time.Millisecond))
	}
}

// So do faults of viewers, clients, certificates and whole pools.
func TestFaultsOfViewersReachAlerts(t *testing.T) {
	t.Parallel()
	cert, key := certificateFor(t, "127.0.0.1", 12*time.Hour)
	exposed := func() *host {
		return startHost(t, hostOptions{secure: true, args: []string{
			"--display", "synthetic", "--fps", "10", "--tls-cert", cert, "--tls-key", key, "sessions.max=6",
			"timeouts.connect=2s", "timeouts.silence=5m", "api.limits.wrong_credentials=1000",
		}})
	}
	h, other := exposed(), exposed()
	p := startPrometheus(t, "", h, other)
	p.has(t, "the first scrape", "count(up == 1) == 2")
	p.alerts(t, "WavryHostCertificateExpires", "WavryHostCertificateExpired")

	intruder := *h
	intruder.token = "a-guess"
	p.until(t, "WavryHostCredentialsFail", func() {
		if status, body, err := intruder.request(http.MethodGet, "/v1/sessions"); err != nil ||
			status != http.StatusUnauthorized {
			t.Fatalf("a wrong token: %d, %v: %s", status, err, body)
		}
	})

	// Viewers whose packets are lost.
	p.until(t, "WavryHostHandshakesFail", func() {
		lost := prepared(t, loopback(t), nil)
		lost.socket.cut.Store(true)
		lost.join(t, h, "default")
		eventually(t, patience, "its session ends", func() error {
			list, err := h.sessions()
			if err != nil || len(list) > 0 {
				return errors.Join(err, errNotYet)
			}
			return nil
		})
		_ = lost.pc.Close() // by a socket that leads nowhere
	})

	// Viewers that send no reports, from the start or later. They fill the host.
	var viewers []*audience
	for range 3 {
		a, _ := join(t, h)
		a.waitMedia(t)
		viewers = append(viewers, a)
	}
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a := preparedWith(t, loopback(t), nil, webrtc.WithMediaEngine(media),
			webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
		a.join(t, h, "default")
		a.waitMedia(t)
		viewers = append(viewers, a)
	}
	for _, a := range viewers[:3] {
		a.socket.mute.Store(true)
	}
	p.alerts(t, "WavryHostQualityBad", "WavryHostShowsNothing")
	p.until(t, "WavryPoolSaturated", func() {
		status, body, err := h.send(http.MethodPost, "/v1/reservations", `{"subject": "ann"}`)
		if err != nil || status != http.StatusServiceUnavailable {
			t.Fatalf("a place in a full host: %d, %v: %s", status, err, body)
		}
	})
	for _, a := range viewers {
		a.kill(t)
	}
	h.kill()
	other.kill()
	p.alerts(t, "WavryPoolDown")
}

// until makes a fault again and again until the condition of an alert is true.
func (p *scraper) until(t *testing.T, alert string, fault func()) {
	t.Helper()
	times := 0
	eventually(t, patience, alert+" is true", func() error {
		fault()
		times++
		series, err := p.query(`ALERTS{alertname="` + alert + `"}`)
		if err == nil && series == 0 {
			err = errNotYet
		}
		return err
	})
	t.Logf("%s after %d faults", alert, times)
}
