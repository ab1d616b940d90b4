package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/fleet/overview"
	"wavryhost/session/fleet/pool"

	"golang.org/x/sync/errgroup"
)

// fleetServeCmd is "wavry-host fleet serve": the page of a fleet.
type fleetServeCmd struct {
	Fleet  fleetFlags `embed:""`
	Listen string     `default:"127.0.0.1:8479" placeholder:"HOST:PORT" help:"Local address. Default: ${default}."`
	Host   []string   `placeholder:"NAME" help:"Name by which a reverse proxy asks for the page. May be repeated."`
}

// Run is called by kong. It ends with ctx.
func (c *fleetServeCmd) Run(ctx context.Context, a *app) error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil || !config.Loopback(host) {
		return &coded{exitUsage, fmt.Errorf("--listen: %q is not host:port of this machine. The page asks nobody who they "+
			"are: put a reverse proxy with a login before it", c.Listen)}
	}
	nc, err := c.Fleet.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	view := pool.NewView(nc, pool.Options{})
	page, err := overview.New(view, nc.IsConnected, c.Host)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	server := &http.Server{Handler: page, ReadHeaderTimeout: pageTimeout, WriteTimeout: pageTimeout}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return view.Run(inner) })
	group.Go(func() error {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-inner.Done()
		return server.Close()
	})
	if _, err := fmt.Fprintf(a.stdout, "http://%s/\n", ln.Addr()); err != nil {
		return err
	}
	return group.Wait()
}

// pageTimeout bounds a request to the page.
const pageTimeout = 30 * time.Second
