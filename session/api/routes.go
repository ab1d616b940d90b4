package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// route is one thing that can be asked for.
type route struct {
	method, path string
	open         bool // needs no token
	lasting      bool // goes on as long as the client likes
	handle       func(http.ResponseWriter, *http.Request) error
}

// routes is the whole API. OPTIONS, HEAD and the 405 answers of each path are derived from it.
func (s *Server) routes() []route {
	return []route{
		{"GET", "/{$}", true, false, s.page},
		{"GET", "/page/{file}", true, false, s.page},
		{"GET", "/healthz", true, false, s.healthz},
		{"GET", "/readyz", true, false, s.readyz},
		{"GET", "/metrics", false, false, s.exposition},
		{"POST", "/whep/{display}", false, false, s.whepCreate},
		{"PATCH", "/whep/sessions/{id}", false, false, s.whepPatch},
		{"DELETE", "/whep/sessions/{id}", false, false, s.whepDelete},
		{"GET", "/v1/host", false, false, s.host},
		{"GET", "/v1/displays", false, false, s.displays},
		{"GET", "/v1/sessions", false, false, s.sessions},
		{"GET", "/v1/sessions/{id}", false, false, s.session},
		{"DELETE", "/v1/sessions/{id}", false, false, s.endSession},
		{"POST", "/v1/sessions/{id}/recording", false, false, s.recording},
		{"GET", "/v1/events", false, true, s.events},
		{"POST", "/v1/drain", false, false, s.drain},
		{"DELETE", "/v1/drain", false, false, s.resume},
	}
}

// build makes the handler: measured and logged on the outside, then guarded, then routed.
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
			return refuse(CodeMethodNotAllowed, "%s is not possible here", shorten(r.Method)).
				with("Allow", strings.Join(methods, ", "))
		}}))
	}
	mux.Handle("/", s.endpoint(route{open: true, handle: func(_ http.ResponseWriter, r *http.Request) error {
		return refuse(CodeNotFound, "there is nothing at %s", shorten(r.URL.Path))
	}}))
	return s.observed(s.guarded(mux))
}

// endpoint makes a handler of a route: it checks the token, bounds body and time, and reports the error.
func (s *Server) endpoint(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !rt.open {
			if err := s.key.admit(r); err != nil {
				s.fail(w, r, err)
				return
			}
		}
		ctx := r.Context()
		if !rt.lasting {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.cfg.RequestTimeout)
			defer cancel()
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxBody)
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
		// A preflight never carries the token. Only who shows it gets the ICE servers' credentials.
		showLinks := s.key == nil
		if r.Header.Get("Authorization") != "" {
			if err := s.key.admit(r); err != nil {
				return err
			}
			showLinks = true
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Max-Age", "600")
		if r.Header.Get("Access-Control-Request-Private-Network") == "true" &&
			h.Get("Access-Control-Allow-Origin") != "" {
			h.Set("Access-Control-Allow-Private-Network", "true")
		}
		if strings.HasPrefix(path, "/whep/") {
			whepHeaders(h)
			h.Set("Accept-Post", typeSDP)
			h.Set("Accept-Patch", typeFragment)
			if showLinks {
				h["Link"] = slices.Clone(s.links)
			}
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// guarded passes on what the guard lets through.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.guard.check(w, r); err != nil {
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
		rec := &recorder{ResponseWriter: w}
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
			s.fail(rec, r, refuse(CodeInternal, "internal error; the host's log has the cause"))
		}
	}
	s.metrics.observe(label(r.Pattern), r.Method, rec.status, took)
	level := slog.LevelInfo
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		level = slog.LevelDebug
	}
	// The path alone: a query may hold what a client should not have put there.
	s.log.Log(r.Context(), level, "request", "remote", r.RemoteAddr, "method", r.Method, "path", r.URL.Path,
		"status", rec.status, "bytes", rec.bytes, "took_seconds", took.Seconds())
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

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
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
