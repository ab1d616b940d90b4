package session

import (
	"slices"
	"sync"
	"time"

	"wavryhost/session/admission"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// MaxMetricLabels is how many labels of clients may have metrics at the same time.
	MaxMetricLabels = 4
	// maxLabelValues is how many values of such a label have series of their own, until the daemon restarts. Clients
	// choose the values, and each series costs memory here and in Prometheus.
	maxLabelValues = 20
	// otherValue stands for all further values, and noValue for sessions without the label. Values of clients cannot
	// be empty or in parentheses.
	otherValue, noValue = "(other)", "(none)"
)

// labelMetrics count sessions and reservations by the labels that their clients set, as far as Config.MetricLabels
// names them.
type labelMetrics struct {
	sessions, reservations           *prometheus.GaugeVec
	created, seconds, bytes, freezes *prometheus.CounterVec

	mu     sync.Mutex          // guards values; nothing else is locked while it is held
	values map[string][]string // the values that have series, by label
}

// labelSeries is a label and its value in the metrics.
type labelSeries struct{ label, value string }

// tally counts one session or reservation in the series of its labels.
type tally struct {
	met    *labelMetrics
	series []labelSeries
}

// tally returns the tally of a session or reservation with labels, by the labels that have metrics.
func (m *labelMetrics) tally(names []string, labels admission.Labels) tally {
	if len(names) == 0 {
		return tally{met: m}
	}
	all := labels.Map()
	t := tally{met: m}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		value, ok := all[name]
		if !ok || value == "" {
			value = noValue
		} else if !slices.Contains(m.values[name], value) {
			if len(m.values[name]) < maxLabelValues {
				m.values[name] = append(m.values[name], value)
			} else {
				value = otherValue
			}
		}
		t.series = append(t.series, labelSeries{name, value})
	}
	return t
}

// begin counts a new session.
func (t tally) begin() {
	for _, s := range t.series {
		t.met.created.WithLabelValues(s.label, s.value).Inc()
		t.met.sessions.WithLabelValues(s.label, s.value).Inc()
	}
}

// end counts a session that is gone.
func (t tally) end() {
	for _, s := range t.series {
		t.met.sessions.WithLabelValues(s.label, s.value).Dec()
	}
}

// reserve adds reservations, or takes them away.
func (t tally) reserve(n float64) {
	for _, s := range t.series {
		t.met.reservations.WithLabelValues(s.label, s.value).Add(n)
	}
}

// used counts a time in which the session was connected.
func (t tally) used(d time.Duration) {
	for _, s := range t.series {
		t.met.seconds.WithLabelValues(s.label, s.value).Add(d.Seconds())
	}
}

// sent counts sent bytes.
func (t tally) sent(n uint64) {
	for _, s := range t.series {
		t.met.bytes.WithLabelValues(s.label, s.value).Add(float64(n))
	}
}

// froze counts a time in which the viewer's picture stood.
func (t tally) froze(d time.Duration) {
	for _, s := range t.series {
		t.met.freezes.WithLabelValues(s.label, s.value).Add(d.Seconds())
	}
}
