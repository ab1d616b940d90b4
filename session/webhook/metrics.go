package webhook

import (
	"wavryhost/session/outbox"

	"github.com/prometheus/client_golang/prometheus"
)

// The results of a delivery.
const (
	resultDelivered  = "delivered"
	resultRefused    = "refused"
	resultRedirected = "redirected"
	resultTimeout    = "timeout"
	resultFailed     = "failed"
	resultSecret     = "secret"
)

// Results lists the results of a delivery.
func Results() []string {
	return []string{
		resultDelivered, resultRefused, resultRedirected, resultTimeout, resultFailed, resultSecret,
	}
}

// Metrics has the metrics of the webhook.
type Metrics struct {
	deliveries *prometheus.CounterVec
	seconds    prometheus.Histogram
	outbox     *outbox.Metrics
}

// NewMetrics registers the metrics on reg. The series of a result appears with the first delivery that has it.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_webhook_deliveries_total",
			Help: "Attempts to deliver an event to the webhook, by result.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wavry_host_webhook_delivery_seconds", Help: "Duration of successful deliveries to the webhook.",
			Buckets: []float64{.01, .03, .1, .3, 1, 3, 10},
		}),
		outbox: outbox.NewMetrics("webhook"),
	}
	reg.MustRegister(append(m.outbox.Collectors(), m.deliveries, m.seconds)...)
	return m
}

// Complete makes the series of all results, for documents and contracts.
func (m *Metrics) Complete() {
	for _, r := range Results() {
		m.deliveries.WithLabelValues(r)
	}
}
