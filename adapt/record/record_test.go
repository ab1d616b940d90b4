package record_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/record"
	"wavryhost/adapt/simulate"
)

var update = flag.Bool("update", false, "rewrite what the tests compare with")

// simulated plays a case with its first flow recorded.
func simulated(t testing.TB, name string, limit int) (*record.Recorder, *simulate.Result) {
	t.Helper()
	cases := simulate.Cases()
	i := slices.IndexFunc(cases, func(c simulate.Case) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no case %s", name)
	}
	var first *record.Recorder
	result, err := simulate.Run(cases[i], 1, func(cfg adapt.Config) (adapt.Controller, error) {
		loop, err := adapt.New(cfg)
		if err != nil {
			return nil, err
		}
		r := record.New(loop, record.About{Version: "test", Session: "s1"}, time.Unix(1_700_000_000, 0), limit)
		if first == nil {
			first = r
		}
		return r, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return first, result
}

// written writes a recording and reads it again.
func written(t testing.TB, r *record.Recorder) (*record.Recording, []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := r.Recording().Write(&b); err != nil {
		t.Fatal(err)
	}
	file := slices.Clone(b.Bytes())
	rec, err := record.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	return rec, file
}

func replay(t testing.TB, rec *record.Recording) *record.Report {
	t.Helper()
	report, err := rec.Replay()
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestReplayIsTheSame plays cases with all that a controller meets, records them, and expects of the replay each target
// and each transition, bit for bit.
func TestReplayIsTheSame(t *testing.T) {
	for _, name := range []string{"step", "5.2", "loss-10", "outage", "policer", "deep"} {
		t.Run(name, func(t *testing.T) {
			r, result := simulated(t, name, 64<<20)
			rec, file := written(t, r)
			if !rec.Whole || !rec.Exact() || rec.Session != "s1" {
				t.Errorf("the recording says %+v", rec.Header)
			}
			report := replay(t, rec)
			if report.Differ != 0 || report.Ticks < 1000 {
				t.Errorf("%d of %d answers differ, the first after %v", report.Differ, report.Ticks, report.FirstDiffer)
			}
			if !slices.Equal(report.Recorded, report.Replayed) || len(report.Replayed) != len(result.Flows[0].Transitions) {
				t.Errorf(
					"transitions: recorded %v, replayed %v, in the simulation %v", report.Recorded, report.Replayed,
					result.Flows[0].Transitions,
				)
			}
			t.Logf("%v, %d events, %d kB as a file", report.To-report.From, report.Events, len(file)/1000)
		})
	}
}

// TestRecordingIsBounded keeps less than a case has, and replays from the middle.
func TestRecordingIsBounded(t *testing.T) {
	r, _ := simulated(t, "5.2", 256<<10)
	rec, _ := written(t, r)
	if rec.Whole {
		t.Error("the recording claims to have the beginning")
	}
	if n := record.Size(r.Recording()); n > 256<<10+64<<10 {
		t.Errorf("%d bytes are kept; want 256 kB and an event at most", n)
	}
	report := replay(t, rec)
	if report.Differ != 0 || report.From < 5*time.Second || report.Ticks < 300 {
		t.Errorf("%d of %d answers differ in a recording from %v to %v", report.Differ, report.Ticks, report.From, report.To)
	}
	if !slices.Equal(report.Recorded, report.Replayed) {
		t.Errorf("transitions: recorded %v, replayed %v", report.Recorded, report.Replayed)
	}
}

// TestRecorderChangesNothing compares a case with and without a recorder.
func TestRecorderChangesNothing(t *testing.T) {
	_, recorded := simulated(t, "5.2", 0)
	cases := simulate.Cases()
	i := slices.IndexFunc(cases, func(c simulate.Case) bool { return c.Name == "5.2" })
	plain, err := simulate.Run(cases[i], 1, simulate.Own)
	if err != nil {
		t.Fatal(err)
	}
	for k := range plain.Flows {
		if !slices.Equal(plain.Flows[k].Targets, recorded.Flows[k].Targets) {
			t.Errorf("flow %d got other targets", k)
		}
	}
}

// TestStepsOfTheWallClockAreNotSeen gives times whose wall clock steps while the monotonic clock does not.
func TestStepsOfTheWallClockAreNotSeen(t *testing.T) {
	loop, err := adapt.New(adapt.Config{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now() //nolint:forbidigo // a time with a monotonic reading comes from nowhere else
	r := record.New(loop, record.About{}, start, 0)
	for i := range 100 {
		at := start.Add(time.Duration(i) * 25 * time.Millisecond)
		p := adapt.Packet{ID: uint64(i), Size: 1200, Sent: at}
		r.OnSent(p)
		r.OnSource(adapt.Source{At: at, FrameBytes: 1000, Dirty: 1, QP: 20})
		p.Arrived = start.Add(time.Duration(i)*25*time.Millisecond + time.Hour)
		r.OnFeedback(
			adapt.Feedback{At: at.Add(20 * time.Millisecond), RTT: 20 * time.Millisecond, Packets: []adapt.Packet{p}},
		)
		r.OnKeyframeRequest(at.Add(20*time.Millisecond), adapt.KeyframePLI)
		targets := r.Tick(at.Add(20 * time.Millisecond))
		if !targets.Pad.Until.IsZero() && targets.Pad.Until.Sub(at) > time.Minute {
			t.Fatalf("padding is wanted until %v", targets.Pad.Until)
		}
		r.Estimate(at.Add(21 * time.Millisecond))
		r.OnLimit(adapt.Limit{At: at.Add(21 * time.Millisecond), FPS: 60 - i/50*30, Scale: 1})
		r.OnApplied(
			adapt.Applied{
				At:            at.Add(22 * time.Millisecond),
				BitsPerSecond: targets.EncoderBitrate,
				FPS:           60,
				Price:         adapt.PriceReopen,
			},
		)
	}
	rec, _ := written(t, r)
	report := replay(t, rec)
	if report.Differ != 0 || report.Ticks != 100 || report.Events != 800 {
		t.Errorf("%d of %d answers differ, %d events", report.Differ, report.Ticks, report.Events)
	}
	if i := len(report.Replayed) - 1; i < 0 || report.Replayed[i].Reason != adapt.ReasonHostSaturated {
		t.Errorf("transitions are %v; want the last one by the host's limit", report.Replayed)
	}
	if got := rec.Base.Sub(start.Round(0)); got != 0 {
		t.Errorf("the base is %v off the start", got)
	}
}

// TestRecordings plays the recordings from the field that were copied to testdata/recordings, and compares their
// transitions with what they were when that was last looked at: make generate writes them anew.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("../../testdata/recordings/*.wavryrec")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no recordings: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			rec, err := record.Read(f)
			if err != nil {
				t.Fatal(err)
			}
			if !rec.Exact() {
				t.Fatal(
					"it begins in the middle of a session, with a controller of another version: it says nothing about this one",
				)
			}
			report := replay(t, rec)
			var b strings.Builder
			for _, x := range report.Replayed {
				fmt.Fprintf(&b, "%.3f %v -> %v by %v\n", x.At.Sub(rec.Base).Seconds(), x.From, x.To, x.Reason)
			}
			golden := strings.TrimSuffix(file, ".wavryrec") + ".transitions"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || b.String() != string(want) {
				t.Errorf("transitions:\n%s\nwant (%v)\n%s", b.String(), err, want)
			}
		})
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	r, _ := simulated(t, "step", 64<<10)
	_, file := written(t, r)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":        {nil, record.ErrForeign},
		"another file": {[]byte("#!/bin/sh\necho something else altogether\n"), record.ErrForeign},
		"cut off":      {file[:len(file)/2], record.ErrDamaged},
		"only a head":  {file[:30], record.ErrDamaged},
		"a byte turned": {append(append(slices.Clone(file[:len(file)/2]), file[len(file)/2]^0x55),
			file[len(file)/2+1:]...), record.ErrDamaged},
	} {
		if _, err := record.Read(bytes.NewReader(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
}

func TestDrawing(t *testing.T) {
	r, _ := simulated(t, "outage", 0)
	var b strings.Builder
	if err := replay(t, r.Recording()).Chart("a session").WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "target, replayed") || strings.Contains(b.String(), "NaN") {
		t.Errorf("drew %.300s", b.String())
	}
}

// FuzzReplay changes the events of a recording: a replay ends with an error or a report, and never panics.
func FuzzReplay(f *testing.F) {
	r, _ := simulated(f, "step", 16<<10)
	for _, c := range record.Chunks(r.Recording()) {
		f.Add(c[:min(len(c), 1500)])
	}
	f.Fuzz(func(t *testing.T, events []byte) {
		rec := record.WithChunk(r.Recording(), events)
		if report, err := rec.Replay(); err != nil && !errors.Is(err, record.ErrDamaged) || err == nil && report == nil {
			t.Errorf("got %v, %v", report, err)
		}
	})
}

// BenchmarkRecord compares a feedback on 20 packets and the sending of them, with and without a recorder.
func BenchmarkRecord(b *testing.B) {
	for _, name := range []string{"plain", "recorded"} {
		b.Run(name, func(b *testing.B) {
			loop, err := adapt.New(adapt.Config{})
			if err != nil {
				b.Fatal(err)
			}
			now := time.Unix(1_700_000_000, 0)
			var c adapt.Controller = loop
			if name == "recorded" {
				c = record.New(loop, record.About{}, now, 0)
			}
			packets, id := make([]adapt.Packet, 20), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				for i := range packets {
					id++
					now = now.Add(time.Millisecond)
					packets[i] = adapt.Packet{ID: id, Size: 1200, Sent: now}
					c.OnSent(packets[i])
					packets[i].Arrived = now.Add(20 * time.Millisecond)
				}
				now = now.Add(25 * time.Millisecond)
				c.OnFeedback(adapt.Feedback{At: now, RTT: 40 * time.Millisecond, Packets: packets})
				c.Tick(now)
			}
		})
	}
}
