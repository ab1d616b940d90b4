package session

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	for _, r := range []struct{ running, want int }{{0, 1_000_000}, {500_000, 1_000_000}, {
		5_000_000,
		5_000_000,
	}, {9_000_000, 1_000_000}} {
		if got := c.adaptation(640, 480, adapt.PriceFree, r.running).WithDefaults().Start; got != r.want {
			t.Errorf("with %d running it starts at %d; want %d", r.running, got, r.want)
		}
	}
}

func TestMetricsOfClosedSets(t *testing.T) {
	reg := prometheus.NewRegistry()
	NewMetrics(reg).Complete()
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
		"wavry_host_frames_total": 3, "wavry_host_frames_dropped_total": 10,
		"wavry_host_quality_state_seconds_total": 1 + 2*len(freezeCauses), "wavry_host_events_total": len(EventKinds()),
		"wavry_host_handshakes_total": len(handshakeResults),
	} {
		if series[name] != want {
			t.Errorf("%s has %d series; want %d", name, series[name], want)
		}
	}
}
