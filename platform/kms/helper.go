package kms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"wavryhost/platform/descriptors"
	"wavryhost/platform/guard"
	"wavryhost/platform/kms/drm"
)

// maxConns is the number of connections at a time. A daemon has one, and two for each display with viewers.
const maxConns = 64

// sendTime is the time in which a caller must take an answer.
const sendTime = time.Second

// HelperConfig configures a Helper.
type HelperConfig struct {
	// Nodes lists the cards. It defaults to the cards of the machine.
	Nodes func() []Node
	// Allow returns why the process at the other end may not see the screen, or nil.
	Allow func(net.Conn) error
}

// Helper shows what is on the screens. It must have CAP_SYS_ADMIN, and be allowed to open the nodes of the cards.
type Helper struct {
	cfg   HelperConfig
	log   *slog.Logger
	guard *guard.Guard
}

// NewHelper returns a Helper.
func NewHelper(cfg HelperConfig, log *slog.Logger) *Helper {
	if cfg.Nodes == nil {
		cfg.Nodes = Nodes
	}
	return &Helper{cfg, log, guard.New(log, nil, nil)}
}

// Run answers on a listener of the network unixpacket until ctx ends.
func (h *Helper) Run(ctx context.Context, ln net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	var conns sync.WaitGroup
	defer conns.Wait()
	places := make(chan struct{}, maxConns)
	for {
		c, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return nil
		case err != nil:
			return fmt.Errorf("kms: wait for the daemon: %w", err)
		}
		conn, ok := c.(*net.UnixConn)
		if !ok {
			_ = c.Close()
			return errors.New("kms: the socket is no Unix socket")
		}
		select {
		case places <- struct{}{}:
		default:
			h.log.Warn("connection refused", "connections", maxConns)
			_ = conn.Close()
			continue
		}
		conns.Go(func() {
			defer func() { <-places }()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			defer conn.Close()
			if err := h.guard.Run("connection", func() { h.serve(ctx, conn) }); err != nil {
				h.log.Error("connection ended", "err", err)
			}
		})
	}
}

// serve answers the requests of a connection, one after the other.
func (h *Helper) serve(ctx context.Context, c *net.UnixConn) {
	buf := make([]byte, maxRequest+1)
	if err := h.cfg.Allow(c); err != nil {
		h.log.Warn("connection refused", "err", err)
		// The end of a connection with a request that was not read would discard the answer.
		if c.SetReadDeadline(time.Now().Add(sendTime)) == nil {
			_, _ = c.Read(buf)
		}
		_ = respond(c, failed(fmt.Errorf("%w: %w", ErrDenied, err)), nil)
		return
	}
	v := newView(h.cfg.Nodes)
	defer v.close()
	for {
		n, err := c.Read(buf) // it drops descriptors
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, io.EOF) {
				h.log.Debug("connection lost", "err", err)
			}
			return
		}
		r, err := parseRequest(buf[:n])
		if err != nil {
			h.log.Warn("connection ended", "err", err)
			_ = respond(c, failed(err), nil)
			return
		}
		a, files := v.answer(ctx, r)
		err = respond(c, a, files)
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			h.log.Debug("connection lost", "err", err)
			return
		}
	}
}

// parseRequest reads a request.
func parseRequest(b []byte) (request, error) {
	if len(b) > maxRequest {
		return request{}, fmt.Errorf("%w: a request of more than %d bytes", ErrProtocol, maxRequest)
	}
	var r request
	if err := json.Unmarshal(b, &r); err != nil {
		return request{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return r, nil
}

// respond sends an answer with the files of buffers.
func respond(c *net.UnixConn, a answer, files []*drm.Framebuffer) error {
	b, err := json.Marshal(a)
	if err == nil && len(b) > maxAnswer {
		err = fmt.Errorf("an answer of %d bytes", len(b))
	}
	if err != nil {
		return err
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, f.Files...)
	}
	if err := c.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	return descriptors.Send(c, b, fds)
}
