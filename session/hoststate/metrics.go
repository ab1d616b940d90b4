package hoststate

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of the package.
type Metrics struct {
	state         *prometheus.GaugeVec
	cordoned      prometheus.Gauge
	drainLeft     prometheus.Gauge
	drainDeadline prometheus.Gauge
}

// NewMetrics returns metrics that are registered on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const ns = "wavry_host"
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	m := &Metrics{
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: ns, Name: "host_state", Help: "1 for the current state of the host, 0 for the others.",
		}, []string{"state"}),
		cordoned:  gauge("cordoned", "1 while the host is cordoned by an operator, else 0."),
		drainLeft: gauge("drain_sessions_left", "Sessions that are left in a drain; 0 without a drain."),
		drainDeadline: gauge("drain_deadline_timestamp_seconds",
			"When the drain ends the sessions that are left; 0 without a deadline."),
	}
	reg.MustRegister(m.state)
	return m
}
