package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"
)

// route is one thing that can be asked for.
type route struct {
	method, path string
	open         bool // needs no token
	lasting      bool // goes on as long as the client likes
	handle       func(http.ResponseWriter, *http.Request) error
	about        operation // what the OpenAPI document says of it
}

// routes is the whole API. OPTIONS, HEAD and the 405 answers of each path are derived from it, and so is the OpenAPI document: one entry
// is all that a new route takes here. docs/integrate/api.md has a line for each.
func (s *Server) routes() []route {
	return []route{
		{"GET", "/{$}", true, false, s.page.Serve, operation{
			id: "getPage", tag: tagPage, summary: "The viewer page",
			answers: []answer{{status: 200, media: "text/html", text: "The page."}, unchanged()},
		}},
		{"GET", "/page/{file}", true, false, s.page.Serve, operation{
			id: "getPageFile", tag: tagPage, summary: "The page's own files",
			answers: []answer{
				{status: 200, media: "text/html", text: "The file."},
				{status: 200, media: "text/css"},
				{status: 200, media: "text/javascript"},
				{status: 200, media: "image/svg+xml"},
				unchanged(),
			},
		}},
		{"GET", "/healthz", true, false, s.healthz, operation{
			id: "getHealth", tag: tagHealth, summary: "Whether the daemon serves",
			answers: []answer{shows(200, health{}, "It serves.")},
		}},
		{"GET", "/readyz", true, false, s.readyz, operation{
			id: "getReadiness", tag: tagHealth, summary: "Whether a new viewer would get a picture",
			answers: []answer{shows(200, readiness{}, "It would.")},
			codes:   []problem.Code{problem.NotReady},
		}},
		{"GET", "/metrics", false, false, s.exposition, operation{
			id: "getMetrics", tag: tagHealth, summary: "Metrics in Prometheus' text form",
			detail: "Prometheus gets the form that its Accept header prefers.",
			answers: []answer{
				{status: 200, media: "text/plain", text: "The metrics."},
				{status: 200, media: "application/vnd.google.protobuf", value: binary{}},
			},
		}},
		{"POST", "/whep/{display}", false, false, s.whepCreate, operation{
			id: "openSession", tag: tagWHEP, summary: "Open a session: a viewer's offer for the host's answer",
			detail: "The User-Agent is shown with the session. OPTIONS on this path tells the ICE servers, in Link headers, and by `Wavry-Input: taken` that a data channel `input` would be of use; it takes `region`, too.",
			params: []param{
				{in: "query", name: "reservation", value: "", text: "Id of the reservation whose place the viewer takes."},
				{in: "query", name: "region", value: regionName(""), text: "Region of the ICE servers to use, where there are such; without it the host's choice."},
			},
			body: &body{media: typeSDP, text: "An offer (RFC 8866) that receives one video in a codec of the host's, as H.264 or VP9."},
			answers: []answer{{
				status: 201, media: typeSDP, text: "The host's answer.", header: []string{"Location", "ETag", "Accept-Patch"},
			}},
			codes: []problem.Code{
				problem.BadRequest, problem.BadSDP, problem.UnknownDisplay, problem.UnknownReservation, problem.BadReservation, problem.BadChange, problem.NotAcceptable, problem.NoPicture,
				problem.UnacceptableOffer, problem.Full, problem.TooManyGrants, problem.Draining, problem.NoNetwork, problem.Timeout,
			},
		}},
		{"PATCH", "/whep/sessions/{id}", false, false, s.whepPatch, operation{
			id: "patchSession", tag: tagWHEP, summary: "Trickle candidates, or restart ICE",
			params: []param{{
				in: "header", name: "If-Match", value: "",
				text: "The session's ETag for trickle ICE, `*` for an ICE restart. Candidates with the `ice-ufrag` of the ICE session that is on need none.",
			}},
			body: &body{media: typeFragment, text: "A fragment (RFC 8840): candidates, or new ICE credentials."},
			answers: []answer{
				done(204, "The candidates are taken."),
				{status: 200, media: typeFragment, text: "ICE is restarted; the host's new credentials and candidates.", header: []string{"ETag"}},
			},
			codes: []problem.Code{problem.BadSDP, problem.UnknownSession, problem.StaleETag, problem.PreconditionRequired, problem.Timeout},
		}},
		{"DELETE", "/whep/sessions/{id}", false, false, s.whepDelete, operation{
			id: "leaveSession", tag: tagWHEP, summary: "End a session as its viewer",
			answers: []answer{done(200, "The session is gone and everything it held is released.")},
			codes:   []problem.Code{problem.UnknownSession, problem.Timeout},
		}},
		{"GET", "/v1/openapi.json", true, false, s.openapi, operation{
			id: "getDocument", tag: tagControl, summary: "This document",
			answers: []answer{shows(200, map[string]any{}, "An OpenAPI 3.1 document."), unchanged()},
		}},
		{"GET", "/v1/host", false, false, s.host, operation{
			id: "getHost", tag: tagControl, summary: "The host: state, limits, displays, encoders, version",
			answers: []answer{shows(200, hostView{}, "The host.")},
		}},
		{"GET", "/v1/capacity", false, false, s.capacity, operation{
			id: "getCapacity", tag: tagControl, summary: "How many more sessions there is room for, and what limits them",
			params:  []param{{in: "query", name: "profile", value: profileText(""), text: "A size and frame rate, as 1280x720@30; without it the usual ones."}},
			answers: []answer{shows(200, capacities{}, "The capacity, as of now.")},
		}},
		{"GET", "/v1/displays", false, false, s.displays, operation{
			id: "listDisplays", tag: tagControl, summary: "The displays that can be watched",
			answers: []answer{shows(200, displayList{}, "The displays.")},
		}},
		{"GET", "/v1/sessions", false, false, s.sessions, operation{
			id: "listSessions", tag: tagControl, summary: "All sessions, oldest first",
			answers: []answer{shows(200, sessionList{}, "The sessions.")},
		}},
		{"POST", "/v1/sessions", false, false, s.createSession, operation{
			id: "createSession", tag: tagControl, summary: "Open a session for a viewer: its offer for the host's answer",
			detail: "What POST /whep/{display} does, for who speaks for viewers. The viewer trickles candidates and restarts ICE at `path`.",
			body:   takes(opening{}, "What is to be watched, and the viewer's offer."),
			answers: []answer{{
				status: 201, media: content.JSON, value: opened{}, text: "The host's answer.", header: []string{"Location"},
			}},
			codes: []problem.Code{
				problem.BadSDP, problem.UnknownDisplay, problem.UnknownReservation, problem.BadReservation, problem.BadChange, problem.NoPicture,
				problem.UnacceptableOffer, problem.Full, problem.TooManyGrants, problem.Draining, problem.NoNetwork, problem.Timeout,
			},
		}},
		{"PATCH", "/v1/sessions/{id}", false, false, s.changeSession, operation{
			id: "changeSession", tag: tagControl, summary: "Change a session that runs: ceiling, weight, display",
			body:    takes(changing{}, "What is to change; what is left out stays."),
			answers: []answer{shows(200, session.Snapshot{}, "The session. Another display is shown from its first keyframe on.")},
			codes:   []problem.Code{problem.UnknownSession, problem.UnknownDisplay, problem.NoPicture, problem.BadChange, problem.Full, problem.Timeout},
		}},
		{"POST", "/v1/reservations", false, false, s.reserve, operation{
			id: "reserve", tag: tagControl, summary: "Keep a place for a session to come",
			detail: "The viewer takes it by POST /whep/{display}?reservation=ID. It counts as a session until it is used, given back, or has expired.",
			params: []param{{in: "header", name: "Idempotency-Key", value: "", text: "The same request again, within 10 minutes, yields the same reservation."}},
			body:   takes(reserving{}, "What the place is for."),
			answers: []answer{{
				status: 201, media: content.JSON, value: reserved{}, text: "The reservation, and the ICE servers for its viewer.", header: []string{"Location"},
			}},
			codes: []problem.Code{problem.UnknownDisplay, problem.BadReservation, problem.BadChange, problem.KeyReused, problem.Full, problem.Draining},
		}},
		{"GET", "/v1/reservations", false, false, s.reservations, operation{
			id: "listReservations", tag: tagControl, summary: "The places that are kept, the one that expires next in front",
			answers: []answer{shows(200, reservationList{}, "The reservations.")},
		}},
		{"GET", "/v1/reservations/{id}", false, false, s.reservation, operation{
			id: "getReservation", tag: tagControl, summary: "One place that is kept",
			answers: []answer{shows(200, admission.Reservation{}, "The reservation.")},
			codes:   []problem.Code{problem.UnknownReservation},
		}},
		{"DELETE", "/v1/reservations/{id}", false, false, s.releaseReservation, operation{
			id: "release", tag: tagControl, summary: "Give a place back",
			answers: []answer{done(204, "The place is free.")},
			codes:   []problem.Code{problem.UnknownReservation},
		}},
		{"GET", "/v1/sessions/{id}", false, false, s.session, operation{
			id: "getSession", tag: tagControl, summary: "One session with its figures and its last 32 quality transitions",
			answers: []answer{shows(200, session.Snapshot{}, "The session.")},
			codes:   []problem.Code{problem.UnknownSession},
		}},
		{"DELETE", "/v1/sessions/{id}", false, false, s.endSession, operation{
			id: "endSession", tag: tagControl, summary: "End a session as the operator",
			body:    &body{media: content.JSON, optional: true, value: ending{}, text: "What is to be said of it."},
			answers: []answer{done(204, "The session is gone and everything it held is released.")},
			codes:   []problem.Code{problem.UnknownSession, problem.Timeout},
		}},
		{"PUT", "/v1/sessions/{id}/control", false, false, s.giveControl, operation{
			id: "giveControl", tag: tagControl, summary: "Give control of its display to a session",
			detail:  "Whoever had it has it no more, and nothing of theirs stays pressed. It is free again when the session gives no input for the time of the setting control_idle.",
			answers: []answer{shows(200, session.Snapshot{}, "The session.")},
			codes:   []problem.Code{problem.UnknownSession, problem.NoControl},
		}},
		{"DELETE", "/v1/sessions/{id}/control", false, false, s.withdrawControl, operation{
			id: "withdrawControl", tag: tagControl, summary: "Withdraw control from a session, for good",
			detail:  "What it holds is released. It gets control again by PUT alone.",
			answers: []answer{shows(200, session.Snapshot{}, "The session.")},
			codes:   []problem.Code{problem.UnknownSession},
		}},
		{"POST", "/v1/sessions/{id}/keyframe", false, false, s.keyframe, operation{
			id: "requestKeyframe", tag: tagControl, summary: "Ask for a keyframe",
			detail:  "As if the viewer had asked (RTCP PLI): requests that come together make one keyframe, and it waits for its turn on a slow path.",
			answers: []answer{done(202, "The keyframe is asked for.")},
			codes:   []problem.Code{problem.UnknownSession},
		}},
		{"POST", "/v1/sessions/{id}/recording", false, false, s.recording, operation{
			id: "takeRecording", tag: tagControl, summary: "The session's flight recording, for `wavry-host replay`",
			answers: []answer{{
				status: 200, media: "application/octet-stream", value: binary{}, text: "The recording.", header: []string{"Content-Disposition"},
			}},
			codes: []problem.Code{problem.UnknownSession},
		}},
		{"GET", "/v1/sessions/{id}/timeline", false, false, s.timeline, operation{
			id: "getTimeline", tag: tagEvents, summary: "What happened to a session, oldest first",
			detail:  "Sessions that have ended are known as long as the newest 1024 events of the host reach back to them.",
			answers: []answer{shows(200, timeline{}, "The events.")},
			codes:   []problem.Code{problem.UnknownSession},
		}},
		{"GET", "/v1/events", false, true, s.events, operation{
			id: "followEvents", tag: tagEvents, summary: "What happens, as server-sent events",
			detail: "A stream that ends when the client goes or the daemon stops. Without Last-Event-ID and after it begins with what is to come. " +
				"An event `gap` comes first where events are lost that were asked for.",
			params: []param{
				{in: "query", name: "after", value: uint64(0), text: "Number of the last event that the client has."},
				{in: "header", name: "Last-Event-ID", value: uint64(0), text: "The same, as browsers send it; goes before `after`."},
			},
			answers: []answer{{
				status: 200, media: typeEvents, text: "The stream; the schema is that of each event's `data`.",
				oneOf: []any{session.EventRecord{}, gap{}},
			}},
			codes: []problem.Code{problem.TooManyStreams},
		}},
		{"POST", "/v1/revocations", false, false, s.revoke, operation{
			id: "revoke", tag: tagControl, summary: "Revoke a grant, or all that somebody was granted",
			detail:  "Grants are refused from now on, and their sessions end within two seconds. It is remembered as long as a grant can live, over a restart where `revocations_file` is set.",
			body:    takes(revoking{}, "What to revoke."),
			answers: []answer{shows(200, revocation{}, "It is revoked.")},
			codes:   []problem.Code{problem.BadRequest, problem.TooManyRevocations},
		}},
		{"POST", "/v1/encoders/probe", false, false, s.probe, operation{
			id: "probeEncoders", tag: tagControl, summary: "Try all encoders again",
			detail:  "As after a driver was updated. An event encoders_tried tells that it is done; GET /v1/host has the results. Encodes that run are left alone.",
			answers: []answer{done(202, "They will be tried.")},
		}},
		{"POST", "/v1/reload", false, false, s.reload, operation{
			id: "reload", tag: tagControl, summary: "Read the configuration again",
			detail:  "It is checked whole; one that is refused changes nothing. What can change while the daemon runs is applied, for sessions to come.",
			body:    &body{media: content.JSON, optional: true, value: reloading{}, text: "Whether the change is to be confirmed."},
			answers: []answer{shows(200, Reloaded{}, "What changed.")},
			codes:   []problem.Code{problem.BadConfiguration},
		}},
		{"POST", "/v1/reload/confirmation", false, false, s.confirm, operation{
			id: "confirmReload", tag: tagControl, summary: "Confirm a change of the configuration, which is taken back otherwise",
			answers: []answer{done(204, "The change stays.")},
			codes:   []problem.Code{problem.NothingToConfirm},
		}},
		{"PUT", "/v1/state", false, false, s.setState, operation{
			id: "setState", tag: tagControl, summary: "Put the host into a state",
			body:    takes(standing{}, "The state."),
			answers: []answer{shows(200, hostView{}, "The host.")},
		}},
		{"GET", "/v1/drain", false, false, s.drainStatus, operation{
			id: "getDrain", tag: tagControl, summary: "How far the drain has come",
			answers: []answer{shows(200, session.DrainStatus{}, "The drain.")},
			codes:   []problem.Code{problem.NotDraining},
		}},
		{"POST", "/v1/drain", false, false, s.drain, operation{
			id: "drain", tag: tagControl, summary: "Refuse new sessions, and move or end the others",
			detail:  "A drain during a drain replaces its order. Reservations are given up.",
			body:    takes(draining{}, "What becomes of the sessions, and how long they may go on."),
			answers: []answer{shows(202, hostView{}, "The host.")},
		}},
		{"DELETE", "/v1/drain", false, false, s.resume, operation{
			id: "resume", tag: tagControl, summary: "Take new sessions again",
			answers: []answer{shows(200, hostView{}, "The host.")},
		}},
	}
}

// unchanged is the answer to a client that has the newest.
func unchanged() answer { return done(304, "The client has it: If-None-Match names its ETag.") }

// build makes the handler: on the outside it is found out who asks, then measured and logged, then guarded, then routed.
func (s *Server) build() http.Handler {
	mux := http.NewServeMux()
	allow := map[string][]string{}
	for _, rt := range s.routes() {
		mux.Handle(rt.method+" "+rt.path, s.endpoint(rt))
		allow[rt.path] = append(allow[rt.path], rt.method)
		if rt.method == http.MethodGet {
			allow[rt.path] = append(allow[rt.path], http.MethodHead)
		}
	}
	for path, methods := range allow {
		methods = append(methods, http.MethodOptions)
		mux.Handle("OPTIONS "+path, s.endpoint(route{open: true, handle: s.options(path, methods)}))
		mux.Handle(path, s.endpoint(route{open: true, handle: func(_ http.ResponseWriter, r *http.Request) error {
			return problem.New(problem.MethodNotAllowed, "%s is not possible here", problem.Shorten(r.Method)).
				With("Allow", strings.Join(methods, ", "))
		}}))
	}
	mux.Handle("/", s.endpoint(route{open: true, handle: func(_ http.ResponseWriter, r *http.Request) error {
		return content.NotFound(r)
	}}))
	return s.proxied(s.observed(s.guarded(mux)))
}

// endpoint makes a handler of a route: it checks the token, bounds body and time, and reports the error.
func (s *Server) endpoint(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !rt.open {
			p, err := s.key.admit(r)
			note(w, p)
			if err == nil && !rt.may(p.role) {
				err = problem.New(problem.Forbidden, "a %s may not do this", p.role)
			}
			if err != nil {
				s.fail(w, r, err)
				return
			}
			r = r.WithContext(withPrincipal(r.Context(), p))
		}
		ctx := r.Context()
		if !rt.lasting {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.cfg.RequestTimeout)
			defer cancel()
		}
		content.Limit(w, r, s.cfg.MaxBody)
		if err := rt.handle(w, r.WithContext(ctx)); err != nil {
			s.fail(w, r, err)
		}
	})
}

// options answers OPTIONS for a path: the CORS preflight of browsers, and the questions of WHEP clients, which read from
// it whether trickle ICE is possible (the token PATCH, on either WHEP path) and which ICE servers there are.
func (s *Server) options(path string, methods []string) func(http.ResponseWriter, *http.Request) error {
	if strings.HasPrefix(path, "/whep/") {
		methods = []string{http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	}
	allowed := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		// A preflight never carries a token. Only a client that may open sessions gets the ICE servers' credentials.
		var who principal
		if _, certified := s.key.certified(r); certified || s.live.Load().anonymous || r.Header.Get("Authorization") != "" {
			var err error
			if who, err = s.key.admit(r); err != nil {
				return err
			}
			r = r.WithContext(withPrincipal(r.Context(), who))
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Idempotency-Key, Last-Event-ID")
		h.Set("Access-Control-Max-Age", "600")
		if r.Header.Get("Access-Control-Request-Private-Network") == "true" &&
			h.Get("Access-Control-Allow-Origin") != "" {
			h.Set("Access-Control-Allow-Private-Network", "true")
		}
		if strings.HasPrefix(path, "/whep/") {
			h.Set("Accept-Post", typeSDP)
			h.Set("Accept-Patch", typeFragment)
			if s.views(r) {
				s.linkHeader(h, r.URL.Query().Get("region"), who)
				s.tellInput(w, r, who.role)
			}
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// guarded passes on what the guard lets through.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard(r.Context())
		err := s.live.Load().guard.check(w, r)
		if wait := s.nets.request(time.Now(), clientOf(r)); err == nil && wait > 0 {
			err = problem.New(problem.TooManyRequests, "too many requests from your network, or in all").RetryAfter(wait)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// observed counts, times and logs each request, and turns a panic into an answer.
func (s *Server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w, id: rand.Text()[:requestID]}
		w.Header().Set("X-Request-Id", rec.id)
		defer func() { s.finish(rec, r, time.Since(start), recover()) }()
		next.ServeHTTP(rec, r)
	})
}

// finish ends a request that took so long and panicked with v, if v is not nil.
func (s *Server) finish(rec *recorder, r *http.Request, took time.Duration, v any) {
	if v != nil {
		if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares the value itself
			panic(v)
		}
		s.metrics.panics.Inc()
		s.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "err", fmt.Sprint(v),
			"stack", string(debug.Stack()))
		if rec.status == 0 {
			s.fail(rec, r, internal())
		}
	}
	s.metrics.observe(label(r.Pattern), r.Method, rec.status, took)
	if rec.who.role == "" {
		s.nets.charge(time.Now(), clientOf(r), rec.bytes)
	}
	if changes(r.Method) {
		summed, err := s.audit.record(auditLine{
			Time: time.Now(), Credential: rec.who.Credential, Issuer: rec.who.Issuer, Request: rec.id, Who: rec.who.Name, Role: string(rec.who.role), Grant: rec.who.id(), Address: r.RemoteAddr, Method: problem.Shorten(r.Method), Route: label(r.Pattern),
			Object: problem.Shorten(cmp.Or(rec.object, r.PathValue("id")+r.PathValue("display"))), Made: madeAt(r, rec.Header()), Status: rec.status, Code: string(rec.code),
		})
		s.audited(summed, err)
	}
	level := slog.LevelInfo
	// What strangers are refused, and a flood, must not fill the disk.
	if !changes(r.Method) || rec.status == http.StatusTooManyRequests || rec.who.role == "" && rec.status >= http.StatusBadRequest {
		level = slog.LevelDebug
	}
	// The path alone: a query may hold what a client should not have put there.
	s.log.Log(r.Context(), level, "request", "request_id", rec.id, "remote", r.RemoteAddr, "method", problem.Shorten(r.Method), "path", problem.Shorten(r.URL.Path),
		"status", rec.status, "bytes", rec.bytes, "took_seconds", took.Seconds())
}

// madeAt returns the path of what a request made, which its answer names relative to its own; empty where it made nothing.
func madeAt(r *http.Request, answer http.Header) string {
	at, err := r.URL.Parse(answer.Get("Location"))
	if err != nil || answer.Get("Location") == "" {
		return ""
	}
	return at.Path
}

// label names the route of a pattern that the mux noted. It noted none when the guard refused.
func label(pattern string) string {
	_, path, ok := strings.Cut(pattern, " ")
	if !ok {
		path = pattern
	}
	switch path {
	case "":
		return "none"
	case "/":
		return "other"
	default:
		return strings.TrimSuffix(path, "{$}")
	}
}

// requestID is how many characters name a request: 60 bits, so that none comes twice in a log.
const requestID = 12

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	id     string // of the request, for log and audit
	status int
	bytes  int
	who    principal    // once it is known
	code   problem.Code // of the error that was answered
	object string       // what it is about, where the path does not tell
}

// note keeps who asks, for the audit.
func note(w http.ResponseWriter, p principal) {
	if rec, ok := w.(*recorder); ok {
		rec.who = p
	}
}

// concern keeps what a request is about, for the audit, where the path does not tell.
func concern(w http.ResponseWriter, object string) {
	if rec, ok := w.(*recorder); ok {
		rec.object = object
	}
}

// id is that of the principal's grant, if it has one.
func (p principal) id() string {
	if p.grant == nil {
		return ""
	}
	return p.grant.ID
}

// expires is when the principal's grant or token ends; never for the zero time.
func (p principal) expires() time.Time {
	if p.grant == nil {
		return p.until
	}
	return p.grant.Expires
}

func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(p)
	rec.bytes += n
	return n, err
}

// Unwrap serves http.ResponseController.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }
