package api

import (
	"net/http"

	"wavryhost/session/api/access"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/openapi"
)

// handle answers a request, or returns the error for the client.
type handle func(http.ResponseWriter, *http.Request) error

// route is an operation with its handler.
type route struct {
	openapi.Route
	lasting bool // has no time limit
	creates bool // accepts an idempotency key; see creating
	handle  handle
}

// authed returns a route that requires a credential.
func authed(method, path string, h handle, op openapi.Operation) route {
	return route{Route: openapi.Route{Method: method, Path: path, Operation: op}, handle: h}
}

// open returns a route that requires no credential.
func open(method, path string, h handle, op openapi.Operation) route {
	return route{Route: openapi.Route{Method: method, Path: path, Open: true, Operation: op}, handle: h}
}

// openRoute returns a route that requires no credential and is not in the document.
func openRoute(h handle) route { return route{Route: openapi.Route{Open: true}, handle: h} }

// allows reports whether a role may use the route. Operators may use all routes.
func (rt route) allows(role grant.Role) bool {
	pattern := rt.Method + " " + rt.Path
	switch role {
	case grant.Operator:
		return true
	case grant.Viewer, grant.Controller:
		switch pattern {
		case "POST /whep/{display}":
			return access.MayView(role)
		case "PATCH /whep/sessions/{id}", "DELETE /whep/sessions/{id}", "GET /v1/sessions/{id}", "GET /v1/displays",
			"POST /v1/sessions/{id}/postpone", viewerRoute:
			return true
		case "PUT /v1/sessions/{id}/size":
			return role == grant.Controller
		}
	case grant.Metrics:
		switch pattern {
		case "GET /metrics", "GET /v1/host", "GET /v1/displays", "GET /v1/capacity":
			return true
		}
	}
	return false
}

// unchanged is the answer to a client that has the current version.
func unchanged() openapi.Answer {
	return openapi.Empty(http.StatusNotModified, "The client has the current version: If-None-Match names its ETag.")
}
