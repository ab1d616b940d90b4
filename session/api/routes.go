package api

import (
	"net/http"
	"slices"
	"sync"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/page"
	"wavryhost/session/api/problem"

	"github.com/prometheus/client_golang/prometheus"
)

// describe makes the OpenAPI document of routes.
func describe(routes []route) (*openapi.Spec, error) {
	var list []openapi.Route
	for _, rt := range routes {
		for _, role := range grant.Roles() {
			if !rt.Open && rt.allows(role) {
				rt.Roles = append(rt.Roles, string(role))
			}
		}
		list = append(list, rt.Route)
	}
	var unions []openapi.Union
	if slices.ContainsFunc(list, func(rt openapi.Route) bool { return rt.ID == "followEvents" }) {
		unions = append(unions, eventUnion())
	}
	return openapi.Describe(list, sets(), unions...)
}

// documented is the OpenAPI document of the whole API.
type documented struct {
	spec   *openapi.Spec
	answer *content.Static
}

// wholeDocument returns the document, which does not depend on a server. Making it takes a tenth of a second.
var wholeDocument = sync.OnceValues(func() (d documented, err error) {
	if d.spec, err = describe(new(Server).routes(nil)); err == nil {
		d.answer, err = content.NewStatic(content.JSON, d.spec.Document())
	}
	return d, err
})

// sets returns the closed sets of words, by the names in the fields' `set` tags.
func sets() map[string][]string {
	all := session.Sets()
	all["ViewerRole"] = []string{string(grant.Viewer), string(grant.Controller)}
	all["Feature"] = features()
	all["UnreadyReason"] = []string{
		unreadyDraining, unreadyCordoned, unreadyNoDisplay, unreadyDisplayLost, unreadyUnusable, unreadyNoEncoder,
	}
	for _, c := range problem.Codes() {
		if c != problem.ClientGone {
			all["ErrorCode"] = append(all["ErrorCode"], string(c))
		}
	}
	return all
}

// routes returns the whole API. The OPTIONS, HEAD and 405 answers of each path are derived from it, and so is the
// OpenAPI document: a new route needs one entry here. docs/integrate/api.md has a line for each.
func (s *Server) routes(gatherer prometheus.Gatherer) []route {
	read := func(w http.ResponseWriter, r *http.Request, v any, optional bool) error {
		return s.spec.Read(w, r, v, optional)
	}
	var all []route
	for _, part := range [][]route{
		publicRoutes(s.page, monitoring{s.mgr, gatherer, s.log}, s.openapi),
		whepRoutes(s.whep),
		hostRoutes(host{s.mgr, s.cfg, read}),
		sessionRoutes(sessions{s.mgr, s.access, read}),
		reservationRoutes(reservations{s.mgr, s.access, read}),
		eventRoutes(events{s.mgr, s.auth, &s.streams, s.stopping}),
		configurationRoutes(configuration{s.cfg, read}, revocations{s.mgr, s.auth, s.cfg.Former, read, s.log}),
	} {
		all = append(all, part...)
	}
	return all
}

// publicRoutes are the page, the document and health.
func publicRoutes(p *page.Page, m monitoring, document handle) []route {
	return []route{
		open("GET", "/{$}", p.Serve, openapi.Operation{
			ID: "getPage", Tag: openapi.TagPage, Summary: "The viewer page",
			Answers: []openapi.Answer{{Status: 200, Media: "text/html", Text: "The page."}, unchanged()},
		}),
		open("GET", "/page/{file}", p.Serve, openapi.Operation{
			ID: "getPageFile", Tag: openapi.TagPage, Summary: "Files of the viewer page",
			Answers: []openapi.Answer{
				{Status: 200, Media: "text/html", Text: "The file."},
				{Status: 200, Media: "text/css"},
				{Status: 200, Media: "text/javascript"},
				{Status: 200, Media: "image/svg+xml"},
				unchanged(),
			},
		}),
		open("GET", "/healthz", m.healthz, openapi.Operation{
			ID: "getHealth", Tag: openapi.TagHealth, Summary: "Whether the daemon serves",
			Answers: []openapi.Answer{openapi.JSON(200, health{}, "The daemon serves.")},
		}),
		open("GET", "/readyz", m.readyz, openapi.Operation{
			ID: "getReadiness", Tag: openapi.TagHealth, Summary: "Whether a new viewer would get a picture",
			Answers: []openapi.Answer{openapi.JSON(200, readiness{}, "It would get one.")},
			Codes:   []problem.Code{problem.NotReady},
		}),
		authed("GET", "/metrics", m.metrics, openapi.Operation{
			ID: "getMetrics", Tag: openapi.TagHealth, Summary: "Metrics in the text format of Prometheus",
			Detail: "The Accept header selects the format.",
			Answers: []openapi.Answer{
				{Status: 200, Media: "text/plain", Text: "The metrics."},
				{Status: 200, Media: "application/vnd.google.protobuf", Value: openapi.Binary{}},
			},
		}),
		open("GET", "/v1/openapi.json", document, openapi.Operation{
			ID: "getDocument", Tag: openapi.TagControl, Summary: "This document",
			Answers: []openapi.Answer{openapi.JSON(200, map[string]any{}, "An OpenAPI 3.1 document."), unchanged()},
		}),
	}
}

// openapi serves the document.
func (s *Server) openapi(w http.ResponseWriter, r *http.Request) error { return s.document.Serve(w, r) }
