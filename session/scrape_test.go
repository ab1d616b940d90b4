package session

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// BenchmarkScrape is a whole scrape of a host with 20 connected sessions, with the metrics of the Go runtime and of the
// process.
func BenchmarkScrape(b *testing.B) {
	const viewers = 20
	load := &burden{l: Load{Cores: 64, MemoryFree: 60 << 30, MemoryTotal: 64 << 30}}
	h := openHouse(b, func(c *Config) {
		c.Load, c.EncoderInfo, c.MaxSessions, c.MaxPerOwner = load.read, measured(.002), 2*viewers, 2*viewers
	})
	defer h.close(b)
	h.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for range viewers {
		r := newRemote(b)
		defer r.close()
		r.watch(h)
		r.playing(b, 1)
	}
	serve := promhttp.HandlerFor(h.reg, promhttp.HandlerOpts{})
	request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		serve.ServeHTTP(w, request)
		if w.Code != http.StatusOK || w.Body.Len() < 10_000 {
			b.Fatalf("%d: %d bytes", w.Code, w.Body.Len())
		}
	}
}
