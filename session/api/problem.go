package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"

	"wavryhost/session"
)

// Code says to a program what is wrong with a request. The set is closed: it labels a metric and is listed in docs/integrate/api.md.
type Code string

// The error codes.
const (
	CodeBadSDP               Code = "bad_sdp"
	CodeBadJSON              Code = "bad_json"
	CodeBadRequest           Code = "bad_request"
	CodeUnauthorized         Code = "unauthorized"
	CodeForbidden            Code = "forbidden"
	CodeForbiddenHost        Code = "forbidden_host"
	CodeForbiddenOrigin      Code = "forbidden_origin"
	CodeNotFound             Code = "not_found"
	CodeUnknownDisplay       Code = "unknown_display"
	CodeUnknownSession       Code = "unknown_session"
	CodeUnknownReservation   Code = "unknown_reservation"
	CodeNotDraining          Code = "not_draining"
	CodeNothingToConfirm     Code = "nothing_to_confirm"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeNotAcceptable        Code = "not_acceptable"
	CodeSlowRequest          Code = "slow_request"
	CodeNoPicture            Code = "no_picture"
	CodeNoControl            Code = "no_control"
	CodeKeyReused            Code = "key_reused"
	CodeStaleETag            Code = "stale_etag"
	CodeTooLarge             Code = "too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeUnacceptableOffer    Code = "unacceptable_offer"
	CodeBadReservation       Code = "bad_reservation"
	CodeBadChange            Code = "bad_change"
	CodeBadConfiguration     Code = "bad_configuration"
	CodePreconditionRequired Code = "precondition_required"
	CodeTooManyAttempts      Code = "too_many_attempts"
	CodeTooManyRequests      Code = "too_many_requests"
	CodeHeaderTooLarge       Code = "header_too_large"
	CodeClientGone           Code = "client_gone"
	CodeInternal             Code = "internal"
	CodeFull                 Code = "full"
	CodeTooManyStreams       Code = "too_many_streams"
	CodeTooManyRevocations   Code = "too_many_revocations"
	CodeTooManyGrants        Code = "too_many_grants"
	CodeDraining             Code = "draining"
	CodeNoNetwork            Code = "no_network"
	CodeNotReady             Code = "not_ready"
	CodeTimeout              Code = "timeout"
)

// statusClientGone is what the log and the metrics show when nobody is left to read the answer.
const statusClientGone = 499

// statuses returns the HTTP status of each code.
func statuses() map[Code]int {
	return map[Code]int{
		CodeBadSDP:               http.StatusBadRequest,
		CodeBadJSON:              http.StatusBadRequest,
		CodeBadRequest:           http.StatusBadRequest,
		CodeUnauthorized:         http.StatusUnauthorized,
		CodeForbidden:            http.StatusForbidden,
		CodeForbiddenHost:        http.StatusForbidden,
		CodeForbiddenOrigin:      http.StatusForbidden,
		CodeNotFound:             http.StatusNotFound,
		CodeUnknownDisplay:       http.StatusNotFound,
		CodeUnknownSession:       http.StatusNotFound,
		CodeUnknownReservation:   http.StatusNotFound,
		CodeNotDraining:          http.StatusNotFound,
		CodeNothingToConfirm:     http.StatusNotFound,
		CodeMethodNotAllowed:     http.StatusMethodNotAllowed,
		CodeNotAcceptable:        http.StatusNotAcceptable,
		CodeSlowRequest:          http.StatusRequestTimeout,
		CodeNoPicture:            http.StatusConflict,
		CodeNoControl:            http.StatusConflict,
		CodeKeyReused:            http.StatusConflict,
		CodeStaleETag:            http.StatusPreconditionFailed,
		CodeTooLarge:             http.StatusRequestEntityTooLarge,
		CodeUnsupportedMediaType: http.StatusUnsupportedMediaType,
		CodeUnacceptableOffer:    http.StatusUnprocessableEntity,
		CodeBadReservation:       http.StatusUnprocessableEntity,
		CodeBadConfiguration:     http.StatusUnprocessableEntity,
		CodeBadChange:            http.StatusUnprocessableEntity,
		CodePreconditionRequired: http.StatusPreconditionRequired,
		CodeTooManyAttempts:      http.StatusTooManyRequests,
		CodeTooManyRequests:      http.StatusTooManyRequests,
		CodeHeaderTooLarge:       http.StatusRequestHeaderFieldsTooLarge,
		CodeClientGone:           statusClientGone,
		CodeInternal:             http.StatusInternalServerError,
		CodeFull:                 http.StatusServiceUnavailable,
		CodeTooManyRevocations:   http.StatusServiceUnavailable,
		CodeTooManyStreams:       http.StatusServiceUnavailable,
		CodeTooManyGrants:        http.StatusServiceUnavailable,
		CodeDraining:             http.StatusServiceUnavailable,
		CodeNoNetwork:            http.StatusServiceUnavailable,
		CodeNotReady:             http.StatusServiceUnavailable,
		CodeTimeout:              http.StatusGatewayTimeout,
	}
}

// meanings returns when each code is answered, in a line. docs/integrate/api.md has the same words.
func meanings() map[Code]string {
	return map[Code]string{
		CodeBadSDP:               "the body is no session description, or no fragment of one",
		CodeBadJSON:              "the body is not the JSON object that is asked for: syntax, an unknown field, a wrong type, a value out of range",
		CodeBadRequest:           "a header or a parameter of the query is not what it must be, or the body is not what the header announces",
		CodeUnauthorized:         "the token is missing or wrong; `WWW-Authenticate: Bearer` comes with it",
		CodeForbidden:            "the token or grant is right, and does not allow this: another role, display or reservation",
		CodeForbiddenHost:        "the `Host` header is not one of the daemon's names",
		CodeForbiddenOrigin:      "the request comes from a page that may not use the API",
		CodeNotFound:             "no such path",
		CodeUnknownDisplay:       "no such display",
		CodeUnknownSession:       "no such session, or it has ended",
		CodeUnknownReservation:   "no such reservation: it has expired, was used or given back",
		CodeNotDraining:          "`GET /v1/drain`: the host does not drain",
		CodeNothingToConfirm:     "no change of the configuration waits to be confirmed",
		CodeMethodNotAllowed:     "not that method; `Allow` lists what is possible",
		CodeNotAcceptable:        "the `Accept` header excludes `application/sdp`",
		CodeSlowRequest:          "the body did not arrive within 10 s",
		CodeNoPicture:            "the display cannot be captured at present; with `Retry-After`",
		CodeNoControl:            "the session cannot have control: its role or the host forbids it, or its display takes no input",
		CodeKeyReused:            "the `Idempotency-Key` came before with another request",
		CodeStaleETag:            "`If-Match` is not the session's ETag (any more)",
		CodeTooLarge:             "the body exceeds 64 KiB (`max_body`)",
		CodeUnsupportedMediaType: "wrong `Content-Type`; `Accept-Post`, `Accept-Patch` or `Accept` tells the right one; or the body is compressed",
		CodeUnacceptableOffer:    "the offer is well formed, but cannot be answered: no codec that the host has, which it then names beside those offered, or not receiving video",
		CodeBadReservation:       "the place is for another display, or cannot be kept like that",
		CodeBadConfiguration:     "the configuration on the host is refused, and nothing of it applied; the message says what is wrong where",
		CodeBadChange:            "the session cannot be changed like that: a ceiling below the floor, or a move that is still going on",
		CodePreconditionRequired: "`If-Match` is missing, and the fragment's `ice-ufrag` is not that of the ICE session that is on",
		CodeTooManyAttempts:      "too many wrong tokens from that network; with `Retry-After`",
		CodeTooManyRequests:      "more than 200 requests a second from one network, or 2000 in all (`max_requests_per_address`, `max_requests`); with `Retry-After`",
		CodeHeaderTooLarge:       "the request's header exceeds 16 KiB",
		CodeClientGone:           "seen in log and metrics only: nobody is left to read the answer",
		CodeInternal:             "the daemon's own fault; its log has the cause",
		CodeFull:                 "there is no room for another session; `resource` says of what, with `Retry-After`",
		CodeTooManyRevocations:   "10000 revocations are remembered already",
		CodeTooManyGrants:        "10000 grants for one session are remembered as used already; with `Retry-After`",
		CodeTooManyStreams:       "32 clients follow the events already; with `Retry-After`",
		CodeDraining:             "the host drains or stops; with `Retry-After`",
		CodeNoNetwork:            "the host has no address that a viewer could connect to; the message says which settings leave none; with `Retry-After`",
		CodeNotReady:             "`GET /readyz`: a new viewer would not get a picture; with `Retry-After`",
		CodeTimeout:              "the daemon did not get done within 15 s",
	}
}

// problem is the error of a request: what the client is told.
type problem struct {
	code    Code
	message string
	header  http.Header // sent with it; nil for none
	reasons []string    // why the host is not ready; nil for other codes
	// resource is what is short with CodeFull; empty for other codes.
	resource string
	fit      string // what there would be room for
}

var _ error = (*problem)(nil)

func (p *problem) Error() string { return p.message }

func refuse(code Code, format string, args ...any) *problem {
	return &problem{code: code, message: fmt.Sprintf(format, args...)}
}

func (p *problem) with(name, value string) *problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// explain returns what the client is told about err. Errors that are not the client's business become CodeInternal.
func (s *Server) explain(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(CodeTooLarge, "the body is larger than %d bytes", s.cfg.MaxBody)
	}
	for _, known := range []struct {
		err   error
		code  Code
		again bool
	}{
		{session.ErrUnknownDisplay, CodeUnknownDisplay, false},
		{session.ErrUnknownSession, CodeUnknownSession, false},
		{session.ErrBadOffer, CodeBadSDP, false},
		{session.ErrUnacceptable, CodeUnacceptableOffer, false},
		{session.ErrNoPicture, CodeNoPicture, true},
		{session.ErrFull, CodeFull, true},
		{session.ErrTooOften, CodeTooManyRequests, true},
		{session.ErrDraining, CodeDraining, true},
		{session.ErrNoNetwork, CodeNoNetwork, true},
		{session.ErrStale, CodeStaleETag, false},
		{session.ErrNoMatch, CodePreconditionRequired, false},
		{session.ErrNoControl, CodeNoControl, false},
		{session.ErrUnknownLease, CodeUnknownReservation, false},
		{session.ErrBadLease, CodeBadReservation, false},
		{session.ErrBadChange, CodeBadChange, false},
		{session.ErrKeyReused, CodeKeyReused, false},
		{ErrNothingToConfirm, CodeNothingToConfirm, false},
	} {
		if !errors.Is(err, known.err) {
			continue
		}
		p := refuse(known.code, "%s", shorten(strings.TrimPrefix(err.Error(), "session: ")))
		if r, ok := errors.AsType[*session.RefusalError](err); ok {
			p.resource, p.fit = r.Resource, r.Fit
			return p.with("Retry-After", seconds(r.RetryAfter))
		}
		if known.again {
			return p.with("Retry-After", seconds(s.mgr.RetryAfter()))
		}
		return p
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(CodeSlowRequest, "the request's body did not arrive in time").with("Connection", "close")
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(CodeTimeout, "the host did not get done within %v", s.cfg.RequestTimeout)
	case errors.Is(err, errBody):
		return refuse(CodeBadRequest, "the body cannot be read: its length or its chunks are not what the header says").with("Connection", "close")
	case errors.Is(err, context.Canceled):
		return refuse(CodeClientGone, "the client is gone")
	default:
		return refuse(CodeInternal, "internal error; the host's log has the cause")
	}
}

// shorten bounds a message that may quote what the client sent.
func shorten(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// problemBody is the body of every answer that is no success.
type problemBody struct {
	Error    string   `json:"error" doc:"What is wrong, in words for people."`
	Code     Code     `json:"code" set:"ErrorCode" doc:"What is wrong, for programs."`
	Reasons  []string `json:"reasons,omitempty" set:"UnreadyReason" doc:"With not_ready: why a new viewer would not get a picture."`
	Resource string   `json:"resource,omitempty" set:"Resource" doc:"With full: what is short."`
	Fit      string   `json:"fit,omitempty" doc:"With full: the largest of the usual profiles that there is room for, as 1280x720@30; absent for none."`
}

// fail answers r with err, and logs it when the fault is the host's.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := s.explain(err)
	// What is already in the client's words has been logged where it was found.
	if told, _ := errors.AsType[*problem](err); p.code == CodeInternal && told != p {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	s.metrics.errors.WithLabelValues(string(p.code)).Inc()
	if rec, ok := w.(*recorder); ok {
		rec.code = p.code
	}
	h := w.Header()
	maps.Copy(h, p.header)
	// A struct of strings always encodes.
	_ = writeJSON(w, statuses()[p.code], problemBody{p.message, p.code, p.reasons, p.resource, p.fit})
}

// writeJSON answers with v. Nothing is written when v cannot be encoded.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	var buf bytes.Buffer
	if err := json.NewEncoder(&buf).Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	w.Write(buf.Bytes())
	return nil
}
