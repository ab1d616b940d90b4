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
	x := startX(t, 0, 1280, 720)
	x.desktop(t)
	x.noisy(t)
	x.waitWindows(t, 3)

	h := startExposed(t, l.host, l.hostIP, "--display", x.id(), "--fps", "30", "displays.bitrate.min=200k",
		"displays.bitrate.start=3M", "--max-bitrate", "8M")
	b := openBrowser(t, l.viewer, h.page(""))
	b.waitFrames(t, 30, patience)

	const high, low = 2_000_000, 1_000_000
	eventually(t, patience, "the bitrate rises on the free link", func() error {
		return bitratesOver(h.session(t), high)
	})
	free := h.session(t)
	t.Logf("free: target %d, achieved %d bit/s, %s", free.TargetBitrate, free.AchievedBitrate, free.Quality)

	l.limit(t, "1mbit")
	eventually(t, patience, "target and achieved bitrate fall below the limit, and the quality with them",
		func() error {
			if s := h.session(t); s.TargetBitrate > low || s.AchievedBitrate > low || s.Quality == "good" {
				return fmt.Errorf("target %d, achieved %d bit/s, %s by %s",
					s.TargetBitrate, s.AchievedBitrate, s.Quality, s.Reason)
			}
			return nil
		})
	limited := h.session(t)
	t.Logf("limited to 1 Mbit/s: target %d, achieved %d bit/s, %s by %s",
		limited.TargetBitrate, limited.AchievedBitrate, limited.Quality, limited.Reason)
	b.waitFrames(t, 30, patience) // it still moves
	if screenshots != "" {
		b.screenshot(t, filepath.Join(screenshots, "limited.png"))
	}

	l.limit(t, "")
	eventually(t, patience, "the bitrate rises again", func() error {
		return bitratesOver(h.session(t), high)
	})

	// A quality state improves only after a while of better conditions. Late pictures on a busy machine are not the
	// link's fault.
	eventually(t, patience, "the quality is good again", func() error {
		if s := h.session(t); s.Quality != "good" && s.Reason != "encoder_overload" {
			return fmt.Errorf("%s by %s, target %d, achieved %d bit/s",
				s.Quality, s.Reason, s.TargetBitrate, s.AchievedBitrate)
		}
		return nil
	})

	s := h.session(t)
	t.Logf("lifted: target %d, achieved %d bit/s, %s", s.TargetBitrate, s.AchievedBitrate, s.Quality)
	if len(s.Transitions) < 2 {
		t.Fatalf("the API shows the transitions %v; want at least one down and one up", s.Transitions)
	}
	if v := h.metric(t, "wavry_host_quality_transitions_total"); v < 2 {
		t.Errorf("the metric counts %v transitions; want at least 2", v)
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
