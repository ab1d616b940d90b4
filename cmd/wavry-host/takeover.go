package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"wavryhost/session/api"
	"wavryhost/session/api/handover"
	"wavryhost/session/peer"
)

// followEvery is the interval at which a daemon looks how many sessions the former one still has.
const followEvery = time.Second

// takeover is the side of the daemon that takes over from another one. Without a former one it has nothing to do.
type takeover struct {
	former   *handover.Former // nil for none
	status   handover.Status
	listener net.Listener // the former daemon's; nil for one of its own
	heritage *peer.Heritage
	gone     chan struct{} // closed when the former daemon is gone
	log      *slog.Logger
	// alone is closed when this daemon may have what only one can have.
	alone chan struct{}
}

// newTakeover returns the side of the daemon that the environment describes. listen is the setting of the API's
// address.
func newTakeover(ctx context.Context, a *app, listen string, log *slog.Logger) (*takeover, error) {
	t := &takeover{log: log, alone: make(chan struct{}), gone: make(chan struct{})}
	dir := a.variable(varFormer)
	if dir == "" {
		return t, nil
	}
	// Children of this daemon must not take over, and systemd has named the former process for the watchdog.
	err := errors.Join(os.Unsetenv(varFormer), os.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid())))
	if err != nil {
		return nil, err
	}
	a.env = os.Environ()
	t.former = handover.Dial(filepath.Join(dir, formerSocket))
	if t.status, err = t.former.Status(ctx); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	if err := t.receive(ctx, dir, listen); err != nil {
		return nil, fmt.Errorf("take over the sockets: %w", err)
	}
	go func() { // unguarded: it asks the former daemon
		defer close(t.gone)
		t.former.Follow(ctx, followEvery)
	}()
	return t, nil
}

// receive takes the sockets of the former daemon: that of the API, those for media, and the listener for media.
func (t *takeover) receive(ctx context.Context, dir, listen string) (err error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(dir, socketsSocket), Net: "unix"})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	files, err := receiveSockets(c)
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close()) // what was made of it has a copy
		}
	}()
	want := 1 + t.status.Media
	if t.status.TCP {
		want++
	}
	if len(files) != want {
		return fmt.Errorf("it passes %d sockets; want %d", len(files), want)
	}
	if t.status.Listen == listen { // else the configuration has changed
		if t.listener, err = net.FileListener(files[0]); err != nil {
			return err
		}
	}
	h := &peer.Heritage{
		Dir: dir, Alone: t.alone, Over: func() bool { return t.former.Sessions() < 0 },
		Begin: func() {
			if err := t.former.Media(ctx); err != nil {
				t.log.Error("the former daemon gets no packets any more", "err", err)
			}
		},
	}
	for _, f := range files[1 : 1+t.status.Media] {
		udp, err := net.FilePacketConn(f)
		if err != nil {
			return err
		}
		h.Sockets = append(h.Sockets, udp)
	}
	if t.status.TCP {
		if h.Listener, err = net.FileListener(files[len(files)-1]); err != nil {
			return err
		}
	}
	t.heritage = h
	return nil
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
