package floor

import (
	"wavryhost/session/rift"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the metrics of the package. No label names a display or a session.
type Metrics struct {
	input           *prometheus.CounterVec
	inputDropped    *prometheus.CounterVec
	channelsRefused *prometheus.CounterVec
	controlChanges  *prometheus.CounterVec
	controlled      prometheus.Gauge
}

// NewMetrics returns metrics that are registered on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const ns = "wavry_host"
	counters := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help}, []string{label})
		reg.MustRegister(c)
		return c
	}
	m := &Metrics{
		input:           counters("input_messages_total", "Input messages passed to displays, by kind.", "kind"),
		inputDropped:    counters("input_dropped_total", "Dropped input messages, by reason.", "reason"),
		channelsRefused: counters("data_channels_refused_total", "Refused data channels, by reason.", "reason"),
		controlChanges: counters("control_changes_total", "Times that control of a display went to another "+
			"session or to none, by reason.", "reason"),
		controlled: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: ns, Name: "controlled_displays", Help: "Displays that a session controls.",
		}),
	}
	reg.MustRegister(m.controlled)
	return m
}

// Complete makes all series of closed sets exist, for the document of all metrics.
func (m *Metrics) Complete() {
	for _, c := range []struct {
		of    *prometheus.CounterVec
		words []string
	}{
		{m.inputDropped, drops()},
		{m.channelsRefused, ChannelRefusals()},
		{m.controlChanges, Reasons()},
	} {
		for _, w := range c.words {
			c.of.WithLabelValues(w)
		}
	}
	for _, k := range rift.Kinds() {
		if k != rift.Gamepad { // no display takes them
			m.input.WithLabelValues(k.String())
		}
	}
}
