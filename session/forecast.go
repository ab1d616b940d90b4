package session

import (
	"slices"
	"sync/atomic"

	"wavryhost/session/admission"

	"github.com/prometheus/client_golang/prometheus"
)

// shownProfiles are the profiles of the capacity metric: an operator plans with them. GET /v1/capacity has more.
var shownProfiles = []admission.Profile{
	admission.NewProfile(1920, 1080, 60), admission.NewProfile(1920, 1080, 30), admission.NewProfile(1280, 720, 30),
}

// usualLimits are the resources that are limited on each host; cards, encoders, uplinks and displays may be.
var (
	usualLimits = []admission.Resource{
		admission.Sessions, admission.Handshakes, admission.CPU, admission.EncodeTime, admission.Memory,
	}
	otherLimits = []admission.Resource{
		admission.Uplink, admission.Encoders, admission.GPU, admission.GPUMemory, admission.DisplayViewers,
	}
	usualLoads = []admission.Resource{admission.Sessions, admission.CPU, admission.Memory}
	otherLoads = []admission.Resource{admission.Uplink, admission.Encoders, admission.GPU, admission.GPUMemory}
)

// ComputedGauge is a gauge with one label whose values are computed when it is read. No lock is held meanwhile: the
// function that computes them may take the locks of the Manager.
type ComputedGauge struct {
	desc *prometheus.Desc
	// before has the values of the label of which each one is 0 while nothing computes them.
	before []string
	// complete has the values of the label that exist whatever is computed.
	complete []string
	values   atomic.Pointer[func() map[string]float64]
}

var _ prometheus.Collector = (*ComputedGauge)(nil)

func newComputedGauge(name, help, label string, before []string) *ComputedGauge {
	return &ComputedGauge{desc: prometheus.NewDesc(name, help, []string{label}, nil), before: before}
}

// Describe sends the only description.
func (g *ComputedGauge) Describe(to chan<- *prometheus.Desc) { to <- g.desc }

// Collect computes the values and sends them.
func (g *ComputedGauge) Collect(to chan<- prometheus.Metric) {
	all := make(map[string]float64)
	for _, word := range slices.Concat(g.before, g.complete) {
		all[word] = 0
	}
	if values := g.values.Load(); values != nil {
		all = (*values)()
	}
	for word, v := range all {
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v, word)
	}
}

// forecastMetrics say what the host has room for at the time of the scrape.
type forecastMetrics struct{ capacity, wouldRefuse, loadRatio *ComputedGauge }

func newForecastMetrics(reg prometheus.Registerer) *forecastMetrics {
	profiles := make([]string, 0, len(shownProfiles))
	for _, p := range shownProfiles {
		profiles = append(profiles, p.String())
	}
	f := &forecastMetrics{
		capacity: newComputedGauge("wavry_host_capacity_sessions",
			"Number of further sessions that fit now, each on a display of its own, by their size and frame rate.",
			"profile", profiles),
		wouldRefuse: newComputedGauge("wavry_host_admission_would_refuse",
			"1 for each resource that is too short for another session of the default display, else 0. Resources "+
				"without a limit are absent.", "resource", names(usualLimits)),
		loadRatio: newComputedGauge("wavry_host_load_ratio",
			"Used part of a resource of what the host has or allows, with what is promised to new sessions. "+
				"Resources without a limit are absent.", "resource", names(usualLoads)),
	}
	reg.MustRegister(f.capacity, f.wouldRefuse, f.loadRatio)
	return f
}

// completed makes all series exist, for the document of all metrics.
func (f *forecastMetrics) completed() {
	f.wouldRefuse.complete, f.loadRatio.complete = names(otherLimits), names(otherLoads)
}

// follow makes the metrics show what a Manager knows.
func (f *forecastMetrics) follow(m *Manager) {
	capacity := func() map[string]float64 {
		all := make(map[string]float64)
		for _, c := range m.reservations.Capacity(shownProfiles...) {
			all[c.Profile] = float64(c.More)
		}
		return all
	}
	wouldRefuse := func() map[string]float64 {
		all := make(map[string]float64)
		f, _ := forecastOf(m.registry, m.catalog.usual())
		for r, short := range f.WouldRefuse() {
			all[string(r)] = 0
			if short {
				all[string(r)] = 1
			}
		}
		return all
	}
	loadRatio := func() map[string]float64 {
		all := make(map[string]float64)
		f, _ := forecastOf(m.registry, m.catalog.usual())
		for r, used := range f.Used() {
			all[string(r)] = used
		}
		if load := m.conf.get().Load; load != nil {
			if l := load(); l.MemoryTotal > 0 {
				all[string(admission.Memory)] = 1 - float64(l.MemoryFree)/float64(l.MemoryTotal)
			}
		}
		return all
	}
	f.capacity.values.Store(&capacity)
	f.wouldRefuse.values.Store(&wouldRefuse)
	f.loadRatio.values.Store(&loadRatio)
}

// forecastOf returns what there is to know of another session of a display, and whether the host takes none.
func forecastOf(r *registry, d Display) (f admission.Forecast, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	format := r.capacity.usualFormat()
	return r.admission.Forecast(r.capacity.request(d, 0, format), r.snapshot(format)), r.host.closed()
}
