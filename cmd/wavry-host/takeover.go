package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"wavryhost/session/api"
	"wavryhost/session/api/handover"
)

// followEvery is the interval at which a daemon looks how many sessions the former one still has.
const followEvery = time.Second

// takeover is the side of the daemon that takes over from another one. Without a former one it has nothing to do.
type takeover struct {
	former   *handover.Former // nil for none
	status   handover.Status
	listener net.Listener // the former daemon's; nil for one of its own
	log      *slog.Logger
	// alone is closed when this daemon may have what only one can have.
	alone chan struct{}
}

// newTakeover returns the side of the daemon that the environment describes. listen is the setting of the API's
// address.
func newTakeover(ctx context.Context, a *app, listen string, log *slog.Logger) (*takeover, error) {
	t := &takeover{log: log, alone: make(chan struct{})}
	path := a.variable(varFormer)
	if path == "" {
		return t, nil
	}
	// No program that this daemon starts has a former daemon, and systemd named the process of that one.
	err := errors.Join(os.Unsetenv(varFormer), os.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid())))
	if err != nil {
		return nil, err
	}
	a.env = os.Environ()
	t.former = handover.Dial(path)
	if t.status, err = t.former.Status(ctx); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	file := os.NewFile(3, "listener of the former daemon")
	defer func() { _ = file.Close() }()
	if t.status.Listen != listen {
		return t, nil // the configuration has changed
	}
	if t.listener, err = net.FileListener(file); err != nil {
		return nil, fmt.Errorf("take over the API's socket: %w", err)
	}
	return t, nil
}

// pending reports whether the former daemon still has what only one can have.
func (t *takeover) pending() bool {
	select {
	case <-t.alone:
		return false
	default:
		return true
	}
}

// await waits until this daemon has taken over, and reports whether it has before ctx ended.
func (t *takeover) await(ctx context.Context) bool {
	select {
	case <-t.alone:
		return true
	case <-ctx.Done():
		return false
	}
}

// serving says that the API begins to listen. Before that, it gets what the former daemon leaves.
func (t *takeover) serving(ctx context.Context, inherit func(context.Context, handover.Estate) error) error {
	if t.former == nil {
		return nil
	}
	estate, err := t.former.Serving(ctx)
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	if err := inherit(ctx, estate); err != nil {
		t.log.Error("some reservations or tokens of viewers end with the former daemon", "err", err)
	}
	return nil
}

// finish takes over. It returns an error if viewers would not see with this daemon what they see with the former one.
func (t *takeover) finish(ctx context.Context, watch func(context.Context) *api.SelfProbe) error {
	if t.former == nil {
		close(t.alone)
		return nil
	}
	if t.status.Visible {
		p := watch(ctx)
		if p != nil && p.State == api.ProbeFailed { // one of two may fail
			p = watch(ctx)
		}
		if p != nil && p.State == api.ProbeFailed {
			return fmt.Errorf("no viewer of this daemon sees the display, and viewers of the former one do: %s", p.Problem)
		}
	}
	if err := t.former.Ready(ctx); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	t.log.Info("taken over from the former daemon", "sessions_left", t.status.Sessions)
	close(t.alone)
	return nil
}
