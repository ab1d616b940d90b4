package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"wavryhost/platform/child"
	"wavryhost/session/api"
	"wavryhost/session/api/handover"
)

// The daemon can leave the host to the program that an update has installed, without an end of its sessions: package
// handover shows the steps. This file has the side of the former daemon, and takeover.go that of the new one.

// varFormer is the environment variable with the socket of the former daemon. Its listener is descriptor 3.
const varFormer = "WAVRY_FORMER_DAEMON"

const (
	// handoverTime bounds the time until the new daemon works: it tries encoders and displays, as at any start.
	handoverTime = time.Minute
	// linksTime bounds the end of the links that only one daemon can have.
	linksTime = 5 * time.Second
	// lastLook is the interval at which a daemon that was replaced looks whether it still has sessions.
	lastLook = 250 * time.Millisecond
)

// successor is the side of the daemon that is replaced.
type successor struct {
	host   *host
	listen string // the setting
	why    string // why no other daemon can take over here; empty if one can
	args   []string
	env    []string
	log    *slog.Logger
	// asked has room for one request: when the remaining sessions end, or 0.
	asked chan time.Duration
	// links are the parts that only one daemon of a host can have. unlink ends them, and the API.
	links  sync.WaitGroup
	unlink context.CancelFunc

	mu   sync.Mutex // guards the following fields
	last *api.Handover
	over bool // the new daemon has taken over
}

// newSuccessor returns the side of h. The function of its context ends the links.
func newSuccessor(l *loaded, h *host, a *app) *successor {
	s := &successor{
		host: h, listen: l.API.Listen, args: withCommand(a.args), env: a.env, log: h.log, asked: make(chan time.Duration, 1),
	}
	switch {
	case a.variable("NOTIFY_SOCKET") == "":
		s.why = "the daemon is no service of systemd, which could follow the new process"
	case l.Media.UDP.Port != 0:
		s.why = "all media use one UDP port (media.udp.port), which two daemons cannot share"
	case l.Media.TCP.Port != 0:
		s.why = "media can use one TCP port (media.tcp.port), which two daemons cannot share"
	}
	return s
}

// ask requests that another daemon take over, and returns at once.
func (s *successor) ask(within time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over || s.last != nil && s.last.State == api.HandoverRunning:
	case s.why != "":
		s.last = &api.Handover{State: api.HandoverImpossible, Problem: s.why}
	default:
		s.last = &api.Handover{State: api.HandoverRunning}
		s.asked <- within // there is room: no handover is running or waiting
	}
}

// status returns the last attempt; nil before the first one.
func (s *successor) status() *api.Handover {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	last := *s.last
	return &last
}

// changing reports whether another daemon takes over, or has done so.
func (s *successor) changing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over || s.last != nil && s.last.State == api.HandoverRunning
}

// replaced reports whether another daemon has taken over.
func (s *successor) replaced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// run makes the attempts until ctx ends. After a success it returns when no session is left.
func (s *successor) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case within := <-s.asked:
			err := s.attempt(ctx, within)
			if s.replaced() {
				return err
			}
			if ctx.Err() == nil {
				s.fail(err)
			}
		}
	}
}

// fail notes that an attempt has failed.
func (s *successor) fail(err error) {
	s.log.Error("no other daemon has taken over: this one continues", "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = &api.Handover{State: api.HandoverFailed, Problem: oneLine(err.Error())}
}

// attempt makes one attempt. It returns nil when the new daemon has taken over and this one has no session any more.
func (s *successor) attempt(ctx context.Context, within time.Duration) (err error) {
	visible := s.visible(ctx)
	dir, err := os.MkdirTemp("", "wavry-host-handover-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var lc net.ListenConfig
	path := filepath.Join(dir, "former.sock")
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return err
	}
	var (
		process *child.Process
		started = make(chan struct{}) // closed when process is valid
		done    = make(chan struct{}) // closed when the new daemon has taken over
		once    sync.Once
	)
	srv := &http.Server{
		ReadHeaderTimeout: answerTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Handler: handover.Handler(handover.Steps{
			Status: func() handover.Status {
				return handover.Status{Listen: s.listen, Sessions: s.sessions(), Visible: visible}
			},
			Serving: func() handover.Estate {
				s.host.api.Succession().Pause(true)
				return s.host.api.Succession().Bequeath()
			},
			Ready: func(ctx context.Context) {
				<-started
				once.Do(func() {
					s.leave(ctx, process.ID(), within)
					close(done)
				})
			},
		}, s.host.api.Handler()),
	}
	var group errgroup.Group
	group.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	defer func() { err = errors.Join(err, srv.Close(), group.Wait()) }()

	s.host.exit.end(nil) // for the new daemon
	defer func() {
		if err != nil && !s.replaced() {
			s.host.exit.begin()
			s.host.api.Succession().Pause(false)
		}
	}()
	if process, err = s.start(path); err != nil {
		return fmt.Errorf("start the installed program: %w", err)
	}
	close(started)
	s.log.Info("another daemon starts", "pid", process.ID(), "program", s.host.trier.program.path)
	late := time.NewTimer(handoverTime)
	defer late.Stop()
	select {
	case <-done:
	case <-process.Done:
		return fmt.Errorf("it ended before it had taken over: %w; the log has its last words",
			cmp.Or(process.Err(), errors.New("exit status 0")))
	case <-late.C:
		process.Stop()
		return fmt.Errorf("it had not taken over within %v", handoverTime)
	case <-ctx.Done():
		process.Stop()
		return ctx.Err()
	}
	s.empty(ctx)
	return nil
}

// visible reports whether a viewer of this daemon sees the display, as far as it can tell.
func (s *successor) visible(ctx context.Context) bool {
	p := s.host.probe.watch(ctx)
	return p != nil && p.State == api.ProbePassed
}

// start starts the installed program, with the listener of the API.
func (s *successor) start(path string) (*child.Process, error) {
	socket := s.host.api.Succession().Socket()
	if socket == nil {
		return nil, errors.New("the API does not listen")
	}
	file, err := socket.File()
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	p, err := child.Detach(child.Command{
		Program: s.host.trier.program.path, Args: s.args, Env: append(s.env, varFormer+"="+path), Files: []*os.File{file},
	}, os.Stderr)
	// A file that is passed on blocks, and so do its copies.
	if raw, rawErr := socket.SyscallConn(); rawErr == nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetNonblock(int(fd), true) })
	}
	return p, err
}

// leave leaves everything to the new daemon that only one can have.
func (s *successor) leave(ctx context.Context, pid int, within time.Duration) {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.unlink()
	s.host.api.Succession().Retire()
	ended := make(chan struct{})
	go func() { // unguarded: it waits
		s.links.Wait()
		close(ended)
	}()
	limit := time.NewTimer(linksTime)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
		s.log.Warn("links of the host have not ended", "limit", linksTime)
	}
	s.host.manager.HostState().HandOver(within)
	s.host.flush(context.WithoutCancel(ctx))
	s.host.notify.LeaveTo(pid)
	s.log.Info("another daemon has taken over", "pid", pid, "sessions_left", s.sessions())
}

// sessions returns the number of sessions of this daemon.
func (s *successor) sessions() int { return len(s.host.manager.Sessions()) }

// empty waits until this daemon has no session, or ctx ends.
func (s *successor) empty(ctx context.Context) {
	tick := time.NewTicker(lastLook)
	defer tick.Stop()
	for s.sessions() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
