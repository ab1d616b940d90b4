package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/adapt/simulate"
)

func noTrace(string) ([]byte, error) { return nil, errors.New("no such file") }

func TestBuiltinProfiles(t *testing.T) {
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
		if p.About == "" || p.Goals == (Goals{}) {
			t.Errorf("%s has no description or no goals", p.Name)
		}
	}
	if got, want := strings.Join(names, " "), "dsl hotel-wifi lan lte satellite transatlantic"; got != want {
		t.Errorf("profiles %s; want %s", got, want)
	}
}

func TestProfile(t *testing.T) {
	p, err := parse("some/place/mine.yaml", []byte(`
about: mine
same_network: true
to_viewer:
  rate: [{at: 0s, rate: 8M}, {at: 10s, rate: 500k}]
  delay: 15ms
  jitter: 2ms
  bunch: [2ms, 10ms]
  loss: 0.5%
  burst: 3
  queue: 64kB
  aqm: fq_codel
to_host: {trace: up.trace, queue: 100ms}
goals: {first_frame: 2s, longest_freeze: 300ms, queue: 50ms, good: 80%, usable: 95%, fps: 25, bitrate: 5M}
`), func(name string) ([]byte, error) {
		if name != "up.trace" {
			return nil, errors.New("another name")
		}
		var trace []byte
		for ms := 2; ms <= 2000; ms += 2 {
			trace = fmt.Appendln(trace, ms)
		}
		return trace, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "mine" || !p.SameNetwork {
		t.Errorf("got %+v", p)
	}
	l := p.ToViewer
	if l.Capacity.Rate(0) != 8e6 || l.Capacity.Rate(11*time.Second) != 500e3 || l.Delay != 15*time.Millisecond ||
		l.Jitter != 2*time.Millisecond || l.Bunch != [2]time.Duration{2 * time.Millisecond, 10 * time.Millisecond} ||
		l.Loss != .005 || l.Burst != 3 || l.Room() != 64000 || l.AQM != simulate.FQCoDel {
		t.Errorf("to the viewer: %+v", l)
	}
	if rate := p.ToHost.Capacity.Bits(0, 10*time.Second, 1e9) / 10; rate < 5e6 || rate > 7e6 {
		t.Errorf("the trace has %v bit/s; want about 6e6", rate)
	}
	want := Goals{
		FirstFrame: 2 * time.Second, LongestFreeze: 300 * time.Millisecond, Queue: 50 * time.Millisecond,
		Good: .8, Usable: .95, FPS: 25, Bitrate: 5e6,
	}
	if p.Goals != want {
		t.Errorf("goals %+v; want %+v", p.Goals, want)
	}
}

// Each mistake has one message that says where it is, what it is, and what to write.
func TestRefusedProfiles(t *testing.T) {
	const rest = "\nabout: x\nto_host: {rate: 1M, queue: 50ms}"
	link := func(fields string) string { return "to_viewer: {" + fields + "}" + rest }
	for text, want := range map[string]string{
		"":                                                                "the file is empty",
		"[]":                                                              "is no section",
		"to_viewer: {rate: 1M, queue: 1s}":                                "bad.yaml:1: about is missing",
		"about: x\nto_viewer: 3" + rest[9:]:                               "bad.yaml:2: to_viewer is no section",
		link("queue: 50ms"):                                               "needs exactly one of rate, trace and cellular",
		link("rate: 1M, trace: x, queue: 1s"):                             "cannot be read: no such file",
		link("rate: fast, queue: 50ms"):                                   `to_viewer.rate is "fast"; write bits per second`,
		link("rate: 0, queue: 50ms"):                                      "carries nothing",
		link("rate: 1M"):                                                  "to_viewer.queue is missing",
		link("rate: 1M, queue: 5"):                                        `to_viewer.queue is "5"; write a time`,
		link("rate: 1M, queue: 1kB"):                                      "or a size from 3kB",
		link("rate: 1M, queue: 1s, loss: 3"):                              `to_viewer.loss is "3"; write a share`,
		link("rate: 1M, queue: 1s, loss: 60%"):                            "from 0% to 50%",
		link("rate: 1M, queue: 1s, delay: 20"):                            `to_viewer.delay is "20"; write a time`,
		link("rate: 1M, queue: 1s, delay: -1s"):                           "write a time up to 5s",
		link("rate: 1M, queue: 1s, bunch: 2ms"):                           "such as [2ms, 10ms]",
		link("rate: 1M, queue: 1s, bunch: [9ms, 2ms]"):                    "swap them",
		link("rate: 1M, queue: 1s, aqm: red"):                             "write droptail, codel, fq_codel or pie",
		link("rate: 1M, queue: 1s, burst: 0"):                             "write a number from 1 to 1000, in packets",
		link("rate: 1M, queue: 1s, speed: 3"):                             "speed is unknown; the fields here are aqm, bunch",
		link("rate: 1M, queue: 1s, queue: 2s"):                            "is given twice",
		link("rate: [], queue: 1s"):                                       "has no steps",
		link("rate: [{at: 1s}], queue: 1s"):                               "a step without both at and rate",
		link("rate: [{at: 1s, rate: 0}], queue: 1s"):                      "ends with a rate of 0",
		link("cellular: {deviation: 0.5}, queue: 1s"):                     "to_viewer.cellular.mean is missing",
		link("cellular: {mean: 5M, fades: x}, queue: 1s"):                 "in fades a minute",
		link("rate: [{at: 2s, rate: 1M}, {at: 1s, rate: 1M}], queue: 1s"): "not after the one before it",
		link("rate: 1M, queue: 1s") + "\ngoals: {good: 101%}":             `goals.good is "101%"`,
		link("rate: 1M, queue: 1s") + "\nsame_network: maybe":             "write true or false",
	} {
		_, err := parse("bad.yaml", []byte(text), noTrace)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis refused with %v; want %q", text, err, want)
		}
	}
	_, err := parse("bad.yaml", []byte(link("rate: x, queue: y, delay: z")), noTrace)
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three mistakes give %v; want three lines", err)
	}
}

func FuzzProfile(f *testing.F) {
	files, err := filepath.Glob("profiles/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parse("fuzz.yaml", data, noTrace)
		if err == nil && (len(p.ToViewer.Capacity) == 0 || p.ToViewer.Room() <= 0) {
			t.Errorf("accepted without a capacity or a queue: %+v", p)
		}
	})
}

func TestFind(t *testing.T) {
	if p, err := Find("lte"); err != nil || p.Name != "lte" {
		t.Errorf("lte: %v, %v", p.Name, err)
	}
	if _, err := Find("lt"); err == nil || !strings.Contains(err.Error(), "there are dsl, hotel-wifi") {
		t.Errorf("lt: %v; want the names", err)
	}
	path := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(path, []byte("about: x\nto_host: {rate: 1M, queue: 1s}\nto_viewer: {trace: t, queue: 1s}"),
		0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "t"), []byte("5\n10\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Find(path); err != nil || p.Name != "own" { // the trace is in its folder
		t.Errorf("%v, %v", p.Name, err)
	}
	if _, err := Find("missing.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// The example in the documentation is a profile.
func TestDocumentedProfile(t *testing.T) {
	page, err := os.ReadFile("../../../docs/develop/lab.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```\n")
	if p, err := parse("documented.yaml", []byte(text), noTrace); !ok || err != nil || p.Goals.Bitrate == 0 {
		t.Errorf("%v: %+v", err, p)
	}
}
