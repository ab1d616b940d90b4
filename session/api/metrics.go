package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
)

// Metrics are what the API counts about itself. All label values are from closed sets.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	panics   prometheus.Counter
	// auth counts who showed what, auditErrors the lines that could not be written.
	auth        *prometheus.CounterVec
	cut         *prometheus.CounterVec
	auditErrors prometheus.Counter
	auditSummed prometheus.Counter
	// certificateEnd is when the certificate in use expires.
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
			Help: "Time from a request's header to the end of its answer, by route.",
			// A page file takes well under a millisecond, opening a session some hundred.
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"route"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_http_errors_total",
			Help: "HTTP requests refused or failed, by error code.",
		}, []string{"code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wavry_host_http_panics_total",
			Help: "HTTP requests that ended in a panic.",
		}),
	}
	m.auth = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wavry_host_api_authentications_total",
		Help: "Requests, by kind of credential and result of its check.",
	}, []string{"method", "result"})
	m.auditErrors = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wavry_host_audit_errors_total",
		Help: "Lines of the audit log that could not be written.",
	})
	m.cut = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wavry_host_http_connections_cut_total",
		Help: "HTTP connections that were closed to make room, by reason.",
	}, []string{"reason"})
	for _, reason := range []string{cutAddress, cutFull, cutIdle, cutSilent} {
		m.cut.WithLabelValues(reason)
	}
	m.auditSummed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wavry_host_audit_summed_total",
		Help: "Requests without a line of their own in the audit log, because there were too many.",
	})
	m.certificateEnd = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "wavry_host_api_certificate_expiry_timestamp_seconds",
		Help: "Time at which the TLS certificate in use expires, in seconds since 1970. 0 without TLS.",
	})
	reg.MustRegister(m.certificateEnd, m.auth, m.auditErrors, m.auditSummed, m.cut)
	for _, method := range []string{methodToken, methodGrant, methodCert} {
		m.auth.WithLabelValues(method, resultOK)
	}
	for _, method := range []string{methodToken, methodGrant} {
		m.auth.WithLabelValues(method, resultWrong)
	}
	for _, f := range grant.Faults() {
		m.auth.WithLabelValues(methodGrant, string(f))
	}
	m.auth.WithLabelValues(methodCert, resultRevoked)
	m.auth.WithLabelValues(methodCert, string(grant.Expired))
	m.auth.WithLabelValues(methodGrant, resultNetwork)
	m.auth.WithLabelValues(methodGrant, resultRevoked)
	m.auth.WithLabelValues(methodNone, resultMissing)
	m.auth.WithLabelValues(methodNone, resultOK)
	m.auth.WithLabelValues(methodNone, resultBlocked)
	reg.MustRegister(m.requests, m.seconds, m.errors, m.panics)
	for _, code := range problem.Codes() {
		m.errors.WithLabelValues(string(code))
	}
	return m
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
