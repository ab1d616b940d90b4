//go:build integration

package endtoend

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpu returns the processor time that a process has used.
func (p *process) cpu(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // the kernel counts in hundredths of a second
}

// The host watches its own display over TLS, and says what it saw. It counts no session of its own.
func TestHostWatchesItself(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.desktop(t)
	x.waitWindows(t, 2)
	cert, key := certificate(t, "127.0.0.1")
	h := startHost(t, hostOptions{secure: true, args: []string{
		"--display", x.id(), "--tls-cert", cert, "--tls-key", key, "host.probe_interval=2s",
	}})
	idle := h.cpu(t)
	began := time.Now()
	eventually(t, patience, "the probe succeeds", func() error {
		if h.metric(t, "wavry_host_probe_success") != 1 {
			return errNotYet
		}
		return nil
	})
	used := h.cpu(t) - idle
	first := h.metric(t, "wavry_host_probe_first_frame_seconds")
	similarity := h.metric(t, "wavry_host_probe_similarity_ratio")
	t.Logf("first picture after %.3f s, similarity %.4f; the daemon used %v of a processor in %v", first, similarity, used,
		time.Since(began).Round(time.Millisecond))
	if similarity < .95 || first <= 0 || first > 5 {
		t.Errorf("first picture after %.3f s, similarity %.4f; want a picture like the display's", first, similarity)
	}
	for _, name := range []string{
		"wavry_host_sessions_created_total", `wavry_host_handshakes_total{result="success"}`,
		`wavry_host_first_frame_seconds_count{to="acked"}`, "wavry_host_capture_to_send_seconds_count",
	} {
		if n := h.metric(t, name); n != 0 {
			t.Errorf("%s is %v after the probe; want 0", name, n)
		}
	}
	if err := x.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = x.Process.Signal(syscall.SIGCONT) }()
	h.waitLog(t, "self-probe failed")
	if n := h.metric(t, "wavry_host_probe_success"); n != 0 {
		t.Errorf("the probe of an X server that hangs succeeds: %v", n)
	}
}
