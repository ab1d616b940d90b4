//go:build integration

package endtoend

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// When the reader of standard error stops reading, log lines are lost. Viewers are not disturbed, new viewers join, and
// the daemon ends when asked to.
func TestViewersGoOnWhileNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	h := startHost(t, hostOptions{args: []string{
		"--display", "synthetic", "--log-level", "debug",
		"api.limits.requests_per_address=100000/s",
	}})
	a, _ := join(t, h)
	a.waitMedia(t)

	h.out.reading.Lock()
	long := "/v1/sessions/" + strings.Repeat("x", 250)
	for n := 0; h.metric(t, "wavry_host_log_lines_lost_total") == 0; n++ {
		if n > 100 {
			h.out.reading.Unlock()
			t.Fatal("no line is lost")
		}
		for range 200 {
			if status, body, err := h.request(http.MethodGet, long); err != nil || status != http.StatusNotFound {
				t.Errorf("got %d, %v: %s", status, err, body)
			}
		}
	}
	a.watches(t)
	b, _ := join(t, h)
	b.waitMedia(t)
	b.leave(t, h)
	a.watches(t)

	h.out.reading.Unlock()
	h.waitLog(t, "log lines lost")

	// The reader may be gone, as after a crash of a logger. Standard output is the same pipe.
	h.out.reading.Lock()
	defer h.out.reading.Unlock()
	a.watches(t)
	h.stopped(t)
}

// stopped sends SIGTERM and waits for the process alone, not for readers of its output.
func (p *process) stopped(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the process ends", func() error {
		if err := syscall.Kill(p.Process.Pid, 0); err == nil {
			return errNotYet
		}
		return nil
	})
}
