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
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"wavryhost/platform/child"
	"wavryhost/session/api"
	"wavryhost/session/api/handover"
	"wavryhost/session/peer"
)

// The daemon can leave the host to the program that an update has installed, without an end of its sessions: package
// handover shows the steps. This file has the side of the former daemon, and takeover.go that of the new one.

// varFormer is the environment variable with the private folder of the former daemon. It has two Unix sockets.
const (
	varFormer     = "WAVRY_FORMER_DAEMON"
	formerSocket  = "former.sock"  // of package handover
	socketsSocket = "sockets.sock" // passes the sockets on
)

const (
	// handoverTime bounds the time until the new daemon works: it tries encoders and displays, as at any start.
	handoverTime = time.Minute
	// hungTime is how long a new daemon that reads the media sockets may be silent.
	hungTime = 5 * time.Second
	// linksTime bounds the end of the links that only one daemon can have.
	linksTime = 5 * time.Second
	// lastLook is the interval at which a daemon that was replaced looks whether it still has sessions.
	lastLook = 250 * time.Millisecond
)

// predecessor is the side of the daemon that is replaced.
type predecessor struct {
	host   *host
	listen string // the setting
	// managed: systemd can follow another process.
	managed bool
	// onePort: all media use the same port, so both daemons do.
	onePort bool
	args    []string
	env     []string
	log     *slog.Logger
	// asked has room for one request: when the remaining sessions end, or 0.
	asked chan time.Duration
	// links are the parts that only one daemon of a host can have. unlink ends them, and the API.
	links  sync.WaitGroup
	unlink context.CancelFunc

	mu   sync.Mutex // guards the following fields
	last *api.Handover
	over bool // the new daemon has taken over
}

// newPredecessor returns the side of h.
func newPredecessor(l *loaded, h *host, a *app) *predecessor {
	ports := l.Media.UDP.Range
	return &predecessor{
		host: h, listen: l.API.Listen, args: withCommand(a.args), env: a.env, log: h.log, asked: make(chan time.Duration, 1),
		managed: a.variable("NOTIFY_SOCKET") != "",
		onePort: l.Media.UDP.Port != 0 || l.Media.TCP.Port != 0 || ports.Min != 0 && ports.Min == ports.Max,
	}
}

// impossible returns why no other daemon can take over from this one now; empty if one can.
func (s *predecessor) impossible() string {
	former := s.host.takeover.former
	switch {
	case !s.managed:
		return "the daemon is no service of systemd, which could follow the new process"
	case s.onePort && former != nil && former.Sessions() >= 0: // packets would pass two daemons
		return "the daemon before this one still has sessions on the same media port"
	}
	return ""
}

// ask requests that another daemon take over, and returns at once.
func (s *predecessor) ask(within time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.last != nil && s.last.State == api.HandoverRunning {
		return
	}
	if why := s.impossible(); why != "" {
		s.last = &api.Handover{State: api.HandoverImpossible, Problem: why}
		return
	}
	s.last = &api.Handover{State: api.HandoverRunning}
	s.asked <- within // there is room: no handover is running or waiting
}

// status returns the last attempt; nil before the first one.
func (s *predecessor) status() *api.Handover {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	last := *s.last
	return &last
}

// changing reports whether another daemon takes over, or has done so.
func (s *predecessor) changing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over || s.last != nil && s.last.State == api.HandoverRunning
}

// replaced reports whether another daemon has taken over.
func (s *predecessor) replaced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// run makes the attempts until ctx ends. After a success it returns when no session is left.
func (s *predecessor) run(ctx context.Context) error {
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
func (s *predecessor) fail(err error) {
	s.log.Error("no other daemon has taken over: this one continues", "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = &api.Handover{State: api.HandoverFailed, Problem: oneLine(err.Error())}
}

// attempt makes one attempt. It returns nil when the new daemon has taken over and this one has no session any more.
func (s *predecessor) attempt(ctx context.Context, within time.Duration) (err error) {
	visible := s.visible(ctx)
	dir, err := os.MkdirTemp("", "wavry-host-handover-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var loan peer.Loan
	if s.onePort {
		loan = s.host.manager.HostState().Lend()
	}
	if err := s.pass(ctx, dir, loan); err != nil {
		return err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", filepath.Join(dir, formerSocket))
	if err != nil {
		return err
	}
	var (
		process *child.Process
		started = make(chan struct{}) // closed when process is valid
		done    = make(chan struct{}) // closed when the new daemon has taken over
		once    sync.Once
		asked   atomic.Int64 // when the new daemon asked last, in nanoseconds; 0 before it reads media
	)
	srv := &http.Server{
		ReadHeaderTimeout: answerTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Handler: handover.Handler(handover.Steps{
			Status: func() handover.Status {
				if asked.Load() != 0 {
					asked.Store(time.Now().UnixNano())
				}
				return handover.Status{
					Listen: s.listen, Sessions: s.sessions(), Visible: visible, Media: len(loan.Sockets), TCP: loan.Listener != nil,
				}
			},
			Media: func() error {
				asked.Store(time.Now().UnixNano())
				return loan.Divert(dir)
			},
			Serving: func() handover.Estate {
				s.host.api.Succession().Pause(true)
				return s.host.api.Succession().Bequeath()
			},
			Ready: func(ctx context.Context) {
				<-started
				once.Do(func() {
					s.leave(ctx, process.ID(), within, loan)
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
	defer func() {
		// The last session may have ended by a request that waits for its answer.
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		defer cancel()
		if srv.Shutdown(limit) != nil {
			_ = srv.Close() // it hangs
		}
		err = errors.Join(err, group.Wait())
	}()

	s.host.exit.end(nil) // for the new daemon
	defer func() {
		if err != nil && !s.replaced() {
			loan.Return()
			s.host.exit.begin()
			s.host.api.Succession().Pause(false)
		}
	}()
	process, err = child.Detach(child.Command{
		Program: s.host.trier.program.path, Args: s.args, Env: append(s.env, varFormer+"="+dir),
	}, os.Stderr)
	if err != nil {
		return fmt.Errorf("start the installed program: %w", err)
	}
	close(started)
	s.log.Info("another daemon starts", "pid", process.ID(), "program", s.host.trier.program.path)
	if err := s.await(ctx, process, done, &asked); err != nil {
		process.Stop()
		return err
	}
	s.empty(ctx)
	return nil
}

// await waits until the new daemon has taken over. asked is when it asked last, or 0.
func (s *predecessor) await(ctx context.Context, p *child.Process, done <-chan struct{}, asked *atomic.Int64) error {
	began := time.Now()
	look := time.NewTicker(followEvery)
	defer look.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-p.Done:
			return fmt.Errorf("it ended before it had taken over: %w; the log has its last words",
				cmp.Or(p.Err(), errors.New("exit status 0")))
		case now := <-look.C:
			at := asked.Load()
			switch {
			case s.replaced(): // this daemon is leaving, which takes a moment
			case now.Sub(began) > handoverTime:
				return fmt.Errorf("it had not taken over within %v", handoverTime)
			case at != 0 && now.Sub(time.Unix(0, at)) > hungTime:
				return fmt.Errorf("it hangs for %v, and reads the media of this daemon's sessions", hungTime)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pass passes the sockets on to the first process that asks in a folder.
func (s *predecessor) pass(ctx context.Context, dir string, loan peer.Loan) error {
	api := s.host.api.Succession().Socket()
	if api == nil {
		return errors.New("the API does not listen")
	}
	sockets := []syscall.Conn{api}
	for _, one := range loan.Sockets {
		sockets = append(sockets, one)
	}
	if loan.Listener != nil {
		sockets = append(sockets, loan.Listener)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketsSocket), Net: "unix"})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	if err := ln.SetDeadline(time.Now().Add(handoverTime)); err != nil {
		return err
	}
	go func() { // unguarded: it passes descriptors
		defer stop()
		c, err := ln.AcceptUnix()
		_ = ln.Close()
		if err != nil {
			return // the new daemon has not come
		}
		if err := sendSockets(c, sockets); err != nil {
			s.log.Warn("sockets not passed on", "err", err)
		}
		_ = c.Close()
	}()
	return nil
}

// visible reports whether a viewer of this daemon sees the display, as far as it can tell.
func (s *predecessor) visible(ctx context.Context) bool {
	p := s.host.probe.watch(ctx)
	return p != nil && p.State == api.ProbePassed
}

// leave leaves everything to the new daemon that only one can have.
func (s *predecessor) leave(ctx context.Context, pid int, within time.Duration, loan peer.Loan) {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.unlink()
	s.host.api.Succession().Retire()
	if err := loan.Retire(); err != nil {
		s.log.Warn("listener for media not closed", "err", err)
	}
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
func (s *predecessor) sessions() int { return len(s.host.manager.Sessions()) }

// empty waits until this daemon has no session, or ctx ends.
func (s *predecessor) empty(ctx context.Context) {
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
