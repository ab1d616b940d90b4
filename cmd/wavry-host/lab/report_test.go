package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/session/api/client"
)

func TestReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	r := newReport(Config{
		Display: "synthetic:busy", Size: "960x540", FPS: 30, For: 10 * time.Second, Out: dir, Version: "v1.2.3",
	})
	good, bad := ran(), ran()
	good.Pictures = []Picture{{5, []byte("JPEG")}}
	bad.Profile.Name, bad.Profile.About = "other", "a <slow> network"
	bad.Profile.Goals.FPS = 90
	bad.Transitions = []client.Transition{{From: "good", To: "constrained", Reason: "queue_delay", TargetBitrate: 2e6}}
	bad.Problem = "no picture"
	for _, one := range []*Run{good, bad} {
		one.judge()
		r.Runs = append(r.Runs, *one)
	}
	path, err := r.Write()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"goals on the networks: 1 reached, 1 missed", "v1.2.3", "synthetic:busy", "1280 x 720",
		"data:image/jpeg;base64,SlBFRw==",
		"<svg ", "a &lt;slow&gt; network", "queue_delay", "2.0 Mbit/s", "pictures per second: 30, not at least 90",
		"good 75 %, constrained 25 %", "10 Mbit/s, delay 0s, queue 1250 kB",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, other := range []string{"http://", "https://", "<script", "ZgotmplZ", "NaN", "no value"} {
		if text := strings.ReplaceAll(string(page), "http://www.w3.org/2000/svg", ""); strings.Contains(text, other) {
			t.Errorf("the page has %q", other)
		}
	}
	var back struct {
		Version int
		Runs    []struct {
			Verdict string
			Figures struct{ FPS float64 }
			Samples []Sample
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, dataFile))
	if err == nil {
		err = json.Unmarshal(data, &back)
	}
	if err != nil || back.Version != reportVersion || len(back.Runs) != 2 || back.Runs[1].Verdict != "missed" ||
		back.Runs[0].Figures.FPS != 30 || len(back.Runs[0].Samples) != 44 {
		t.Errorf("the data are %+v, %v", back, err)
	}
}
