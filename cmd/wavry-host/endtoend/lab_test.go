//go:build integration

package endtoend

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// One short lab of a network from a file, through a relay. How well the session went depends on the machine; the report
// and the limits of the link do not.
func TestLab(t *testing.T) {
	t.Parallel()
	needNamespaces(t)
	need(t, "chromium", "turnserver")
	dir := t.TempDir()
	profile := filepath.Join(dir, "narrow.yaml")
	if err := os.WriteFile(profile, []byte(`
about: a narrow link
to_viewer: {rate: 4M, delay: 30ms, queue: 100ms}
to_host: {rate: 2M, delay: 30ms, queue: 100ms}
goals: {first_frame: 59s}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "report")
	p := start(t, exec.Command(hostBinary, "lab", profile, "--relay", "--for", "5s", "--out", out))
	<-p.done
	if p.err != nil {
		t.Fatalf("the lab ends with %v", p.err)
	}
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"narrow, through a relay", "data:image/jpeg;base64,", "<svg ", "media pass the relay"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	data, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Runs []struct {
			Verdict string
			Link    struct {
				RoundTrip float64 `json:"round_trip_seconds"`
				Bitrate   float64
			}
			Figures struct {
				FirstFrame float64 `json:"first_frame_seconds"`
				Watched    float64 `json:"watched_seconds"`
				RTT        float64 `json:"rtt_seconds"`
				Path       string
				Width      int
			}
			Samples []struct {
				Carried float64 `json:"carried_bitrate"`
			}
		}
	}
	if err := json.Unmarshal(data, &report); err != nil || len(report.Runs) != 1 {
		t.Fatalf("the data are %+v, %v", report, err)
	}
	r := report.Runs[0]
	if r.Verdict != "reached" || r.Figures.Path != "relay" || r.Figures.Width == 0 || r.Figures.FirstFrame <= 0 ||
		r.Figures.Watched < 5 || r.Figures.RTT < .055 {
		t.Errorf("verdict %s, figures %+v", r.Verdict, r.Figures)
	}
	// A busy machine delays packets. At most, what the link carries in 2 s is counted as that of the last 1.5 s.
	if r.Link.RoundTrip < .060 || r.Link.Bitrate > 4.01e6*2/1.5 {
		t.Errorf("the link has a round trip of %v s and %v bit/s; want at least 0.06 and about 4e6", r.Link.RoundTrip,
			r.Link.Bitrate)
	}
	if len(r.Samples) < 4 {
		t.Errorf("%d samples", len(r.Samples))
	}
	for _, name := range []string{"host.log", "relay.log", "chromium.log", "flight.recording"} {
		if _, err := os.Stat(filepath.Join(out, "narrow", name)); err != nil {
			t.Error(err)
		}
	}
}

// The lab ends with everything that it started when it is interrupted.
func TestLabIsInterrupted(t *testing.T) {
	t.Parallel()
	needNamespaces(t)
	need(t, "chromium")
	out := t.TempDir()
	cmd := exec.Command(hostBinary, "lab", "lan", "--for", "10m", "--out", out)
	cmd.Env = append(os.Environ(), "TMPDIR="+out)
	p := start(t, cmd)
	eventually(t, patience, "the daemon has a session", func() error {
		log, err := os.ReadFile(filepath.Join(out, "lan", "host.log"))
		if err == nil && !strings.Contains(string(log), `"session connected"`) {
			err = errNotYet
		}
		return err
	})
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-p.done
	if code := p.ProcessState.ExitCode(); code != 1 || !strings.Contains(p.out.String(), "interrupted") {
		t.Errorf("the lab ends with code %d; want 1, and a word about it", code)
	}
	if left, err := filepath.Glob(filepath.Join(out, "wavry-lab-*")); err != nil || len(left) > 0 {
		t.Errorf("folders %v are left, %v", left, err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range processes {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), filepath.Join(out, "wavry-lab-")) {
			t.Errorf("a process is left: %s", strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}
