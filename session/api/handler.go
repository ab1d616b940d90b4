package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
)

// build makes the handler. A request passes, in this order: proxied, which finds the client; observed, which measures
// and logs; guarded, which applies policy and rate limits; the mux; and endpoint, which authenticates.
func (s *Server) build(routes []route) http.Handler {
	mux := http.NewServeMux()
	allow := map[string][]string{}
	described := map[string]openapi.Route{} // the OPTIONS that are in the document, by path
	for _, rt := range routes {
		if rt.Method == http.MethodOptions {
			described[rt.Path] = rt.Route
			continue
		}
		mux.Handle(rt.Method+" "+rt.Path, s.endpoint(rt))
		allow[rt.Path] = append(allow[rt.Path], rt.Method)
		if rt.Method == http.MethodGet {
			allow[rt.Path] = append(allow[rt.Path], http.MethodHead)
		}
	}
	for path, methods := range allow {
		methods = append(methods, http.MethodOptions)
		answer := openRoute(s.options(path, methods))
		if rt, ok := described[path]; ok {
			answer.Route = rt
		}
		mux.Handle("OPTIONS "+path, s.endpoint(answer))
		mux.Handle(path, s.endpoint(openRoute(func(_ http.ResponseWriter, r *http.Request) error {
			return problem.New(problem.MethodNotAllowed, "this path does not have the method %s",
				problem.Shorten(r.Method)).
				With("Allow", strings.Join(methods, ", "))
		})))
	}
	mux.Handle("/", s.endpoint(openRoute(func(_ http.ResponseWriter, r *http.Request) error {
		return content.NotFound(r)
	})))
	return s.proxied(s.observed(s.guarded(mux)))
}

// endpoint makes the handler of a route: it authenticates, bounds body and time, and answers with the error.
func (s *Server) endpoint(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !rt.Open {
			p, err := s.auth.Authenticate(r)
			notePrincipal(w, p)
			if err == nil && !rt.allows(p.Role) {
				err = problem.New(problem.Forbidden, "the role %s may not do this", p.Role)
			}
			if err != nil {
				s.fail(w, r, err)
				return
			}
			r = r.WithContext(auth.WithPrincipal(r.Context(), p))
		}
		if err := s.spec.CheckQuery(rt.Route, r); err != nil {
			s.fail(w, r, err)
			return
		}
		if err := s.succession.refuses(rt, r); err != nil {
			s.fail(w, r, err)
			return
		}
		ctx := r.Context()
		if !rt.lasting {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.cfg.RequestTimeout)
			defer cancel()
		}
		content.Limit(w, r, s.cfg.MaxBody)
		answer := rt.handle
		if s.succession.concerns(rt, r) {
			answer = s.succession.forward
		} else if rt.creates {
			answer = func(w http.ResponseWriter, r *http.Request) error { return s.attempts.once(w, r, rt.handle) }
		}
		if err := answer(w, r.WithContext(ctx)); err != nil {
			s.fail(w, r, err)
		}
	})
}

// options answers OPTIONS for a path: the CORS preflight of browsers, and the requests of WHEP clients.
func (s *Server) options(path string, methods []string) handle {
	isWHEP := strings.HasPrefix(path, "/whep/")
	if isWHEP {
		methods = whep.Methods()
	}
	allowed := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		// A preflight never has a token.
		if s.auth.Identifies(r) {
			p, err := s.auth.Authenticate(r)
			if err != nil {
				return err
			}
			r = r.WithContext(auth.WithPrincipal(r.Context(), p))
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers",
			"Authorization, Content-Type, If-Match, Idempotency-Key, Last-Event-ID, Traceparent")
		h.Set("Access-Control-Max-Age", "600")
		if r.Header.Get("Access-Control-Request-Private-Network") == "true" &&
			h.Get("Access-Control-Allow-Origin") != "" {
			h.Set("Access-Control-Allow-Private-Network", "true")
		}
		if isWHEP {
			s.whep.Options(w, r)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// guarded refuses requests by policy and rate limits.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		edge.Heard(r.Context())
		err := s.live.Load().policy.Check(w, r)
		if wait := s.limiter.Request(time.Now(), edge.ClientOf(r)); err == nil && wait > 0 {
			err = problem.New(problem.TooManyRequests,
				"too many requests from your network, or in total").RetryAfter(wait)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// proxied finds the client of a request that came through a proxy, before anything else uses its address.
func (s *Server) proxied(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy := r.RemoteAddr
		if !s.live.Load().proxies.Resolve(r) {
			s.hidden.Do(func() {
				s.log.Warn("requests come through a proxy that is not trusted, or does not name its clients; "+
					"all these clients share the limits of one",
					"proxy", proxy, "remedy", "set api.trusted_proxies and api.proxy_header, and let the proxy set that header")
			})
		}
		next.ServeHTTP(w, r)
	})
}
