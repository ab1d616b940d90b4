package api

import (
	"net/http"
	"strconv"
	"time"

	"wavryhost/session/api/auth"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/problem"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the API's own metrics. All label values are from closed sets.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	panics   prometheus.Counter
	// auth counts authentications, cut closed connections, auditErrors lines that could not be written.
	auth        *prometheus.CounterVec
	cut         *prometheus.CounterVec
	auditErrors prometheus.Counter
	auditSummed prometheus.Counter
	// certificateEnd is when the current certificate expires.
	certificateEnd prometheus.Gauge
}

// NewMetrics registers the API's metrics on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_http_requests_total",
			Help: "HTTP requests by route, method and class of status.",
		}, []string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wavry_host_http_request_seconds",
			Help: "Time from the header of a request to the end of its answer, by route.",
			// A file of the page takes well under a millisecond, opening a session about a hundred.
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"route"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_http_errors_total",
			Help: "HTTP requests that were refused or failed, by error code.",
		}, []string{"code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wavry_host_http_panics_total",
			Help: "HTTP requests that ended in a panic.",
		}),
		auth: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_api_authentications_total",
			Help: "Authentications of requests, by kind of credential and result.",
		}, []string{"method", "result"}),
		auditErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wavry_host_audit_errors_total",
			Help: "Lines of the audit log that could not be written.",
		}),
		cut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_http_connections_cut_total",
			Help: "HTTP connections that were closed because of a connection limit, by reason.",
		}, []string{"reason"}),
		auditSummed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wavry_host_audit_summed_total",
			Help: "Requests that were summed up in the audit log, because there were too many for a line each.",
		}),
		certificateEnd: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wavry_host_api_certificate_expiry_timestamp_seconds",
			Help: "Time at which the current TLS certificate expires, in seconds since 1970. 0 without TLS.",
		}),
	}
	reg.MustRegister(m.requests, m.seconds, m.errors, m.panics, m.auth, m.auditErrors, m.auditSummed, m.cut,
		m.certificateEnd)
	return m
}

// Complete makes all series of closed sets exist, for the document of all metrics.
func (m *Metrics) Complete() {
	for _, reason := range edge.CutReasons() {
		m.cut.WithLabelValues(reason)
	}
	for _, pair := range auth.Results() {
		m.auth.WithLabelValues(pair[0], pair[1])
	}
	for _, code := range problem.Codes() {
		m.errors.WithLabelValues(string(code))
	}
}

func (m *Metrics) observe(route, method string, status int, d time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions,
		http.MethodPut:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status/100)+"xx").Inc()
	m.seconds.WithLabelValues(route).Observe(d.Seconds())
}
