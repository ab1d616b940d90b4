package api

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"wavryhost/session/api/audit"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/problem"
)

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

// finish ends a request that took so long. recovered is the value of its panic, or nil.
func (s *Server) finish(rec *recorder, r *http.Request, took time.Duration, recovered any) {
	if recovered != nil {
		if recovered == http.ErrAbortHandler { //nolint:errorlint // net/http compares the value itself
			panic(recovered)
		}
		s.metrics.panics.Inc()
		s.log.Error("request panicked", "request_id", rec.id, "method", r.Method, "path", r.URL.Path,
			"err", fmt.Sprint(recovered),
			"stack", string(debug.Stack()))
		if rec.status == 0 {
			s.fail(rec, r, internal())
		}
	}
	s.metrics.observe(label(r.Pattern), r.Method, rec.status, took)
	if rec.who.Role == "" {
		s.limiter.Charge(time.Now(), edge.ClientOf(r), rec.bytes)
	}
	changes := edge.Changes(r.Method) && r.Pattern != viewerRoute
	if changes {
		s.record(audit.Line{
			Time: time.Now(), Credential: rec.who.Credential, Issuer: rec.who.Issuer, Request: rec.id,
			Who: rec.who.Name, Role: string(rec.who.Role), Grant: rec.who.GrantID(), Address: r.RemoteAddr,
			Method: problem.Shorten(r.Method), Route: label(r.Pattern),
			Object: problem.Shorten(cmp.Or(rec.object, r.PathValue("id")+r.PathValue("display"))),
			Made:   madeAt(r, rec.Header()), Status: rec.status, Code: string(rec.code),
		})
	}
	level := slog.LevelInfo
	// Refused unknown clients, and floods, must not fill the disk.
	if !changes || rec.status == http.StatusTooManyRequests ||
		rec.who.Role == "" && rec.status >= http.StatusBadRequest {
		level = slog.LevelDebug
	}
	// The query is not logged: a client may have put a secret there by mistake.
	s.log.Log(r.Context(), level, "request", "request_id", rec.id, "remote", r.RemoteAddr,
		"method", problem.Shorten(r.Method), "path", problem.Shorten(r.URL.Path),
		"status", rec.status, "bytes", rec.bytes, "took_seconds", took.Seconds())
}

// madeAt returns the path of what a request created; empty if it created nothing. The answer names it relative to the
// request.
func madeAt(r *http.Request, answer http.Header) string {
	at, err := r.URL.Parse(answer.Get("Location"))
	if err != nil || answer.Get("Location") == "" {
		return ""
	}
	return at.Path
}

// label returns the route of a pattern that the mux noted. The mux notes none if the policy refuses the request.
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

// requestID is the length of a request's ID: 60 bits, so that no ID appears twice in a log.
const requestID = 12
