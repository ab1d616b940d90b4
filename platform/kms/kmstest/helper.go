//go:build linux

package kmstest

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"wavryhost/platform/kms"
)

// Helper is a running helper of fake cards.
type Helper struct {
	Socket string
	stop   func()
}

// Serve runs a helper of cards until the test ends. The function allow is the helper's; nil allows all.
func Serve(tb testing.TB, allow func(net.Conn) error, cards ...*Card) *Helper {
	tb.Helper()
	if allow == nil {
		allow = func(net.Conn) error { return nil }
	}
	h := &Helper{}
	h.Socket = Listen(tb, func(ctx context.Context, ln net.Listener) {
		helper := kms.NewHelper(kms.HelperConfig{Allow: allow, Nodes: func() (all []kms.Node) {
			for _, c := range cards {
				all = append(all, c.Node())
			}
			return all
		}}, slog.New(slog.NewTextHandler(tb.Output(), nil)))
		if err := helper.Run(ctx, ln); err != nil {
			tb.Error(err)
		}
	}, func(stop func()) { h.stop = stop })
	return h
}

// Stop ends the helper, and returns when it has ended.
func (h *Helper) Stop() { h.stop() }

// Listen runs a server on a new socket until the test ends. It returns the path.
func Listen(tb testing.TB, serve func(context.Context, net.Listener), stopper func(stop func())) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "kms")
	var lc net.ListenConfig
	ln, err := lc.Listen(tb.Context(), "unixpacket", path)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { serve(ctx, ln) })
	stop := func() {
		cancel()
		_ = ln.Close()
		running.Wait()
	}
	tb.Cleanup(stop)
	if stopper != nil {
		stopper(stop)
	}
	return path
}
