package outbox

import "github.com/prometheus/client_golang/prometheus"

// Metrics has the metrics of an outbox.
type Metrics struct {
	waiting, oldest prometheus.Gauge
	lost, unwritten prometheus.Counter
}

// NewMetrics returns the metrics of the outbox of a receiver, such as webhook, which is in their names.
func NewMetrics(receiver string) *Metrics {
	name := func(suffix string) string { return "wavry_host_" + receiver + "_" + suffix }
	return &Metrics{
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: name("waiting_events"), Help: "Events that wait for delivery to the " + receiver + ".",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: name("oldest_event_timestamp_seconds"),
			Help: "Time of the oldest event that waits for delivery to the " + receiver + "; 0 if none waits.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("lost_events_total"),
			Help: "Events that the full outbox of the " + receiver + " dropped. A gap is delivered instead.",
		}),
		unwritten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("outbox_errors_total"), Help: "Failed attempts to write the outbox file of the " + receiver + ".",
		}),
	}
}

// Collectors returns the metrics, to register and unregister.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.waiting, m.oldest, m.lost, m.unwritten}
}
