package api

import (
	"net/http"

	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"
)

// The tags that the document groups its operations by.
const (
	tagControl = "control"
	tagEvents  = "events"
	tagWHEP    = "whep"
	tagHealth  = "health"
	tagPage    = "page"
)

// operation is what the OpenAPI document says of a route, beside method, path and access.
type operation struct {
	// id is the name of the method that clients generate, unique.
	id, tag string
	// summary is a line, detail what it leaves open.
	summary, detail string
	// params are those in the query and the header; those in the path are found there (see pathParams).
	params []param
	// body is nil where none is read.
	body *body
	// answers are the successes, the usual one first.
	answers []answer
	// codes are the errors beside those that follow from the rest: see Server.codes.
	codes []problem.Code
}

// param is a parameter in the query or the header. value is a zero of its type, with the limits in schema's tags.
type param struct {
	in, name string
	required bool
	value    any
	text     string
}

// body is what a request carries.
type body struct {
	media    string
	optional bool
	// value is a zero of the type that a JSON body is decoded to; nil for text.
	value any
	text  string
}

// answer is a success. Answers of one status differ in media.
type answer struct {
	status int
	// media is the type of the body; empty for none.
	media string
	// value is a zero of the type of a JSON body; nil for text, binary{} for anything else. oneOf lists them where there are several.
	value  any
	oneOf  []any
	text   string
	header []string // names that always come with it; see headerTexts
}

// binary marks an answer that is no text.
type binary struct{}

// shows is an answer in JSON.
func shows(status int, value any, text string) answer {
	return answer{status: status, media: content.JSON, value: value, text: text}
}

// takes is a request body in JSON.
func takes(value any, text string) *body { return &body{media: content.JSON, value: value, text: text} }

// done is an answer without a body.
func done(status int, text string) answer { return answer{status: status, text: text} }

// pathParams describes what may stand in a path.
func pathParams() map[string]string {
	return map[string]string{
		"display": "Id of a display; `default` is the first.",
		"id":      "Id of a session, or of a reservation.",
		"file":    "Name of a file of the page.",
	}
}

// headerTexts describes the headers that answers have.
func headerTexts() map[string]string {
	return map[string]string{
		"Location":            "Where what was made is, relative to the path of the request (RFC 9110 section 10.2.2): for a session the resource for PATCH and DELETE.",
		"ETag":                "Names the ICE session; PATCH takes it as If-Match.",
		"Accept-Patch":        "What PATCH takes.",
		"Content-Disposition": "Name for a file.",
		"Retry-After":         "When to come again, in seconds.",
		"WWW-Authenticate":    "That a bearer token is asked for.",
		"Allow":               "The methods that are possible.",
	}
}

// codes returns every error that a route can answer with, in the order of their meaning: those that it names, and those that follow
// from what it is.
func (rt route) codes() []problem.Code {
	has := map[problem.Code]bool{
		problem.ForbiddenHost: true, problem.ForbiddenOrigin: true, problem.TooManyRequests: true, problem.HeaderTooLarge: true, problem.Internal: true,
	}
	add := func(codes ...problem.Code) {
		for _, c := range codes {
			has[c] = true
		}
	}
	add(rt.about.codes...)
	if !rt.open {
		add(problem.Unauthorized, problem.TooManyAttempts, problem.Forbidden)
	}
	if len(wildcards(rt.path)) > 0 {
		add(problem.NotFound) // "." in place of an id
	}
	if b := rt.about.body; b != nil {
		add(problem.TooLarge, problem.SlowRequest, problem.UnsupportedMediaType, problem.BadRequest)
		if b.media == content.JSON {
			add(problem.BadJSON)
		}
	}
	if rt.method == http.MethodGet && len(rt.about.params) > 0 {
		add(problem.BadRequest)
	}
	var list []problem.Code
	for _, c := range problem.Codes() {
		if has[c] {
			list = append(list, c)
		}
	}
	return list
}
