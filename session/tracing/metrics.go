package tracing

import "github.com/prometheus/client_golang/prometheus"

// What becomes of a trace.
const (
	resultDelivered = "delivered"
	resultFailed    = "failed"
	resultDropped   = "dropped"
	resultUnsampled = "unsampled"
)

// Metrics has the metrics of traces.
type Metrics struct{ traces *prometheus.CounterVec }

// NewMetrics registers the metrics on reg. The series of a result appears with the first trace that has it.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{traces: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wavry_host_traces_total",
		Help: "Traces, by result: delivered, failed because the collector did not accept them, dropped because the " +
			"queue was full, or unsampled because the request said so.",
	}, []string{"result"})}
	reg.MustRegister(m.traces)
	return m
}

// Complete makes the series of all results, for documents and contracts.
func (m *Metrics) Complete() {
	for _, r := range []string{resultDelivered, resultFailed, resultDropped, resultUnsampled} {
		m.traces.WithLabelValues(r)
	}
}
