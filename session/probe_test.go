package session

import (
	"context"
	"errors"
	"slices"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"wavryhost/session/hoststate"
)

// values returns all series of the metrics that do not describe displays and their encodes.
func (h *house) values(t *testing.T) map[string]string {
	t.Helper()
	ofDisplays := []string{
		"wavry_host_frames_total", "wavry_host_frames_dropped_total", "wavry_host_capture_seconds",
		"wavry_host_convert_seconds", "wavry_host_encode_seconds", "wavry_host_keyframes_total",
		"wavry_host_still_pictures_total", "wavry_host_displays", "wavry_host_encodings", "wavry_host_encoder_rate_ratio",
	}
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, f := range families {
		if slices.Contains(ofDisplays, f.GetName()) {
			continue
		}
		for _, m := range f.GetMetric() {
			value := m.String()
			if f.GetType() == dto.MetricType_HISTOGRAM {
				value = (&dto.Metric{Histogram: &dto.Histogram{SampleCount: m.GetHistogram().SampleCount}}).String()
			}
			all[f.GetName()+" "+labelsOf(m)] = value
		}
	}
	return all
}

func labelsOf(m *dto.Metric) (text string) {
	for _, l := range m.GetLabel() {
		text += l.GetName() + "=" + l.GetValue() + " "
	}
	return text
}

// The host's own probe gets pictures as a viewer does, and no place, list, event or metric of sessions has it.
func TestProbeIsNoSession(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.MaxSessions = 1 })
	defer h.close(t)
	h.alive(t)
	before := h.values(t)
	probe := newRemote(t)
	defer probe.close()
	offer := Offer{Display: "default", SDP: probe.offer(false), Probe: true}
	a, err := h.Create(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	probe.accept(a)
	eventually(t, "pictures arrive", func() bool { n, _ := probe.got(); return n > 5 })
	if one, err := h.Session(a.ID); err != nil || one.State != stateConnected {
		t.Errorf("the probe asks for its session: %q, %v", one.State, err)
	}
	if n, list := h.Host().Sessions, h.Sessions(); n != 0 || len(list) != 0 {
		t.Errorf("%d sessions, list %v; want none", n, list)
	}
	h.host.Drain(hoststate.DrainOrder{})
	if s, _ := h.host.Draining(); s.AtStart != 0 {
		t.Errorf("a drain waits for %d sessions", s.AtStart)
	}
	second := newRemote(t)
	defer second.close()
	if _, err := h.Create(t.Context(), Offer{Display: "default", SDP: second.offer(false), Probe: true}); !errors.Is(err,
		ErrDraining) {
		t.Errorf("a probe of a draining host: got %v; want ErrDraining", err)
	}
	h.host.Resume()
	if err := h.End(context.Background(), a.ID, EndDeleted, ""); err != nil {
		t.Error(err)
	}
	for name, value := range h.values(t) {
		if was, ok := before[name]; (!ok || was != value) && !isOfTheDrain(name) {
			t.Errorf("%s: %s, before the probe %q", name, value, was)
		}
	}
	user := newRemote(t)
	defer user.close()
	user.watch(h) // the only place is free
	for _, e := range h.told() {
		if e.Session != "" && e.Session != user.id {
			t.Errorf("event of the probe: %+v", e)
		}
	}
}

// isOfTheDrain reports whether the drain of the test changes a series.
func isOfTheDrain(name string) bool {
	return slices.ContainsFunc([]string{"wavry_host_events_total", "wavry_host_host_state", "wavry_host_drain"},
		func(p string) bool { return len(name) >= len(p) && name[:len(p)] == p })
}
