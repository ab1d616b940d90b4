// Package problem defines the errors that clients of the HTTP API receive.
package problem

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Error is the error of a request, in words for the client.
type Error struct {
	Code    Code
	Message string
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

// Body returns the body of the answer.
func (e *Error) Body() Body { return Body{e.Message, e.Code, e.Reasons, e.Resource, e.Fit} }

// Body is the body of every answer that is not a success.
type Body struct {
	Error    string   `json:"error" doc:"The error, for people."`
	Code     Code     `json:"code" set:"ErrorCode" doc:"The error, for programs."`
	Reasons  []string `json:"reasons,omitempty" set:"UnreadyReason" doc:"With not_ready: why the host is not ready."`
	Resource string   `json:"resource,omitempty" set:"Resource" doc:"With full: the resource that is exhausted."`
	Fit      string   `json:"fit,omitempty" doc:"With full: the largest usual profile that fits, such as 1280x720@30."`
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
