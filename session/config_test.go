package session

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func TestConfigNamesTheFieldThatCannotWork(t *testing.T) {
	good := Config{
		Displays: func(context.Context) []Display { return nil },
		Encoders: []encode.Factory{encodetest.New(encodetest.Config{})},
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"displays":       func(c *Config) { c.Displays = nil },
		"encoder":        func(c *Config) { c.Encoders = nil },
		"limit -1":       func(c *Config) { c.MaxSessions = -1 },
		"size 100":       func(c *Config) { c.MTU = 100 },
		"range 2 to 1":   func(c *Config) { c.UDPPortMin, c.UDPPortMax = 2, 1 },
		"range 0 to 1":   func(c *Config) { c.UDPPortMax = 1 },
		`"here"`:         func(c *Config) { c.NAT1To1 = []string{"here"} },
		"silence":        func(c *Config) { c.SilenceTimeout = -time.Second },
		"rate 1000 is":   func(c *Config) { c.FPS = 1000 },
		"bitrate 1":      func(c *Config) { c.MinBitrate = 1 },
		"under the low":  func(c *Config) { c.MinBitrate, c.MaxBitrate = 200_000, 100_000 },
		"first bitrate ": func(c *Config) { c.MinBitrate, c.StartBitrate = 200_000, 100_000 },
	} {
		c := good
		change(&c)
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want it to say %q", err, want)
		}
		if _, err := NewManager(c, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())); err == nil {
			t.Errorf("%s: a manager was made", want)
		}
	}
}

func TestAViewerThatJoinsStartsAtTheRateOfTheOthers(t *testing.T) {
	c := Config{StartBitrate: 1_000_000, MaxBitrate: 8_000_000}.withDefaults()
	for _, r := range []struct{ running, want int }{{0, 1_000_000}, {500_000, 1_000_000}, {5_000_000, 5_000_000}, {9_000_000, 1_000_000}} {
		if got := c.adaptation(640, 480, adapt.PriceFree, r.running).WithDefaults().Start; got != r.want {
			t.Errorf("with %d running it starts at %d; want %d", r.running, got, r.want)
		}
	}
}

func TestEncodersThatFailedAreTriedLast(t *testing.T) {
	a := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "a"}})
	b := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "b"}})
	r := newRoster([]encode.Factory{a, b}, unlimited)
	now := time.Now()
	first := func(at time.Time) string { return r.order(at, encode.H264)[0].Profile().Name }
	if got := first(now); got != "a" {
		t.Errorf("%s is first; want a", got)
	}
	r.failed(a, now)
	if got := first(now.Add(firstBan - 1)); got != "b" {
		t.Errorf("%s is first after a failed; want b", got)
	}
	if got := first(now.Add(firstBan)); got != "a" {
		t.Errorf("%s is first after the ban; want a", got)
	}
	r.failed(a, now)
	if got := first(now.Add(firstBan)); got != "b" {
		t.Errorf("%s is first after a failed twice; want b for longer", got)
	}
	for range 100 {
		r.failed(a, now)
	}
	if got := first(now.Add(longBan)); got != "a" {
		t.Errorf("%s is first after the longest ban; want a", got)
	}
	if n := len(r.order(now, encode.H264)); n != 2 {
		t.Errorf("%d encoders; want both, whatever happened", n)
	}
}

func unlimited() int { return 0 }

// What the hardware refuses while it encodes is its limit: it is believed until an encode ends, another can be opened after all, or some time is over.
func TestLimitOfHardwareIsLearnt(t *testing.T) {
	gpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "gpu", Hardware: true}})
	cpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "cpu"}})
	configured := 0
	r := newRoster([]encode.Factory{gpu, cpu}, func() int { return configured })
	now := time.Now()
	first := func(at time.Time) string { return r.order(at, gpu.Profile().Codec)[0].Profile().Name }
	limit := func(at time.Time) (int, bool) { s := r.standings(at, anyCodec)[0]; return s.most, s.learnt }
	r.use(gpu, 1)
	r.use(gpu, 1)
	if n, learnt := limit(now); n != 0 || learnt || first(now) != "gpu" {
		t.Errorf("a limit of %d before one is met", n)
	}
	if n := r.busy(gpu, now); n != 2 {
		t.Errorf("full at %d; want 2", n)
	}
	if n, learnt := limit(now); n != 2 || !learnt || first(now) != "cpu" {
		t.Errorf("limit %d (%v), first %s; want 2 and the other encoder", n, learnt, first(now))
	}
	if got := r.order(now, gpu.Profile().Codec); len(got) != 2 {
		t.Errorf("%d encoders are left", len(got))
	}
	r.use(gpu, -1)
	if first(now) != "gpu" {
		t.Error("it is not used again once an encode ended")
	}
	r.use(gpu, 1)
	if at := now.Add(relearn); first(at) != "gpu" {
		t.Error("the limit is believed for ever")
	} else if n, _ := limit(at); n != 0 {
		t.Errorf("a limit of %d is told after its time", n)
	}
	r.use(gpu, 1)
	r.opened(gpu)
	if n, _ := limit(now); n != 0 {
		t.Errorf("limit %d though three are open", n)
	}
	configured = 1
	if n, learnt := limit(now); n != 1 || learnt || first(now) != "cpu" {
		t.Errorf("limit %d (%v), first %s; want the configured one", n, learnt, first(now))
	}
	configured = 0
	r.busy(gpu, now)
	r.replace([]encode.Factory{gpu, cpu})
	if n, _ := limit(now); n != 0 || first(now) != "gpu" {
		t.Errorf("limit %d after the drivers were tried anew", n)
	}
}

func TestEncoderThatHangsWhileOpeningIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		met := NewMetrics(prometheus.NewRegistry())
		w, err := startWorker(t.Context(), hangingFactory{release}, encode.Params{}, slog.New(slog.DiscardHandler), met.hungEncoders, nil)
		if w != nil || !errors.Is(err, errHung) {
			t.Errorf("got %v; want errHung", err)
		}
		if n := testutil.ToFloat64(met.hungEncoders); n != 1 {
			t.Errorf("%v encoders count as hung; want 1", n)
		}
		close(release)
		synctest.Wait()
		if n := testutil.ToFloat64(met.hungEncoders); n != 0 {
			t.Errorf("%v encoders count as hung after it returned; want 0", n)
		}
	})
}

func TestMetricsOfClosedSetsAreThereFromTheStart(t *testing.T) {
	reg := prometheus.NewRegistry()
	NewMetrics(reg)
	lint(t, reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.GetMetric())
	}
	for name, want := range map[string]int{
		"wavry_host_sessions": 3, "wavry_host_sessions_ended_total": len(EndReasons()),
		"wavry_host_frames_total": 3, "wavry_host_frames_dropped_total": len(drops),
		"wavry_host_quality_state_seconds_total": len(adapt.States()), "wavry_host_events_total": len(EventKinds()),
		"wavry_host_handshakes_total": len(handshakeResults),
	} {
		if series[name] != want {
			t.Errorf("%s has %d series; want %d", name, series[name], want)
		}
	}
}
