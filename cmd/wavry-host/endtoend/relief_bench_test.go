//go:build integration

package endtoend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// reliefLine matches the daemon's log line for a step of load shedding.
type reliefLine struct {
	Msg     string    `json:"msg"`
	Time    time.Time `json:"time"`
	Display string    `json:"display"`
	From    string    `json:"from"`
	To      string    `json:"to"`
}

// reliefs returns the load-shedding steps that h has logged.
func (h *host) reliefs() (steps []reliefLine) {
	for line := range strings.Lines(h.out.String()) {
		var l reliefLine
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "sessions lowered or raised for the host's load" {
			steps = append(steps, l)
		}
	}
	return steps
}

// all returns the sessions.
func (h *host) all(tb testing.TB) []snapshot {
	tb.Helper()
	list, err := h.sessions()
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// used returns the fraction of the cores in use.
func (h *host) used(tb testing.TB) float64 {
	tb.Helper()
	status, body, err := h.request(http.MethodGet, "/v1/host")
	if err != nil || status != http.StatusOK {
		tb.Fatalf("host: status %d, %v", status, err)
	}
	var state struct {
		Load struct {
			Cores     float64 `json:"cores"`
			CoresUsed float64 `json:"cores_used"`
		} `json:"load"`
	}
	if err := json.Unmarshal(body, &state); err != nil {
		tb.Fatal(err)
	}
	return state.Load.CoresUsed / state.Load.Cores
}

// watchRelief prints the state of the sessions every three seconds for the given time. It ends early when done returns
// true.
func (h *host) watchRelief(b *testing.B, title string, long time.Duration, done func() bool) {
	b.Helper()
	began, seen := time.Now(), len(h.reliefs())
	for n := 0; time.Since(began) < long && !done(); n++ {
		<-time.After(time.Second)
		for _, s := range h.reliefs()[seen:] {
			seen++
			b.Logf("%s %4.1f s: %s from %s to %s", title, s.Time.Sub(began).Seconds(), s.Display, s.From, s.To)
		}
		if n%3 != 0 {
			continue
		}
		text := ""
		for _, s := range h.all(b) {
			text += fmt.Sprintf("  %s %dx%d %.0f fps %s (%s)", s.Display, s.Width, s.Height, s.FPS, s.Quality, s.Reason)
		}
		b.Logf("%s %4.1f s: %3.0f %% of the cores%s", title, time.Since(began).Seconds(), 100*h.used(b), text)
	}
}

// BenchmarkRelief saturates the machine for half a minute: two moving displays of different weight, and programs that
// use all cores. It fails when the more important display is lowered first, when a session is ended, or when nothing is
// lowered. Afterwards, quality rises again as far as other programs leave room.
func BenchmarkRelief(b *testing.B) {
	const hogs, long = 6, 40 * time.Second
	need(b, "timeout")
	console, side := startX(b, 0, 1920, 1080), startX(b, 0, 1920, 1080)
	console.moving(b)
	side.moving(b)
	h := startHost(b, hostOptions{measured: true, args: []string{
		"--display", console.id(), "--fps", "60", "displays.max_encodings=1", "displays.bitrate.start=8M",
		"displays.rules=" + fmt.Sprintf(`[{display: "%s", weight: 500}, {display: "%s", weight: 10}]`,
			console.id(), side.id()),
	}})
	for b.Loop() {
		first, _ := joinDisplay(b, h, console.id(), loopback(b), nil)
		eventually(b, time.Minute, "room for another display; other programs are busy", func() error {
			if used := h.used(b); used > .6 {
				return fmt.Errorf("%.0f %% of the cores are in use", 100*used)
			}
			return nil
		})
		second, _ := joinDisplay(b, h, side.id(), loopback(b), nil)
		h.watchRelief(b, "before", 6*time.Second, func() bool { return false })
		var load []*process
		for range hogs {
			load = append(load, start(b, exec.Command("timeout", "45", "sh", "-c", "while :; do :; done")))
		}
		h.watchRelief(b, "saturated", long, func() bool { return false })
		lowered := h.reliefs()
		for _, p := range load {
			p.kill()
		}
		h.watchRelief(b, "after", time.Minute, func() bool {
			steps := h.reliefs()
			return len(steps) > 0 && steps[len(steps)-1].To == "whole" && steps[len(steps)-1].Display == side.id()
		})
		if len(lowered) == 0 {
			b.Error("nobody was lowered")
		}
		if i := slices.IndexFunc(lowered,
			func(s reliefLine) bool { return s.Display == console.id() }); i >= 0 && i < 3 {
			b.Errorf("step %d is for the important display", i+1)
		}
		if n := len(h.all(b)); n != 2 {
			b.Errorf("%d sessions are left of 2", n)
		}
		b.ReportMetric(float64(len(lowered)), "steps-down")
		b.ReportMetric(float64(len(h.reliefs())-len(lowered)), "steps-up")
		b.ReportMetric(0, "ns/op")
		first.leave(b, h)
		second.leave(b, h)
	}
}
