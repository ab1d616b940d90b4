// Package api is the HTTP control API of the daemon. It joins the parts of the HTTP side into one server: WHEP, the
// control API with its OpenAPI document, events, metrics, health and the viewer page. Every answer that is not a
// success is a problem document (RFC 9457). docs/integrate/api.md lists routes,
// docs/integrate/errors.md codes.
package api

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/session/api/access"
	"wavryhost/session/api/audit"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/page"
	"wavryhost/session/api/whep"
)

// Server answers HTTP requests for one manager.
type Server struct {
	cfg     Config
	mgr     manager
	metrics *Metrics
	log     *slog.Logger

	// live is what can change while the server runs.
	live     atomic.Pointer[live]
	limiter  *edge.Limiter
	cert     *edge.Certificate // nil without TLS
	auth     *auth.Authenticator
	access   *access.Access
	attempts attempts // requests with an idempotency key
	audit    *audit.Log
	whep     *whep.Handler
	page     *page.Page
	spec     *openapi.Spec
	document *content.Static
	// succession is for taking over from another daemon, and leaving the host to one.
	succession *Succession
	handler    http.Handler
	addr       atomic.Pointer[net.Addr]

	noted uint64 // the newest event that the audit log has; the goroutine of watch owns it

	hidden   sync.Once     // logs once that a proxy hides its clients
	streams  atomic.Int32  // number of event streams
	stopping chan struct{} // closed when the server ends, or is retired
}

// Prepare checks a new configuration. It returns the function that applies what can change while the server runs: the
// operator's token, the anonymous role, the hosts and origins, and the limits on requests. Everything else stays as it
// is, and the changes must be consistent with it.
func (s *Server) Prepare(next Config) (apply func(), err error) {
	c := s.cfg
	c.Token, c.OwnToken, c.AnonymousRole = next.Token, next.OwnToken, next.AnonymousRole
	c.AllowedHosts, c.AllowedOrigins = next.AllowedHosts, next.AllowedOrigins
	c.TrustedProxies, c.Limits = next.TrustedProxies, next.Limits
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l := c.withDefaults().live(s.cert)
	return func() { s.live.Store(l) }, nil
}

// ProbeToken returns a token with which this host opens one session on a display, and watches it as a viewer does. The
// session takes no place.
func (s *Server) ProbeToken(display string, until time.Time) string {
	return s.auth.IssueProbe(display, until)
}

// Handler returns the handler of all requests, for tests and for serving by other means than Run.
func (s *Server) Handler() http.Handler { return s.handler }

// Addr returns the address that Run listens on; nil before it does.
func (s *Server) Addr() net.Addr {
	if a := s.addr.Load(); a != nil {
		return *a
	}
	return nil
}
