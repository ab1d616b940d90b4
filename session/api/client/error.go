package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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

// again returns after which time to repeat a request that failed, and reports whether to do so.
//
// A host that is full, draining or without a network is not asked again: another host may have room.
func (c *Client) again(r request, err error, attempt int) (wait time.Duration, ok bool) {
	if attempt >= c.cfg.Attempts {
		return 0, false
	}
	wait = backoff(attempt)
	e, answered := errors.AsType[*Error](err)
	if answered {
		wait = max(wait, e.RetryAfter)
	}
	switch {
	case wait > c.cfg.MaxWait:
		return 0, false
	case !answered:
		return wait, r.repeats
	}
	switch e.Problem.Code { //nolint:exhaustive // the others do not change by waiting
	case CodeTooManyRequests, CodeTooManyAttempts, CodeTooManyStreams:
		return wait, true // it was refused unread
	case CodeTimeout, CodeSlowRequest:
		return wait, r.repeats
	case "": // an answer of a proxy
		switch e.Problem.Status {
		case http.StatusTooManyRequests:
			return wait, true
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return wait, r.repeats
		}
	}
	return 0, false
}

// backoff returns a time that grows with the attempts and differs from client to client.
func backoff(attempt int) time.Duration {
	wait := 250 * time.Millisecond << min(attempt-1, 6)
	// It spreads requests, and protects nothing.
	return wait + time.Duration(rand.Int64N(int64(wait/2)+1)) //nolint:gosec
}
