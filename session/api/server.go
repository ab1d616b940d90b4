// Package api is the daemon's HTTP side: WHEP (draft-ietf-wish-whep on the ground of RFC 9725), the control API, the
// metrics endpoint, the health endpoints and the viewer page. Every answer that is no success has one JSON shape,
// {"error": "…", "code": "…"}; docs/integrate/api.md lists routes and codes.
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/page"
	"wavryhost/session/relay"

	"github.com/prometheus/client_golang/prometheus"
)

// manager is what the API asks of session.Manager.
type manager interface {
	Create(ctx context.Context, o session.Offer) (session.Answer, error)
	Patch(ctx context.Context, id, ifMatch, fragment string) (session.Patched, error)
	End(ctx context.Context, id string, why session.EndReason) error
	EndNoted(ctx context.Context, id string, why session.EndReason, note string) error
	RequestKeyframe(id string) error
	Session(id string) (session.Snapshot, error)
	Sessions() []session.Snapshot
	WriteRecording(id string, w io.Writer) error
	Events(after uint64) (list []session.EventRecord, lost bool, more <-chan struct{})
	LastEvent() uint64
	Host() session.Host
	Drain(o session.DrainOrder) session.DrainStatus
	Draining() (session.DrainStatus, bool)
	SetState(state string) error
	Reserve(ctx context.Context, r admission.ReservationRequest) (admission.Reservation, error)
	Reservations() []admission.Reservation
	Revoke(issuer, grant, subject string) int
	Capacity(profiles ...admission.Profile) []admission.Capacity
	Release(id string) error
	Change(ctx context.Context, id string, c session.Change) (session.Snapshot, error)
	Resume()
	SetControl(id string, on bool) (session.Snapshot, error)
	TakesInput(ctx context.Context, display string, r session.Role) bool
	RetryAfter() time.Duration
	ICEServers(region, user string, last time.Time) []relay.Server
}

var _ manager = (*session.Manager)(nil)

// Server answers HTTP requests for one manager.
type Server struct {
	cfg      Config
	mgr      manager
	gatherer prometheus.Gatherer
	metrics  *Metrics
	log      *slog.Logger

	spec     *spec
	document *content.Static
	page     *page.Page
	live     atomic.Pointer[live]
	key      *keeper
	cert     *certificate // nil without TLS
	nets     *networks
	audit    audit
	handler  http.Handler
	addr     atomic.Pointer[net.Addr]

	mu     sync.Mutex
	opened map[string]principal // by whom each session was, until it has ended
	swept  map[string]principal // those that are being ended for their credentials, until the audit log has it

	noted uint64 // the newest event that the audit log was told of; the goroutine of watch owns it

	hidden   sync.Once     // a proxy that hides its clients was told of
	streams  atomic.Int32  // clients that follow the events
	stopping chan struct{} // closed when Run begins to end
}

// New returns a Server that does not listen yet. The certificate is read, so that a broken one is found early.
func New(cfg Config, mgr manager, gatherer prometheus.Gatherer, m *Metrics, log *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, mgr: mgr, gatherer: gatherer, metrics: m, log: log, opened: make(map[string]principal), swept: make(map[string]principal), stopping: make(chan struct{})}
	if err := s.keep(); err != nil {
		return nil, err
	}
	if cfg.TLSCert != "" {
		var err error
		if s.cert, err = newCertificate(cfg.TLSCert, cfg.TLSKey, log, m); err != nil {
			return nil, err
		}
		if cfg.asksClients() {
			if s.cert.clients, err = newClients(cfg.TLSClientCA, cfg.TLSClientRevoked, cfg.TLSClientAuth, log); err != nil {
				return nil, err
			}
			s.key.clients = s.cert.clients
		}
	}
	s.live.Store(newLive(cfg, s.cert))
	var err error
	if s.spec, err = describe(s.routes()); err != nil {
		return nil, err
	}
	if s.document, err = content.NewStatic(content.JSON, s.spec.document); err != nil {
		return nil, err
	}
	if s.page, err = page.New(); err != nil {
		return nil, err
	}
	s.handler = s.build()
	return s, nil
}

// keep makes what checks who asks.
func (s *Server) keep() error {
	c := s.cfg
	s.audit.w = c.Audit
	s.nets = newNetworks(func() Limits { return s.live.Load().limits })
	s.key = &keeper{
		live: s.live.Load, grants: c.Grants, nets: s.nets, count: func(method, result string) { s.metrics.auth.WithLabelValues(method, result).Inc() },
	}
	if c.asksClients() {
		s.key.certRole, s.key.certRules = grant.Role(c.TLSClientRole), c.TLSClientRules
	}
	path, lifetime := "", time.Duration(0)
	if c.Grants != nil {
		path, lifetime = c.RevocationsFile, c.Grants.Outlived()
	}
	var err error
	if s.key.revoked, err = newRevoked(path, lifetime, time.Now()); err != nil {
		return fmt.Errorf("api: revocations: %w", err)
	}
	if c.TokensFile == "" {
		return nil
	}
	s.key.file, err = newTokenFile(c.TokensFile, s.log)
	return err
}

// Handler returns what answers the requests, for tests and for serving by other means than Run.
func (s *Server) Handler() http.Handler { return s.handler }

// Addr returns the address that Run listens on; nil before it does.
func (s *Server) Addr() net.Addr {
	if a := s.addr.Load(); a != nil {
		return *a
	}
	return nil
}

// Run listens and serves until ctx ends; then it waits for the requests under way, at most Config.ShutdownTimeout, and
// returns nil. An error means that it could not listen or go on accepting.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.cfg.Listen, err)
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && (s.cert == nil || !s.cfg.locked()) {
		// Validate trusts the name localhost; the resolver of this machine has the last word.
		_ = ln.Close()
		return fmt.Errorf("listen on %s: it is %s, which other machines can reach: that takes TLS and a token",
			s.cfg.Listen, tcp)
	}
	return s.serve(ctx, ln)
}

// serve owns ln.
func (s *Server) serve(ctx context.Context, ln net.Listener) error {
	addr := ln.Addr()
	ln = newGate(ln, s.cfg.MaxConnections, s.cfg.MaxConnectionsPerAddress, s.nets, func(a net.Addr) bool { return s.live.Load().proxies.trustsPeer(a) }, func(reason string) { s.metrics.cut.WithLabelValues(reason).Inc() })
	ln = s.unwrapped(ln)
	srv := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    4 * maxHeaderBytes,
		ConnState:         track,
		ConnContext:       withGated,
		// What net/http has to say is about single clients: broken handshakes and the like.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Requests under way outlive ctx for the time of the shutdown.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan error, 1) // one result, never blocks
	go func() {                 // unguarded: net/http recovers from panics of handlers
		if s.cert != nil {
			srv.TLSConfig = s.cert.config()
			done <- srv.ServeTLS(ln, "", "")
			return
		}
		done <- srv.Serve(ln)
	}()
	swept := make(chan struct{})
	go func() { // unguarded: watch guards each round
		defer close(swept)
		s.watch(ctx)
	}()
	defer func() {
		<-swept
		s.noteEvents()
		s.sumUp(time.Now(), true)
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
