package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The reasons not to be ready.
const (
	unreadyDraining    = "draining"
	unreadyNoDisplay   = "no_display"
	unreadyDisplayLost = "display_lost"
	unreadyUnusable    = "display_unusable"
	unreadyNoEncoder   = "no_encoder"
)

// health is the answer of GET /healthz.
type health struct {
	Status string `json:"status" enum:"ok" doc:"The daemon serves."`
}

// readiness is the answer of GET /readyz.
type readiness struct {
	Status string `json:"status" enum:"ready" doc:"A new viewer would get a picture."`
}

// healthz says that the daemon serves. Whether it can show a picture is readyz's matter: restarting would not bring a
// display back.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return content.WriteJSON(w, http.StatusOK, health{"ok"})
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) error {
	if why := notReady(s.mgr.Host()); len(why) > 0 {
		p := problem.New(problem.NotReady, "not ready: %s", strings.Join(why, ", ")).
			RetryAfter(s.mgr.RetryAfter())
		p.Reasons = why
		return p
	}
	return content.WriteJSON(w, http.StatusOK, readiness{"ready"})
}

// notReady returns why new viewers would not get a picture.
func notReady(h session.Host) []string {
	var why []string
	if h.State == "draining" {
		why = append(why, unreadyDraining)
	}
	switch {
	case len(h.Displays) == 0:
		why = append(why, unreadyNoDisplay)
	case !slices.ContainsFunc(h.Displays, func(d session.DisplayInfo) bool { return d.State != "lost" }):
		why = append(why, unreadyDisplayLost)
	case h.Displays[0].State == session.DisplaySlow, h.Displays[0].State == session.DisplayUnusable:
		// It is what viewers get who ask for none.
		why = append(why, unreadyUnusable)
	}
	if !slices.ContainsFunc(h.Encoders, func(e session.EncoderInfo) bool { return e.Usable }) {
		why = append(why, unreadyNoEncoder)
	}
	return why
}

// exposition serves the metrics in Prometheus' form. What could be gathered is served even when some could not.
func (s *Server) exposition(w http.ResponseWriter, r *http.Request) error {
	families, err := s.gatherer.Gather()
	if err != nil {
		if len(families) == 0 {
			return fmt.Errorf("gather metrics: %w", err)
		}
		s.log.Warn("metrics are incomplete", "err", err)
	}
	promhttp.HandlerFor(prometheus.GathererFunc(always(families)), promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}

// always returns a function that returns v and no error.
func always[T any](v T) func() (T, error) { return func() (T, error) { return v, nil } }
