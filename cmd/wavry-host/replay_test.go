package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/record"
)

// recorded writes a recording of ten seconds on a path whose queue grows in the middle.
func recorded(t *testing.T, path string) {
	t.Helper()
	loop, err := adapt.New(adapt.Config{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1_700_000_000, 0)
	r := record.New(loop, record.About{Version: thisBuild().Version, Session: "s1", Display: "x11:0"}, start, 0)
	for i := range 1000 {
		now := start.Add(time.Duration(i) * 10 * time.Millisecond)
		delay := 20 * time.Millisecond
		if i > 300 && i < 600 {
			delay += time.Duration(i-300) * time.Millisecond
		}
		p := adapt.Packet{ID: uint64(i), Size: 1200, Sent: now}
		r.OnSource(adapt.Source{At: now, FrameBytes: 1150, Dirty: .5, QP: 40})
		r.OnSent(p)
		p.Arrived = now.Add(delay)
		r.OnFeedback(adapt.Feedback{At: now.Add(5 * time.Millisecond), RTT: 2 * delay, Packets: []adapt.Packet{p}})
		r.Tick(now.Add(5 * time.Millisecond))
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Recording().Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReplay(t *testing.T) {
	dir := t.TempDir()
	good, bad, svg := filepath.Join(dir, "good"), filepath.Join(dir, "bad"), filepath.Join(dir, "drawing.svg")
	recorded(t, good)
	if err := os.WriteFile(bad, []byte("no recording at all, but long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args       []string
		code       int
		out, error string
	}{
		"good":    {[]string{"replay", good, "--svg", svg}, 0, "constrained", ""},
		"same":    {[]string{"replay", good}, 0, "bit for bit", ""},
		"json":    {[]string{"replay", good, "--json"}, 0, `"answers_that_differ": 0`, ""},
		"bad":     {[]string{"replay", bad}, exitFailure, "", "no recording of wavry-host"},
		"missing": {[]string{"replay", filepath.Join(dir, "none")}, exitFailure, "", "no such file"},
		"nothing": {[]string{"replay"}, exitUsage, "", "file"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errors strings.Builder
			if got := run(t.Context(), c.args, nil, &out, &errors); got != c.code {
				t.Fatalf("exit code %d; want %d: %s", got, c.code, errors.String())
			}
			if !strings.Contains(out.String(), c.out) || !strings.Contains(errors.String(), c.error) {
				t.Errorf("out %q, errors %q; want %q and %q in them", out.String(), errors.String(), c.out, c.error)
			}
			if name == "json" && !json.Valid([]byte(out.String())) {
				t.Errorf("%q is no JSON", out.String())
			}
		})
	}
	if data, err := os.ReadFile(svg); err != nil || !strings.Contains(string(data), "session s1 of x11:0") {
		t.Errorf("the drawing: %v, %.200s", err, data)
	}
}
