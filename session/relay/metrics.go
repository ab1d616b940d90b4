package relay

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of a Watch. The label server is a configured URL, so the number of values is bounded.
type Metrics struct {
	up, rtt   *prometheus.GaugeVec
	probes    *prometheus.CounterVec
	unhelpful prometheus.Counter
}

// probeOK labels a probe that succeeded.
const probeOK = "ok"

// NewMetrics registers the metrics on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wavry_host_ice_server_up",
			Help: "1 if a STUN or TURN server works, 0 if it is down. Absent before the first result.",
		}, []string{"server", "region"}),
		rtt: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wavry_host_ice_server_rtt_seconds",
			Help: "Round-trip time to a STUN or TURN server, from the newest successful probe.",
		}, []string{"server", "region"}),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_ice_server_probes_total",
			Help: "Probes of STUN and TURN servers, by result: ok, or the reason of the failure.",
		}, []string{"server", "region", "result"}),
		unhelpful: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wavry_host_sessions_without_relay_total",
			Help: "Sessions and ICE restarts that had TURN servers and got no relayed address.",
		}),
	}
	reg.MustRegister(m.up, m.rtt, m.probes, m.unhelpful)
	return m
}

// state sets a server's state. The caller holds the Watch's mutex, here and below.
func (m *Metrics) state(t *target) {
	switch t.health.state {
	case StateUp:
		m.up.WithLabelValues(t.url, t.of.Region).Set(1)
	case StateDown:
		m.up.WithLabelValues(t.url, t.of.Region).Set(0)
	case StateUnknown:
	}
	for _, r := range append(Reasons(), probeOK) {
		m.probes.WithLabelValues(t.url, t.of.Region, r)
	}
}

func (m *Metrics) probed(t *target) {
	m.state(t)
	result := probeOK
	if t.health.reason != "" {
		result = string(t.health.reason)
	} else {
		m.rtt.WithLabelValues(t.url, t.of.Region).Set(t.health.rtt.Seconds())
	}
	m.probes.WithLabelValues(t.url, t.of.Region, result).Inc()
}

// forget removes a server that is no longer configured.
func (m *Metrics) forget(t *target) {
	of := prometheus.Labels{"server": t.url, "region": t.of.Region}
	m.up.DeletePartialMatch(of)
	m.rtt.DeletePartialMatch(of)
	m.probes.DeletePartialMatch(of)
}
