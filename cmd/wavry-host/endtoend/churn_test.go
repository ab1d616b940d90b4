//go:build integration

package endtoend

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Viewers that join and leave leave nothing behind.
func TestChurn(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})

	for range 5 { // what is made once and kept
		connectOnce(t, h)
	}
	settle(t, h)
	before := usage(t, h)
	const cycles = 200
	for range cycles {
		connectOnce(t, h)
	}
	settle(t, h)
	after := waitUsage(t, h, before)
	t.Logf("%d cycles: %v before, %v after", cycles, before, after)
}

type resources struct{ goroutines, descriptors, segments int }

func (r resources) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d segments", r.goroutines, r.descriptors, r.segments)
}

func usage(t testing.TB, h *host) resources {
	t.Helper()
	h.client.CloseIdleConnections()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	r := resources{goroutines: int(h.metric(t, "go_goroutines")), descriptors: len(fds)}
	file, err := os.Open("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 4 && f[4] == fmt.Sprint(h.Process.Pid) {
			r.segments++
		}
	}
	return r
}

// waitUsage waits until the daemon's usage is back at the earlier value, with a margin for requests in flight and
// garbage that is not collected yet. It returns the usage.
func waitUsage(t testing.TB, h *host, before resources) (now resources) {
	t.Helper()
	eventually(t, patience, "nothing is left behind", func() error {
		now = usage(t, h)
		if now.goroutines > before.goroutines+3 || now.descriptors > before.descriptors+3 ||
			now.segments > before.segments {
			return fmt.Errorf("%v before, %v after", before, now)
		}
		return nil
	})
	return now
}

// settle waits until no session is left and the display is closed.
func settle(t testing.TB, h *host) {
	t.Helper()
	eventually(t, patience, "the display is idle", func() error {
		status, body, err := h.request("GET", "/v1/host")
		if err != nil {
			return err
		}
		if status != http.StatusOK || strings.Contains(string(body), `"live"`) {
			return fmt.Errorf("status %d: %s", status, body)
		}
		return nil
	})
}

// connectOnce joins with pion, receives one packet and leaves.
func connectOnce(tb testing.TB, h *host) {
	tb.Helper()
	a, _ := join(tb, h)
	a.waitMedia(tb)
	a.leave(tb, h)
}

// killViewers starts n viewers, 25 a second, and kills each in the middle of the stream, or before it has connected
// when early is set. It returns the time of each kill by session, and the longest time for which a session was still
// listed after its viewer was killed.
func killViewers(tb testing.TB, h *host, n int, early bool) (killed map[string]time.Time, oldest time.Duration) {
	tb.Helper()
	killed = map[string]time.Time{}
	look := func() int {
		list, err := h.sessions()
		if err != nil {
			tb.Fatal(err)
		}
		zombies := 0
		for _, s := range list {
			if at, ok := killed[s.ID]; ok {
				zombies++
				oldest = max(oldest, time.Since(at))
			}
		}
		return zombies
	}
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for k := range n {
		<-tick.C
		a, _ := join(tb, h)
		if !early {
			a.waitMedia(tb)
		}
		killed[a.id()] = time.Now()
		a.kill(tb)
		if k%10 == 0 {
			look()
		}
	}
	eventually(tb, patience, "no session is left of a viewer that was killed", func() error {
		if zombies := look(); zombies > 0 {
			return fmt.Errorf("%d are, the oldest %.1f s", zombies, oldest.Seconds())
		}
		return nil
	})
	return killed, oldest
}

// A viewer that vanishes without a message is detected within 10 s, at any stage of its session.
func TestKilledViewers(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id(), "sessions.max=1000"}})
	for _, c := range []struct {
		name  string
		early bool
	}{{"while it watches", false}, {"before it has connected", true}} {
		t.Run(c.name, func(t *testing.T) {
			connectOnce(t, h)
			settle(t, h)
			before := usage(t, h)
			killed, _ := killViewers(t, h, 30, c.early)
			oldest := time.Duration(0)
			for id, at := range killed {
				oldest = max(oldest, h.waitEvent(t, id, "session_ended").At.Sub(at))
			}
			t.Logf("the oldest session ended %.1f s after its viewer", oldest.Seconds())
			if oldest > 10*time.Second+500*time.Millisecond { // it is promised; the half is a busy machine's
				t.Errorf("a session ended %.1f s after its viewer; want 10 s at most", oldest.Seconds())
			}
			settle(t, h)
			waitUsage(t, h, before)
		})
	}
}
