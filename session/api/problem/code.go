package problem

import (
	"net/http"
	"slices"
	"strings"
)

// Code tells a program what is wrong with a request. The set is closed: it labels a metric, and
// docs/integrate/errors.md lists it.
type Code string

// The error codes.
const (
	BadSDP               Code = "bad_sdp"
	BadJSON              Code = "bad_json"
	BadRequest           Code = "bad_request"
	Unauthorized         Code = "unauthorized"
	Forbidden            Code = "forbidden"
	ForbiddenHost        Code = "forbidden_host"
	ForbiddenOrigin      Code = "forbidden_origin"
	NotFound             Code = "not_found"
	UnknownDisplay       Code = "unknown_display"
	UnknownSession       Code = "unknown_session"
	UnknownReservation   Code = "unknown_reservation"
	NotDraining          Code = "not_draining"
	NothingToConfirm     Code = "nothing_to_confirm"
	MethodNotAllowed     Code = "method_not_allowed"
	NotAcceptable        Code = "not_acceptable"
	SlowRequest          Code = "slow_request"
	NoPicture            Code = "no_picture"
	NoControl            Code = "no_control"
	NotPostponable       Code = "not_postponable"
	FixedSize            Code = "fixed_size"
	KeyReused            Code = "key_reused"
	StaleETag            Code = "stale_etag"
	TooLarge             Code = "too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	UnacceptableOffer    Code = "unacceptable_offer"
	BadReservation       Code = "bad_reservation"
	BadChange            Code = "bad_change"
	BadConfiguration     Code = "bad_configuration"
	PreconditionRequired Code = "precondition_required"
	TooManyAttempts      Code = "too_many_attempts"
	TooManyRequests      Code = "too_many_requests"
	HeaderTooLarge       Code = "header_too_large"
	ClientGone           Code = "client_gone"
	Internal             Code = "internal"
	Full                 Code = "full"
	TooManyStreams       Code = "too_many_streams"
	TooManyRevocations   Code = "too_many_revocations"
	TooManyGrants        Code = "too_many_grants"
	Draining             Code = "draining"
	NoNetwork            Code = "no_network"
	NotReady             Code = "not_ready"
	Timeout              Code = "timeout"
)

// statusClientGone is the status in the log and the metrics when no client is left to read the answer.
const statusClientGone = 499

// entry is what the table has for a code.
type entry struct {
	status  int
	meaning string
}

// table returns the status and the meaning of each code.
func table() map[Code]entry {
	return map[Code]entry{
		BadSDP: {http.StatusBadRequest, "the body is not a session description, or not a fragment of one"},
		BadJSON: {
			http.StatusBadRequest,
			"the body is not the JSON object that the operation requires: wrong syntax, an unknown field, a wrong " +
				"type, or a value out of range",
		},
		BadRequest: {
			http.StatusBadRequest,
			"a header or a query parameter is not valid, or the body is not what the header announces",
		},
		Unauthorized: {
			http.StatusUnauthorized,
			"the token is missing or wrong; the answer has `WWW-Authenticate: Bearer`",
		},
		Forbidden: {
			http.StatusForbidden,
			"the token or grant is valid, but does not allow this: the role, display or reservation is another " +
				"one",
		},
		ForbiddenHost:      {http.StatusForbidden, "the `Host` header is not one of the daemon's names"},
		ForbiddenOrigin:    {http.StatusForbidden, "the request comes from a page that may not use the API"},
		NotFound:           {http.StatusNotFound, "no such path"},
		UnknownDisplay:     {http.StatusNotFound, "no such display"},
		UnknownSession:     {http.StatusNotFound, "no such session, or it has ended"},
		UnknownReservation: {http.StatusNotFound, "no such reservation: it has expired, was used, or was released"},
		NotDraining:        {http.StatusNotFound, "`GET /v1/drain`: the host is not draining"},
		NothingToConfirm:   {http.StatusNotFound, "no configuration change waits for confirmation"},
		MethodNotAllowed: {
			http.StatusMethodNotAllowed,
			"the path does not have this method; `Allow` lists its methods",
		},
		NotAcceptable: {http.StatusNotAcceptable, "the `Accept` header excludes `application/sdp`"},
		SlowRequest:   {http.StatusRequestTimeout, "the body did not arrive within 10 s"},
		NoPicture:     {http.StatusConflict, "the display cannot be captured at present; with `Retry-After`"},
		NoControl: {
			http.StatusConflict,
			"the session cannot have control: its role or the host forbids it, or its display accepts no input",
		},
		NotPostponable: {
			http.StatusConflict,
			"no end of the session is planned, or it was postponed for as long as the drain allows",
		},
		FixedSize: {
			http.StatusConflict,
			"the display cannot change its size, or no rule allows it: `resizable` of `GET /v1/displays` says so before",
		},
		KeyReused: {http.StatusConflict, "the `Idempotency-Key` was used for a different request"},
		StaleETag: {http.StatusPreconditionFailed, "`If-Match` is not the session's current ETag"},
		TooLarge:  {http.StatusRequestEntityTooLarge, "the body exceeds 64 KiB (`max_body`)"},
		UnsupportedMediaType: {
			http.StatusUnsupportedMediaType,
			"the `Content-Type` is wrong, or the body is compressed; `Accept-Post`, `Accept-Patch` or `Accept` " +
				"names the right type",
		},
		UnacceptableOffer: {
			http.StatusUnprocessableEntity,
			"the offer is well formed, but cannot be answered: it does not receive video, or has none of the " +
				"host's codecs; the message then names the codecs of both",
		},
		BadReservation: {
			http.StatusUnprocessableEntity,
			"the reservation is for another display, or its values are not valid",
		},
		BadConfiguration: {
			http.StatusUnprocessableEntity,
			"the host refuses the configuration and has applied nothing of it; the message says what is wrong, " +
				"and where",
		},
		BadChange: {
			http.StatusUnprocessableEntity,
			"the session or display cannot be changed like that: the ceiling is below the floor, another move is still in " +
				"progress, or the display does not take that size",
		},
		PreconditionRequired: {
			http.StatusPreconditionRequired,
			"`If-Match` is missing, and the fragment's `ice-ufrag` is not that of the current ICE session",
		},
		TooManyAttempts: {http.StatusTooManyRequests, "too many wrong tokens from this network; with `Retry-After`"},
		TooManyRequests: {
			http.StatusTooManyRequests,
			"more than 200 requests per second from one network, or 2000 in total (`api.limits.requests_per_address`, " +
				"`api.limits.requests`), or more than one change of a display's size in a second; with `Retry-After`",
		},
		HeaderTooLarge: {http.StatusRequestHeaderFieldsTooLarge, "the request's header exceeds 16 KiB"},
		ClientGone:     {statusClientGone, "only in log and metrics: the client has gone and does not read the answer"},
		Internal:       {http.StatusInternalServerError, "a fault of the daemon; its log has the cause"},
		Full: {
			http.StatusServiceUnavailable,
			"the host has no capacity for another session; `resource` names what is exhausted; with `Retry-After`",
		},
		TooManyRevocations: {http.StatusServiceUnavailable, "the host already keeps 10000 revocations"},
		TooManyStreams:     {http.StatusServiceUnavailable, "32 clients already follow the events; with `Retry-After`"},
		TooManyGrants: {
			http.StatusServiceUnavailable,
			"the host already keeps 10000 used single-session grants; with `Retry-After`",
		},
		Draining: {http.StatusServiceUnavailable, "the host is draining or stopping; with `Retry-After`"},
		NoNetwork: {
			http.StatusServiceUnavailable,
			"the host has no address that a viewer could connect to; the message names the settings that exclude " +
				"all of them; with `Retry-After`",
		},
		NotReady: {
			http.StatusServiceUnavailable,
			"`GET /readyz`: a new viewer would not get a picture; with `Retry-After`",
		},
		Timeout: {http.StatusGatewayTimeout, "the daemon did not finish within 15 s"},
	}
}

// Status returns the HTTP status of c.
func (c Code) Status() int { return table()[c].status }

// Meaning returns what c means, as the documents say it.
func (c Code) Meaning() string { return table()[c].meaning }

// Codes lists the error codes by status, then by name.
func Codes() []Code {
	var list []Code
	all := table()
	for c := range all {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Code) int {
		if d := all[a].status - all[b].status; d != 0 {
			return d
		}
		return strings.Compare(string(a), string(b))
	})
	return list
}
