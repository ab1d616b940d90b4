package session

import (
	"maps"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"wavryhost/session/admission"
	"wavryhost/session/hoststate"

	"github.com/prometheus/client_golang/prometheus"
)

// gathered returns the values of a gauge by its label.
func (h *house) gathered(t *testing.T, name string) map[string]float64 {
	t.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			values[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	return values
}

// The metrics of capacity, load and refusals show the host at the moment of the scrape.
func TestForecastIsOfTheScrape(t *testing.T) {
	b := &burden{l: Load{Cores: 4, CoresUsed: 1, MemoryFree: 6 << 30, MemoryTotal: 8 << 30}}
	h := openHouse(t, func(c *Config) { c.Load, c.EncoderInfo, c.MaxSessions = b.read, measured(.02), 4 })
	defer h.close(t)
	reserve := func(hold time.Duration) admission.Reservation {
		l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default", Hold: hold})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := reserve(time.Minute)
	want := map[string]float64{"sessions": 0, "handshakes": 0, "cpu": 0, "encode_time": 0, "memory": 0}
	if got := h.gathered(t, "wavry_host_admission_would_refuse"); !maps.Equal(got, want) {
		t.Errorf("would refuse %v; want %v", got, want)
	}
	for _, c := range h.reservations.Capacity(shownProfiles...) {
		if got := h.gathered(t, "wavry_host_capacity_sessions")[c.Profile]; got != float64(c.More) {
			t.Errorf("%v more sessions at %s; the API has %d", got, c.Profile, c.More)
		}
	}
	ratio := h.gathered(t, "wavry_host_load_ratio")
	if len(ratio) != 3 || ratio["sessions"] != .25 || ratio["memory"] != .25 || ratio["cpu"] < .3 || ratio["cpu"] > .4 {
		t.Errorf("load %v; want 0.25 of the sessions and the memory, and the used and promised cores", ratio)
	}
	b.set(3.3)
	if got := h.gathered(t, "wavry_host_admission_would_refuse"); got["cpu"] != 1 || got["sessions"] != 0 {
		t.Errorf("with busy cores: would refuse %v; want cpu only", got)
	}
	if got := h.gathered(t, "wavry_host_capacity_sessions")["1280x720@30"]; got != 0 {
		t.Errorf("with busy cores: room for %v", got)
	}
	b.set(.1)
	for range 3 {
		reserve(time.Minute)
	}
	if got := h.gathered(t, "wavry_host_admission_would_refuse"); got["cpu"] != 0 || got["sessions"] != 1 {
		t.Errorf("with all places taken: would refuse %v; want sessions only", got)
	}
	if err := h.reservations.Release(first.ID); err != nil {
		t.Error(err)
	}
	h.host.Drain(hoststate.DrainOrder{})
	if got := h.gathered(t, "wavry_host_capacity_sessions"); got["1280x720@30"] != 0 || len(got) != len(shownProfiles) {
		t.Errorf("a host that drains has room for %v", got)
	}
}

// A scrape makes one forecast, which reads the load once. The gauge of the memory reads it again.
func TestOneForecastPerScrape(t *testing.T) {
	var reads atomic.Int64
	h := openHouse(t, func(c *Config) {
		c.Load = func() Load {
			reads.Add(1)
			return Load{Cores: 4, MemoryFree: 6 << 30, MemoryTotal: 8 << 30}
		}
		c.EncoderInfo = measured(.02)
	})
	defer h.close(t)
	fewest := int64(math.MaxInt64) // the janitor reads it, too, once in a while
	for range 5 {
		before := reads.Load()
		h.gathered(t, "wavry_host_load_ratio")
		fewest = min(fewest, reads.Load()-before)
	}
	if fewest != 2 {
		t.Errorf("a scrape reads the load %d times; want 2", fewest)
	}
}

// A scrape holds no lock while it waits for another one, so that it cannot block admission.
func TestForecastBesideAdmission(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default", Hold: time.Minute})
			if err == nil {
				err = h.reservations.Release(l.ID)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 50 {
		h.gathered(t, "wavry_host_capacity_sessions")
	}
	<-done
}

// What a viewer reports is added once, and never more than its session can have seen.
func TestViewerReports(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := &figures{met: NewMetrics(reg)}
	for _, step := range []struct {
		age     time.Duration
		report  ViewerReport
		freezes uint64
		frozen  time.Duration
	}{
		{10 * time.Second, ViewerReport{2, time.Second}, 2, time.Second},
		{11 * time.Second, ViewerReport{2, time.Second}, 2, time.Second},
		{12 * time.Second, ViewerReport{1, time.Millisecond}, 2, time.Second}, // its player began anew
		{13 * time.Second, ViewerReport{3, 1500 * time.Millisecond}, 3, 1500 * time.Millisecond},
		{15 * time.Second, ViewerReport{1 << 60, time.Hour}, 100, 15 * time.Second},
	} {
		f.report(step.age, step.report)
		if want := (ViewerReport{step.freezes, step.frozen}); f.reported != want {
			t.Errorf("after %+v at %v: %+v; want %+v", step.report, step.age, f.reported, want)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, one := range families {
		got[one.GetName()] = one.GetMetric()[0].GetCounter().GetValue()
	}
	if got["wavry_host_viewer_freezes_total"] != 100 || got["wavry_host_viewer_frozen_seconds_total"] != 15 {
		t.Errorf("the metrics have %v freezes and %v s; want 100 and 15", got["wavry_host_viewer_freezes_total"],
			got["wavry_host_viewer_frozen_seconds_total"])
	}
}
