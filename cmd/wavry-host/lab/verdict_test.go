package lab

import (
	"strings"
	"testing"
	"time"

	"wavryhost/adapt/simulate"
	"wavryhost/session/api/client"
)

// ran returns a run of 10 s with a good session, as the lab measures it.
func ran() *Run {
	r := &Run{Profile: Profile{
		Name: "some", About: "a network", ToViewer: simulate.Link{Capacity: simulate.Constant(10e6), Queue: time.Second},
		ToHost: simulate.Link{Capacity: simulate.Constant(10e6), Queue: time.Second},
	}}
	for i := range 44 {
		x := Sample{AtSeconds: float64(i) / 4, Capacity: 10e6, Bits: 5e6, Packets: 100, Dropped: 1, Queue: .02, RTT: .04}
		if i > 3 {
			x.Quality, x.Achieved, x.Target, x.session, x.path = "good", 4e6, 5e6, "a", "direct"
		}
		if i >= 34 {
			x.Quality = "constrained"
		}
		r.Samples = append(r.Samples, x)
	}
	r.Figures = summarize(r.Samples, seen{
		Now: 11000, First: 1000, Last: 10950, Shown: 301, Longest: 120, Freezes: 1, FrozenSeconds: .12, Width: 1280,
		Height: 720,
	})
	return r
}

func TestFigures(t *testing.T) {
	f := ran().Figures
	near := func(name string, got, want float64) {
		if got < want-1e-6 || got > want+1e-6 {
			t.Errorf("%s is %v; want %v", name, got, want)
		}
	}
	near("time to the first picture", f.FirstFrameSeconds, 1)
	near("time watched", f.WatchedSeconds, 10)
	near("longest freeze", f.LongestFreezeSeconds, .12)
	near("frame rate", f.FPS, 30)
	near("good", f.good(), .75)
	near("usable", f.usable(), 1)
	near("bitrate", f.Bitrate, 4e6)
	near("use", f.CapacityUsed, .5)
	near("dropped", f.Dropped, .01)
	near("round trip", f.RTTSeconds, .04)
	near("queue", f.QueueSeconds, .02)
	if f.Sessions != 1 || f.Path != "direct" {
		t.Errorf("%d sessions, path %q", f.Sessions, f.Path)
	}
}

// A picture that stands until the end is a freeze, too.
func TestFreezeAtTheEnd(t *testing.T) {
	if f := summarize(nil, seen{Now: 9000, First: 1000, Last: 4000, Shown: 2, Longest: 500}); f.LongestFreezeSeconds != 5 {
		t.Errorf("longest freeze %v s; want 5", f.LongestFreezeSeconds)
	}
}

func TestVerdict(t *testing.T) {
	reachable := Goals{
		FirstFrame: time.Second, LongestFreeze: 200 * time.Millisecond, Queue: 30 * time.Millisecond, Good: .7, Usable: .9,
		FPS: 25, Bitrate: 3e6,
	}
	overload := []Sample{{Reason: string(client.QualityReasonEncoderOverload)}}
	for name, c := range map[string]struct {
		change func(r *Run)
		want   Verdict
		text   string
	}{
		"all goals":        {func(*Run) {}, Reached, "all goals are reached"},
		"no goals":         {func(r *Run) { r.Profile.Goals = Goals{} }, Reached, ""},
		"a slow start":     {func(r *Run) { r.Profile.Goals.FirstFrame = 1 }, Missed, "1.00 s, not at most 1ns"},
		"a freeze":         {func(r *Run) { r.Figures.LongestFreezeSeconds = 3 }, Missed, "longest freeze: 3.00 s"},
		"a long queue":     {func(r *Run) { r.Figures.QueueSeconds = .5 }, Missed, "queue on the link"},
		"bad quality":      {func(r *Run) { r.Figures.Shares = nil }, Missed, "good: 0 %, not at least 70 %"},
		"few pictures":     {func(r *Run) { r.Figures.FPS = 3 }, Missed, "pictures per second: 3, not at least 25"},
		"few bits":         {func(r *Run) { r.Figures.Bitrate = 1e6 }, Missed, "bitrate: 1 Mbit/s, not at least 3 Mbit/s"},
		"no picture":       {func(r *Run) { r.Figures = Figures{} }, Missed, "a picture is shown: no"},
		"no relay":         {func(r *Run) { r.Relay = true }, Missed, "media pass the relay: direct"},
		"a relay":          {func(r *Run) { r.Relay, r.Figures.Path = true, "relay" }, Reached, ""},
		"a busy machine":   {func(r *Run) { r.Figures.FPS, r.Samples = 3, overload }, Undecided, "encoder_overload"},
		"a loaded machine": {func(r *Run) { r.Figures.FPS, r.Figures.Load = 3, 9 }, Undecided, "load of 9.0 per core"},
		"busy, and well":   {func(r *Run) { r.Samples = overload }, Reached, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := ran()
			r.Profile.Goals = reachable
			c.change(r)
			r.judge()
			if r.Verdict != c.want || !strings.Contains(r.summary(), c.text) {
				t.Errorf("%s: %s; want %s: %s", r.Verdict, r.summary(), c.want, c.text)
			}
		})
	}
}

func TestWorstVerdict(t *testing.T) {
	for want, runs := range map[Verdict][]Verdict{
		Reached: {Reached, Reached}, Undecided: {Reached, Undecided, Reached}, Missed: {Undecided, Missed, Reached},
	} {
		var r Report
		for _, v := range runs {
			r.Runs = append(r.Runs, Run{Verdict: v})
		}
		if got := r.Worst(); got != want {
			t.Errorf("%v are %s; want %s", runs, got, want)
		}
	}
}
