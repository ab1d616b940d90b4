package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"wavryhost/session/api/edge"
)

// Run listens and serves until ctx ends. Then it waits for the requests in progress, at most Config.ShutdownTimeout,
// and returns nil. An error means that it could not listen, or not accept any more.
func (s *Server) Run(ctx context.Context) error {
	ln := s.cfg.Listener
	if ln == nil {
		var (
			lc  net.ListenConfig
			err error
		)
		if ln, err = lc.Listen(ctx, "tcp", s.cfg.Listen); err != nil {
			return fmt.Errorf("listen on %s: %w", s.cfg.Listen, err)
		}
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
	if tcp, ok := ln.(*net.TCPListener); ok {
		v := newValve(tcp)
		s.succession.valve.Store(v)
		ln = v
	}
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
	case <-s.succession.retired:
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
	<-ctx.Done() // a retired server still watches over its sessions
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
