//go:build integration

package endtoend

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The bitrate falls below the link's rate, and rises when the link does.
func TestBandwidthLimit(t *testing.T) {
	l := newLink(t)
	// The display is small and slow. Otherwise a busy machine lowers the quality before the link does.
	x := startX(t, 0, 800, 600)
	x.desktop(t)
	x.noisy(t)
	x.waitWindows(t, 3)

	h := startExposed(t, l.host, l.hostIP, "--display", x.id(), "--fps", "20", "displays.bitrate.min=200k",
		"displays.bitrate.start=3M", "--max-bitrate", "8M")
	b := openBrowser(t, l.viewer, h.page(""))
	b.waitFrames(t, 10, patience)

	// The quality follows the rate, not the content: pictures of this size and rate count as good from 480 kbit/s.
	const high, low = 2_000_000, 480_000
	// The encoder may be too slow on a busy machine, which is not the link's fault.
	overloaded := func(s snapshot) bool { return s.Reason == "encoder_overload" }
	good := func() error {
		s := h.session(t)
		if s.Quality != "good" && !overloaded(s) {
			return fmt.Errorf("%s by %s, target %d, achieved %d bit/s",
				s.Quality, s.Reason, s.TargetBitrate, s.AchievedBitrate)
		}
		return bitratesOver(s, high)
	}
	eventually(t, patience, "bitrate and quality rise on the free link", good)
	free := h.session(t)
	t.Logf("free: target %d, achieved %d bit/s, %s", free.TargetBitrate, free.AchievedBitrate, free.Quality)

	l.limit(t, "400kbit")
	eventually(t, patience, "target and achieved bitrate fall below the limit, and the quality with them",
		func() error {
			if s := h.session(t); s.TargetBitrate > low || s.AchievedBitrate > low || s.Quality == "good" {
				return fmt.Errorf("target %d, achieved %d bit/s, %s by %s",
					s.TargetBitrate, s.AchievedBitrate, s.Quality, s.Reason)
			}
			return nil
		})
	limited := h.session(t)
	t.Logf("limited to 400 kbit/s: target %d, achieved %d bit/s, %s by %s",
		limited.TargetBitrate, limited.AchievedBitrate, limited.Quality, limited.Reason)
	b.waitFrames(t, 5, patience) // it still moves
	if screenshots != "" {
		b.screenshot(t, filepath.Join(screenshots, "limited.png"))
	}

	l.limit(t, "")
	eventually(t, patience, "bitrate and quality rise again", good)
	s := h.session(t)
	t.Logf("lifted: target %d, achieved %d bit/s, %s", s.TargetBitrate, s.AchievedBitrate, s.Quality)
	want := 2 // one down and one up
	if overloaded(free) || overloaded(s) {
		want = 1
	}
	if len(s.Transitions) < want {
		t.Fatalf("the API shows the transitions %v; want at least %d", s.Transitions, want)
	}
	if v := h.metric(t, "wavry_host_quality_transitions_total"); v < float64(want) {
		t.Errorf("the metric counts %v transitions; want at least %d", v, want)
	}
	for _, transition := range s.Transitions {
		h.waitLog(t, fmt.Sprintf(`"from":%q,"to":%q,"reason":%q`, transition.From, transition.To, transition.Reason))
	}
	replayRecording(t, h, s.ID)
	last := s.Transitions[len(s.Transitions)-1]
	var clicked bool
	if err := b.eval(`(document.getElementById("stats-button").click(), true)`, &clicked); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the page lists the transition", func() error {
		var page string
		if err := b.eval(`document.getElementById("transitions").textContent`, &page); err != nil {
			return err
		}
		if !strings.Contains(page, last.From) || !strings.Contains(page, last.To) {
			return fmt.Errorf("it lists %q; want %+v", page, last)
		}
		return nil
	})
}

// recordings is the folder for the session's recording; empty for none.
var recordings = os.Getenv("WAVRY_RECORDINGS")

// replayRecording fetches the session's recording and replays it with the daemon's own program.
func replayRecording(t *testing.T, h *host, id string) {
	t.Helper()
	status, data, err := h.request("GET", "/v1/sessions/"+id+"/recording")
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET recording: status %d, %v: %.200s", status, err, data)
	}
	dir := recordings
	if dir == "" {
		dir = t.TempDir()
	}
	file := filepath.Join(dir, "bandwidth-limit.wavryrec")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(hostBinary, "replay", file, "--svg", filepath.Join(dir,
		"bandwidth-limit.svg")).CombinedOutput()
	t.Logf("%d kB: %s", len(data)/1000, out)
	if err != nil || !strings.Contains(string(out), "bit for bit") {
		t.Errorf("the replay is not the same: %v", err)
	}
}

func bitratesOver(s snapshot, limit int) error {
	if s.TargetBitrate < limit || s.AchievedBitrate < limit*6/10 {
		return fmt.Errorf("target %d, achieved %d bit/s, %s by %s",
			s.TargetBitrate, s.AchievedBitrate, s.Quality, s.Reason)
	}
	return nil
}
