package pressure

import (
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestParsers(t *testing.T) {
	stat := []byte(
		"cpu  100 20 30 9999 888 4 5 6 7 8\ncpu0 60 20 0 9000 8 4 0 6 7 8\ncpu1 10 0 30 5 5 0 0 0 0 0\n" +
			"cpu3 40 0 0 5 5 0 5 0 0 0\nintr 5\n",
	)
	for _, c := range []struct {
		set  map[int]bool
		n    int
		want time.Duration
	}{{nil, 3, 1750 * time.Millisecond}, {map[int]bool{1: true, 3: true, 9: true}, 2, 850 * time.Millisecond}} {
		if n, busy, err := parseStat(stat, c.set); err != nil || n != c.n || busy != c.want {
			t.Errorf("of %v: %d processors busy for %v, %v; want %d and %v", c.set, n, busy, err, c.n, c.want)
		}
	}
	if _, _, err := parseStat(stat, map[int]bool{2: true}); !errors.Is(err, errForm) {
		t.Errorf("no processor that may be used: %v", err)
	}
	for text, want := range map[string]int{"0\n": 1, "\t0-3,8": 5, "0,2-2,63-64": 4} {
		if set, err := parseSet(text); err != nil || len(set) != want {
			t.Errorf("%q: %v, %v; want %d", text, set, err, want)
		}
	}
	for _, text := range []string{"", "a", "3-1", "-1", "0-9999999", "1,,2"} {
		if set, err := parseSet(text); !errors.Is(err, errForm) {
			t.Errorf("%q: %v, %v", text, set, err)
		}
	}
	own := []byte("7 (a) (b) S 1 7 7 0 -1 4194304 9 9 0 0 120 30 5 6 20 0 9 0 99 1 2 3\n")
	if used, err := parseOwn(own); err != nil || used != 1500*time.Millisecond {
		t.Errorf("own %v, %v; want 1.5 s", used, err)
	}
	free, total, err := parseMeminfo(
		[]byte("MemTotal:       16384 kB\nMemFree: 5 kB\nMemAvailable:    8192 kB\nHugePages_Total:       0\n"),
	)
	if err != nil || free != 8192<<10 || total != 16384<<10 {
		t.Errorf("memory %d of %d, %v", free, total, err)
	}
	stall, err := parsePressure(
		[]byte("some avg10=12.50 avg60=1.00 avg300=0.00 total=123\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=45\n"),
	)
	if err != nil || stall != .125 {
		t.Errorf("stall %v, %v", stall, err)
	}
	for text, want := range map[string]float64{"max 100000\n": 0, "150000 100000\n": 1.5} {
		if got, err := parseQuota([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	if n, err := parseField([]byte("usage_usec 77\nuser_usec 5\n"), "usage_usec"); err != nil || n != 77 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := parseNumber([]byte("max\n")); err != nil || n != unlimited {
		t.Errorf("%d, %v", n, err)
	}
	groups := []byte("12:cpu,cpuacct:/old\n11:memory:/old/m\n0::/system.slice/wavry-host.service\n")
	for controller, want := range map[string]string{
		"": "/system.slice/wavry-host.service", "cpu": "/old",
		"memory": "/old/m", "pids": "",
	} {
		if got, ok := parseGroup(groups, controller); got != want || ok != (want != "") {
			t.Errorf("group of %q: %q", controller, got)
		}
	}
}

func TestParsersRefuse(t *testing.T) {
	for name, parse := range map[string]func([]byte) error{
		"stat":     func(b []byte) error { _, _, err := parseStat(b, nil); return err },
		"meminfo":  func(b []byte) error { _, _, err := parseMeminfo(b); return err },
		"own":      func(b []byte) error { _, err := parseOwn(b); return err },
		"pressure": func(b []byte) error { _, err := parsePressure(b); return err },
		"quota":    func(b []byte) error { _, err := parseQuota(b); return err },
		"field":    func(b []byte) error { _, err := parseField(b, "x"); return err },
		"number":   func(b []byte) error { _, err := parseNumber(b); return err },
	} {
		for _, text := range []string{
			"", "\n", "cpu0 a b c d e f g h", "some avg10=x", "5", "a b", "0 0", "x y",
			"MemTotal: x kB",
		} {
			if name == "number" && text == "5" {
				continue
			}
			if err := parse([]byte(text)); !errors.Is(err, errForm) {
				t.Errorf("%s of %q: got %v; want errForm", name, text, err)
			}
		}
	}
}

// Each budget must have room: other processes may use up the quota of the group, or the machine.
func TestLeastOfTheBudgetsCounts(t *testing.T) {
	now := time.Unix(1000, 0)
	before := sample{at: now, budgets: []budget{{"machine", 8, 0}, {"/a/b", 2, 0}, {"/a", 4, 0}}}
	for name, c := range map[string]struct {
		machine, inner, outer time.Duration
		want                  float64
	}{
		"idle":                   {0, 0, 0, 0},
		"the group's own":        {500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond, .5},
		"others of the group":    {3500 * time.Millisecond, 500 * time.Millisecond, 3500 * time.Millisecond, 1.5},
		"others of the machine":  {7 * time.Second, 500 * time.Millisecond, 500 * time.Millisecond, 1},
		"more than the quota":    {3 * time.Second, 3 * time.Second, 3 * time.Second, 2},
		"a counter that wrapped": {-time.Second, 0, 0, 0},
	} {
		after := sample{
			at:      now.Add(time.Second),
			Reading: Reading{Cores: 2},
			budgets: []budget{{"machine", 8, c.machine}, {"/a/b", 2, c.inner}, {"/a", 4, c.outer}, {"/new", 1, 9}},
		}
		if got := after.used(before); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v cores are in use; want %v", name, got, c.want)
		}
	}
}

func TestSamplerSmooths(t *testing.T) {
	now := time.Unix(1000, 0)
	at, rate := sample{Reading: Reading{Cores: 4, MemoryFree: 1}, budgets: []budget{{"machine", 4, 0}}}, 2.0
	var fail error
	s := &Sampler{log: slog.New(slog.DiscardHandler), look: func(time.Time) (sample, error) { return at, fail }}
	step := func(n int) {
		for range n {
			now = now.Add(interval)
			at.budgets = []budget{{"machine", 4, at.budgets[0].busy + time.Duration(rate*float64(interval))}}
			if !s.measure(now) {
				t.Fatal("it gave up")
			}
		}
	}
	step(1)
	if got := s.Read().CoresUsed; got != 0 {
		t.Errorf("%v cores after one look", got)
	}
	step(40)
	if got := s.Read().CoresUsed; math.Abs(got-2) > .01 {
		t.Errorf("%v cores; want 2", got)
	}
	rate = 4
	step(1)
	if got := s.Read().CoresUsed; got < 2.3 || got > 3.5 {
		t.Errorf("%v cores a look after the load doubled; want some of it", got)
	}
	if got := s.Read().CoresNow; math.Abs(got-4) > .01 {
		t.Errorf("%v cores since the look before; want 4", got)
	}
	fail = errTest
	step(1)
	fail = nil
	rate = 0
	step(40)
	if got := s.Read(); got.CoresUsed > .01 || got.MemoryFree != 1 {
		t.Errorf("%+v", got)
	}
	at.budgets[0].busy = 0 // another group, or a counter that wrapped
	if s.measure(now.Add(time.Second)); s.Read().CoresUsed < 0 {
		t.Error("less than no core is in use")
	}
	fail = ErrUnsupported
	if s.measure(now.Add(2 * time.Second)) {
		t.Error("it goes on where nothing is to be seen")
	}
}

var errTest = errors.New("test error")

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	New(reg, slog.New(slog.DiscardHandler))
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	families, err := reg.Gather()
	if err != nil || len(families) != 7 {
		t.Errorf("%d metrics, %v", len(families), err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "wavry_host_pressure_") {
			t.Errorf("%s", f.GetName())
		}
	}
}
