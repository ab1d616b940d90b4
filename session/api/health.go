package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The reasons why a host is not ready.
const (
	unreadyDraining    = "draining"
	unreadyCordoned    = "cordoned"
	unreadyNoDisplay   = "no_display"
	unreadyDisplayLost = "display_lost"
	unreadyUnusable    = "display_unusable"
	unreadyNoEncoder   = "no_encoder"
)

// monitoring answers the requests of monitoring.
type monitoring struct {
	mgr      hostManager
	gatherer prometheus.Gatherer
	log      *slog.Logger
}

// health is the answer of GET /healthz.
type health struct {
	Status string `json:"status" enum:"ok" doc:"The daemon serves."`
}

// readiness is the answer of GET /readyz.
type readiness struct {
	Status string `json:"status" enum:"ready" doc:"A new viewer would get a picture."`
}

// healthz says that the daemon serves. It does not say whether there is a picture: a restart would not bring a display
// back.
func (m monitoring) healthz(w http.ResponseWriter, _ *http.Request) error {
	return content.WriteJSON(w, http.StatusOK, health{"ok"})
}

func (m monitoring) readyz(w http.ResponseWriter, _ *http.Request) error {
	if why := notReady(m.mgr.Host()); len(why) > 0 {
		p := problem.New(problem.NotReady, "not ready: %s", strings.Join(why, ", ")).RetryAfter(m.mgr.RetryAfter())
		p.Reasons = why
		return p
	}
	return content.WriteJSON(w, http.StatusOK, readiness{"ready"})
}

// notReady returns why a new viewer would not get a picture.
func notReady(h session.Host) []string {
	var why []string
	if h.State == "draining" {
		why = append(why, unreadyDraining)
	}
	if h.Cordon != nil {
		why = append(why, unreadyCordoned)
	}
	switch {
	case len(h.Displays) == 0:
		why = append(why, unreadyNoDisplay)
	case !slices.ContainsFunc(h.Displays, func(d session.DisplayInfo) bool { return d.State != "lost" }):
		why = append(why, unreadyDisplayLost)
	case h.Displays[0].State == session.DisplaySlow, h.Displays[0].State == session.DisplayUnusable:
		// A viewer that names no display gets this one.
		why = append(why, unreadyUnusable)
	}
	if !slices.ContainsFunc(h.Encoders, func(e session.EncoderInfo) bool { return e.Usable }) {
		why = append(why, unreadyNoEncoder)
	}
	return why
}

// metrics serves the metrics in the formats of Prometheus. If some of them cannot be gathered, it serves the others.
func (m monitoring) metrics(w http.ResponseWriter, r *http.Request) error {
	families, err := m.gatherer.Gather()
	if err != nil {
		if len(families) == 0 {
			return fmt.Errorf("gather metrics: %w", err)
		}
		m.log.Warn("metrics are incomplete", "err", err)
	}
	promhttp.HandlerFor(prometheus.GathererFunc(always(families)), promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}

// always returns a function that returns v and no error.
func always[T any](v T) func() (T, error) { return func() (T, error) { return v, nil } }
