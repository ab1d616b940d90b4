// Package problem defines the errors that clients of the HTTP API receive.
package problem

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is the error of a request, in words for the client.
type Error struct {
	Code    Code
	Message string
	Faults  []Fault     // all faults of the request's body or query; nil if there is one, which Message names
	Header  http.Header // further headers of the answer; nil means none
	Reasons []string    // why the host is not ready; nil for other codes
	// Resource is what is exhausted with Full. It is empty for other codes.
	Resource string
	Fit      string // the profile that the host still has capacity for, with Full
}

var _ error = (*Error)(nil)

// New returns an error for the client.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }

// With adds a header to the answer.
func (e *Error) With(name, value string) *Error {
	if e.Header == nil {
		e.Header = http.Header{}
	}
	e.Header.Set(name, value)
	return e
}

// RetryAfter adds the header Retry-After.
func (e *Error) RetryAfter(d time.Duration) *Error { return e.With("Retry-After", seconds(d)) }

// Faulty returns the error for a body or a query with faults.
func Faulty(code Code, faults []Fault) *Error {
	var all []string
	for _, f := range faults {
		all = append(all, f.Detail)
	}
	e := New(code, "%s", strings.Join(all, "; "))
	e.Faults = faults
	return e
}

// Media is the media type of problem documents.
const Media = "application/problem+json"

// Document returns the problem document of the answer to a request.
func (e *Error) Document(request string) Document {
	status := e.Code.Status()
	return Document{
		"about:blank", http.StatusText(status), status, e.Message, e.Code, request, e.Faults, e.Reasons, e.Resource, e.Fit,
	}
}

// Document is a problem document (RFC 9457): the body of every answer that is not a success.
type Document struct {
	Type     string   `json:"type" doc:"Always about:blank. The code says what the problem is."`
	Title    string   `json:"title" doc:"Name of the status."`
	Status   int      `json:"status" doc:"Number of the HTTP status."`
	Detail   string   `json:"detail" doc:"What is wrong, for people."`
	Code     Code     `json:"code" set:"ErrorCode" doc:"The problem, for programs."`
	Request  string   `json:"request_id" doc:"ID of the request; also in X-Request-Id, in the log and in the audit log."`
	Errors   []Fault  `json:"errors,omitempty" doc:"Faults of the body, the query or the configuration, up to 16."`
	Reasons  []string `json:"reasons,omitempty" set:"UnreadyReason" doc:"With not_ready: why the host is not ready."`
	Resource string   `json:"resource,omitempty" set:"Resource" doc:"With full: the resource that is exhausted."`
	Fit      string   `json:"fit,omitempty" doc:"With full: the largest usual profile that fits, such as 1280x720@30."`
}

// Fault is one fault of a request's body or query, or of the configuration.
type Fault struct {
	Pointer   string `json:"pointer,omitempty" doc:"JSON pointer (RFC 6901) to the fault in the body, as a URI fragment such as #/weight."`
	Parameter string `json:"parameter,omitempty" doc:"Name of the parameter in the query that has the fault."`
	Detail    string `json:"detail" doc:"What is wrong there, for people."`
}

// Shorten bounds a text that may quote what a client sent.
func Shorten(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// seconds returns d for a Retry-After header: whole seconds, at least one.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
