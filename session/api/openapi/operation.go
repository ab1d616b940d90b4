package openapi

import (
	"net/http"
	"regexp"
	"strings"

	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"
)

// control is the prefix of the paths of the control API.
const control = "/v1/"

// The tags that group the operations of the document.
const (
	TagControl = "control"
	TagEvents  = "events"
	TagWHEP    = "whep"
	TagHealth  = "health"
	TagPage    = "page"
)

// Route is an operation at its method and path.
type Route struct {
	Method, Path string
	Open         bool     // requires no credential
	Credential   bool     // of an open route: a credential is used if there is one
	Roles        []string // that may use it; nil if it is open
	Operation
}

// Operation is what the document says of a route, beside method, path and access.
type Operation struct {
	// ID is the name of the method in generated clients. It is unique.
	ID, Tag string
	// Summary is one line. Detail adds what the summary leaves out.
	Summary, Detail string
	// Params are the parameters in query and header. pathParams has the others.
	Params []Param
	// Body is nil if the route reads no body.
	Body *Body
	// Answers are the successes, the usual one first.
	Answers []Answer
	// Codes are the errors that do not follow from the rest; see Route.AllCodes.
	Codes []problem.Code
}

// Param is a parameter in the query or the header. Value is a zero of its type, whose tags have the limits.
type Param struct {
	In, Name string
	Value    any
	Text     string
	Many     bool   // may appear several times
	Set      string // name of the set of words that it accepts; empty for none
	FieldsOf any    // a zero of the type whose fields it names, separated by commas; nil for none
}

// Body is the body of a request.
type Body struct {
	Media    string
	Optional bool
	// Value is an example of the type that a JSON body is decoded to; nil for text.
	Value any
	// Example is an example of text.
	Example string
	Text    string
}

// example returns an example of the body.
func (b Body) example() any {
	if b.Value == nil {
		return b.Example
	}
	return b.Value
}

// Answer is a success. Answers with the same status differ in media type.
type Answer struct {
	Status int
	// Media is the media type of the body; empty without a body.
	Media string
	// Value is a zero of the type of a JSON body, nil for text, and Binary{} for anything else. If a body may have
	// several types, OneOf lists them.
	Value  any
	OneOf  []any
	Text   string
	Header []string // names of headers that every such answer has; see headerTexts
	May    []string // names of headers that such an answer may have
}

// Binary marks a body that is neither text nor JSON.
type Binary struct{}

// JSON returns an answer in JSON.
func JSON(status int, value any, text string) Answer {
	return Answer{Status: status, Media: content.JSON, Value: value, Text: text}
}

// Empty returns an answer without a body.
func Empty(status int, text string) Answer { return Answer{Status: status, Text: text} }

// Reads returns a request body in JSON, of which value is an example.
func Reads(value any, text string) *Body { return &Body{Media: content.JSON, Value: value, Text: text} }

// pathParam describes a wildcard of paths.
type pathParam struct{ text, example string }

// pathParams describes the Wildcards of paths.
func pathParams() map[string]pathParam {
	return map[string]pathParam{
		"display": {"ID of a display; `default` is the first.", "x11:0"},
		"id":      {"ID of a session, or of a reservation.", "b1946ac92492d234"},
		"file":    {"Name of a file of the page.", "page.css"},
	}
}

// headerTexts describes the headers of answers.
func headerTexts() map[string]string {
	return map[string]string{
		"Location": "Where the new resource is, relative to the path of the request (RFC 9110 section 10.2.2). " +
			"For WHEP: the resource for PATCH and DELETE.",
		"ETag":                "Identifies the version of the answer, or the ICE session: PATCH accepts it as If-Match.",
		"Accept-Patch":        "The media type that PATCH accepts.",
		"Accept-Post":         "The media type that POST accepts.",
		"Wavry-Input":         "`taken` if a session of the client may send input: it accepts a data channel `input`.",
		"Content-Disposition": "Suggested name of the file.",
		"Link": "The ICE servers, one by one (draft-ietf-wish-whep section 4.4): `<turn:…>; rel=\"ice-server\"; " +
			"username=\"…\"; credential=\"…\"; credential-type=\"password\"`.",
		"Retry-After":      "When to try again, in seconds.",
		"WWW-Authenticate": "The server requires a bearer token.",
		"Allow":            "The methods of the path.",
	}
}

// AllCodes returns every error code that a route can answer with, by status: its Codes, and the codes that follow from
// its properties.
func (rt Route) AllCodes() []problem.Code {
	has := map[problem.Code]bool{}
	add := func(codes ...problem.Code) {
		for _, c := range codes {
			has[c] = true
		}
	}
	add(problem.ForbiddenHost, problem.ForbiddenOrigin, problem.TooManyRequests, problem.HeaderTooLarge,
		problem.Internal)
	add(rt.Codes...)
	if !rt.Open {
		add(problem.Forbidden)
	}
	if !rt.Open || rt.Credential {
		add(problem.Unauthorized, problem.TooManyAttempts)
	}
	if len(Wildcards(rt.Path)) > 0 {
		add(problem.NotFound) // "." instead of an ID
	}
	if rt.ChangesHost() {
		add(problem.Draining)
	}
	if b := rt.Body; b != nil {
		add(problem.TooLarge, problem.SlowRequest, problem.UnsupportedMediaType, problem.BadRequest)
		if b.Media == content.JSON {
			add(problem.BadJSON)
		}
	}
	if rt.strict() {
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

// ChangesHost reports whether a route changes something that outlasts its request and belongs to no session. While
// another daemon takes over, such requests are refused.
func (rt Route) ChangesHost() bool {
	asks := rt.Method == http.MethodGet || rt.Method == http.MethodOptions
	return !rt.Open && !asks && !strings.Contains(rt.Path, "/sessions/{id}")
}

// Wildcards returns the names in braces of a path.
func Wildcards(path string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
		names = append(names, m[1])
	}
	return names
}

// strict reports whether the route refuses parameters that it does not have. Players add their own to WHEP requests,
// and monitoring systems theirs to /metrics.
func (rt Route) strict() bool { return !rt.Open && strings.HasPrefix(rt.Path, control) }
