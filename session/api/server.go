// Package api is the HTTP control API of the daemon. It joins the parts of the HTTP side into one server: WHEP, the
// control API with its OpenAPI document, events, metrics, health and the viewer page. Every answer that is not a
// success is a problem document (RFC 9457). docs/integrate/api.md lists routes,
// docs/integrate/errors.md codes.
package api

import (
	"context"
	"errors"
	"fmt"
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

	"github.com/prometheus/client_golang/prometheus"
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
	handler  http.Handler
	addr     atomic.Pointer[net.Addr]

	noted uint64 // the newest event that the audit log has; the goroutine of watch owns it

	hidden   sync.Once     // logs once that a proxy hides its clients
	streams  atomic.Int32  // number of event streams
	stopping chan struct{} // closed when Run begins to end
}

// live is the part of a Config that can change while the server runs.
type live struct {
	policy  *edge.Policy
	proxies edge.Proxies
	limits  edge.Limits
	auth    auth.Settings
}

// New returns a Server that does not listen yet. It reads all files, so that an invalid one is an error here.
func New(cfg Config, mgr manager, gatherer prometheus.Gatherer, m *Metrics, log *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, mgr: mgr, metrics: m, log: log, audit: audit.New(cfg.Audit), stopping: make(chan struct{})}
	s.limiter = edge.NewLimiter(func() edge.Limits { return s.live.Load().limits })
	var err error
	s.auth, err = auth.New(cfg.auth(), auth.Environment{
		Settings: func() auth.Settings { return s.live.Load().auth },
		Ambient:  func(r *http.Request) bool { return s.live.Load().policy.Ambient(r) },
		Count:    func(method, result string) { m.auth.WithLabelValues(method, result).Inc() },
	}, s.limiter, log)
	if err != nil {
		return nil, err
	}
	if cfg.TLSCert != "" {
		expires := func(end time.Time) { m.certificateEnd.Set(float64(end.Unix())) }
		if s.cert, err = edge.NewCertificate(cfg.TLSCert, cfg.TLSKey, log, expires); err != nil {
			return nil, err
		}
	}
	s.live.Store(cfg.live(s.cert))
	s.access = access.New(mgr, s.auth, cfg.Grants, s.audit.On(), log)
	s.whep = whep.New(mgr, s.access)
	if s.page, err = page.New(); err != nil {
		return nil, err
	}
	routes := s.routes(gatherer)
	if s.spec, err = describe(routes); err != nil {
		return nil, err
	}
	if s.document, err = content.NewStatic(content.JSON, s.spec.Document()); err != nil {
		return nil, err
	}
	s.handler = s.build(routes)
	return s, nil
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

// Run listens and serves until ctx ends. Then it waits for the requests in progress, at most Config.ShutdownTimeout,
// and returns nil. An error means that it could not listen, or not accept any more.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.cfg.Listen, err)
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && (s.cert == nil || !s.cfg.locked()) {
		// Validate relies on the name localhost. The resolver of this machine may give it another address.
		_ = ln.Close()
		return fmt.Errorf("listen on %s: it is %s, which other machines can reach; that requires TLS and a token",
			s.cfg.Listen, tcp)
	}
	return s.serve(ctx, ln)
}

// serve serves on ln, and closes it.
func (s *Server) serve(ctx context.Context, ln net.Listener) error {
	addr := ln.Addr()
	ln = s.limited(ln)
	srv := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    4 * edge.MaxHeaderBytes,
		ConnState:         edge.Track,
		ConnContext:       edge.WithConn,
		// Errors of net/http are about single clients, such as failed handshakes.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Requests in progress outlive ctx during the shutdown.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan error, 1) // one result, never blocks
	go func() {                 // unguarded: net/http recovers from panics of handlers
		if s.cert != nil {
			srv.TLSConfig = s.cert.Config(s.auth.ClientTLS())
			done <- srv.ServeTLS(ln, "", "")
			return
		}
		done <- srv.Serve(ln)
	}()
	watched := make(chan struct{})
	go func() { // unguarded: watch guards each round
		defer close(watched)
		s.watch(ctx)
	}()
	defer func() {
		<-watched
		s.noteEvents()
		s.flushAudit(time.Now(), true)
	}()
	s.addr.Store(&addr)
	s.log.Info("api listening", "addr", addr.String(), "tls", s.cert != nil)
	if s.cfg.Ready != nil {
		s.cfg.Ready(addr)
	}

	select {
	case err := <-done:
		close(s.stopping)
		_ = srv.Close()
		return fmt.Errorf("serve on %s: %w", addr, err)
	case <-ctx.Done():
	}
	close(s.stopping)
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(wait); err != nil {
		s.log.Warn("api requests cut off at shutdown", "err", err)
		_ = srv.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", addr, err)
	}
	return nil
}

// limited returns a listener with the limits on connections that accepts from ln.
func (s *Server) limited(ln net.Listener) net.Listener {
	proxy := func(a net.Addr) bool { return s.live.Load().proxies.TrustsPeer(a) }
	ln = edge.NewListener(ln, edge.ListenerConfig{
		MaxConnections: s.cfg.MaxConnections, MaxPerNetwork: s.cfg.MaxConnectionsPerAddress,
		Known: s.limiter.Known, Proxy: proxy, Cut: func(reason string) { s.metrics.cut.WithLabelValues(reason).Inc() },
	})
	if s.cfg.ProxyHeader != edge.ProxyProtocol {
		return ln
	}
	return edge.ProxyListener(ln, s.cfg.ReadHeaderTimeout, proxy)
}
