package main

import (
	"sync"
	"time"

	"wavryhost/session/api/grant"

	"github.com/prometheus/client_golang/prometheus"
)

// keyFetches counts the fetches of the keys that sign grants.
type keyFetches struct {
	results *prometheus.CounterVec
	oldest  *prometheus.GaugeVec

	mu   sync.Mutex // guards last
	last []time.Time
}

// The results of a fetch.
const (
	fetchOK     = "ok"
	fetchFailed = "failed"
)

func newKeyFetches(reg prometheus.Registerer) *keyFetches {
	f := &keyFetches{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_grant_keys_refreshes_total",
			Help: "Fetches of the keys that sign grants, by result. Keys in files are not fetched.",
		}, []string{"result"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wavry_host_grant_keys_last_success_timestamp_seconds",
			Help: "Time of the last successful fetch of the keys that sign grants, in seconds since 1970; the oldest of " +
				"several issuers. 0 before each has had one. Absent without keys to fetch.",
		}, nil),
	}
	reg.MustRegister(f.results, f.oldest)
	return f
}

// follow makes the issuers report their fetches.
func (f *keyFetches) follow(issuers []grant.Config) {
	for i := range issuers {
		if issuers[i].KeysURL == "" {
			continue
		}
		n := len(f.last)
		f.last = append(f.last, time.Time{})
		f.oldest.WithLabelValues().Set(0)
		for _, result := range []string{fetchOK, fetchFailed} {
			f.results.WithLabelValues(result)
		}
		issuers[i].OnFetch = func(err error) { f.fetched(n, err) }
	}
}

// fetched notes the result of an issuer's fetch.
func (f *keyFetches) fetched(issuer int, err error) {
	if err != nil {
		f.results.WithLabelValues(fetchFailed).Inc()
		return
	}
	f.results.WithLabelValues(fetchOK).Inc()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last[issuer] = time.Now()
	oldest := f.last[0]
	for _, t := range f.last {
		if t.Before(oldest) {
			oldest = t
		}
	}
	if !oldest.IsZero() {
		f.oldest.WithLabelValues().Set(float64(oldest.Unix()))
	}
}
