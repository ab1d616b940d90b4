package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Error is an answer that is not a success.
type Error struct {
	Method, Path string
	// Problem is the problem document of the host. It has only Status if a proxy answered.
	Problem Problem
	// RetryAfter is the time after which the host may answer differently. It is zero if the host does not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	text := e.Problem.Detail
	if text == "" {
		text = http.StatusText(e.Problem.Status)
	}
	return fmt.Sprintf("client: %s %s: %s (%d %s)", e.Method, e.Path, text, e.Problem.Status, e.Problem.Code)
}

// CodeOf returns the code of a host's error; empty for all other errors.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Problem.Code
	}
	return ""
}

// errorOf reads an answer that is not a success.
func errorOf(r request, resp *http.Response) *Error {
	e := &Error{Method: r.method, Path: r.path}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.Header.Get("Content-Type") == "application/problem+json" {
		_ = json.Unmarshal(text, &e.Problem) // what cannot be read is as good as an answer of a proxy
	}
	e.Problem.Status = resp.StatusCode
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		e.RetryAfter = time.Duration(n) * time.Second
	}
	return e
}
