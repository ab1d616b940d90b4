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

// gauge is one of the gauges of a ComputedGauges. It has one label.
type gauge struct {
	desc *prometheus.Desc
	// before has the values of the label of which each one is 0 while nothing computes them.
	before []string
	// complete has the values of the label that exist whatever is computed.
	complete []string
}

// ComputedGauges are gauges whose values are computed together when they are read. No lock is held meanwhile: the
// function that computes them may take the locks of the Manager.
type ComputedGauges struct {
	capacity, wouldRefuse, loadRatio gauge
	values                           atomic.Pointer[func() forecastValues]
}

// forecastValues are the values of the gauges, by their label.
type forecastValues struct{ capacity, wouldRefuse, loadRatio map[string]float64 }

var _ prometheus.Collector = (*ComputedGauges)(nil)

// Describe sends all descriptions.
func (g *ComputedGauges) Describe(to chan<- *prometheus.Desc) {
	to <- g.capacity.desc
	to <- g.wouldRefuse.desc
	to <- g.loadRatio.desc
}

// Collect computes the values and sends them.
func (g *ComputedGauges) Collect(to chan<- prometheus.Metric) {
	var now forecastValues
	if values := g.values.Load(); values != nil {
		now = (*values)()
	}
	g.capacity.send(to, now.capacity)
	g.wouldRefuse.send(to, now.wouldRefuse)
	g.loadRatio.send(to, now.loadRatio)
}

// send sends the values of a gauge; nil if nothing computes them.
func (g *gauge) send(to chan<- prometheus.Metric, values map[string]float64) {
	if values == nil {
		values = make(map[string]float64)
		for _, word := range slices.Concat(g.before, g.complete) {
			values[word] = 0
		}
	}
	for word, v := range values {
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v, word)
	}
}

// newForecastMetrics returns gauges of what the host has room for at the time of the scrape.
func newForecastMetrics(reg prometheus.Registerer) *ComputedGauges {
	profiles := make([]string, 0, len(shownProfiles))
	for _, p := range shownProfiles {
		profiles = append(profiles, p.String())
	}
	of := func(name, help, label string, before []string) gauge {
		return gauge{desc: prometheus.NewDesc(name, help, []string{label}, nil), before: before}
	}
	g := &ComputedGauges{
		capacity: of("wavry_host_capacity_sessions",
			"Number of further sessions that fit now, each on a display of its own, by their size and frame rate.",
			"profile", profiles),
		wouldRefuse: of("wavry_host_admission_would_refuse",
			"1 for each resource that is too short for another session of the default display, else 0. Resources "+
				"without a limit are absent.", "resource", resourceNames(usualLimits)),
		loadRatio: of("wavry_host_load_ratio",
			"Used part of a resource of what the host has or allows, with what is promised to new sessions. "+
				"Resources without a limit are absent.", "resource", resourceNames(usualLoads)),
	}
	reg.MustRegister(g)
	return g
}

// completed makes all series exist, for the document of all metrics.
func (g *ComputedGauges) completed() {
	g.wouldRefuse.complete, g.loadRatio.complete = resourceNames(otherLimits), resourceNames(otherLoads)
}
