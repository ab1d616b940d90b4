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
	busy, err := parseStat([]byte("cpu  100 20 30 9999 888 4 5 6 7 8\ncpu0 1 2\n"), 100)
	if err != nil || busy != 1650*time.Millisecond {
		t.Errorf("busy %v, %v; want 1.65 s", busy, err)
	}
	free, total, err := parseMeminfo([]byte("MemTotal:       16384 kB\nMemFree: 5 kB\nMemAvailable:    8192 kB\nHugePages_Total:       0\n"))
	if err != nil || free != 8192<<10 || total != 16384<<10 {
		t.Errorf("memory %d of %d, %v", free, total, err)
	}
	stall, err := parsePressure([]byte("some avg10=12.50 avg60=1.00 avg300=0.00 total=123\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=45\n"))
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
	for controller, want := range map[string]string{"": "/system.slice/wavry-host.service", "cpu": "/old", "memory": "/old/m", "pids": ""} {
		if got, ok := parseGroup(groups, controller); got != want || ok != (want != "") {
			t.Errorf("group of %q: %q", controller, got)
		}
	}
}

func TestParsersRefuse(t *testing.T) {
	for name, parse := range map[string]func([]byte) error{
		"stat":     func(b []byte) error { _, err := parseStat(b, 100); return err },
		"meminfo":  func(b []byte) error { _, _, err := parseMeminfo(b); return err },
		"pressure": func(b []byte) error { _, err := parsePressure(b); return err },
		"quota":    func(b []byte) error { _, err := parseQuota(b); return err },
		"field":    func(b []byte) error { _, err := parseField(b, "x"); return err },
		"number":   func(b []byte) error { _, err := parseNumber(b); return err },
	} {
		for _, text := range []string{"", "\n", "cpu a b c d e f g h", "some avg10=x", "5", "a b", "0 0", "x y", "MemTotal: x kB"} {
			if name == "number" && text == "5" {
				continue
			}
			if err := parse([]byte(text)); !errors.Is(err, errForm) {
				t.Errorf("%s of %q: got %v; want errForm", name, text, err)
			}
		}
	}
}

func TestSamplerSmooths(t *testing.T) {
	now := time.Unix(1000, 0)
	at, rate := sample{Reading: Reading{Cores: 4, MemoryFree: 1}}, 2.0
	var fail error
	s := &Sampler{log: slog.New(slog.DiscardHandler), look: func(time.Time) (sample, error) { return at, fail }}
	step := func(n int) {
		for range n {
			now = now.Add(interval)
			at.busy += time.Duration(rate * float64(interval))
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
	if got := s.Read().CoresUsed; got < 2.5 || got > 3.5 {
		t.Errorf("%v cores a second after the load doubled; want some of it", got)
	}
	fail = errTest
	step(1)
	fail = nil
	rate = 0
	step(40)
	if got := s.Read(); got.CoresUsed > .01 || got.MemoryFree != 1 {
		t.Errorf("%+v", got)
	}
	at.busy = 0 // another group, or a counter that wrapped
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
