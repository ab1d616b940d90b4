// Package screencast opens streams of a desktop's monitors over D-Bus, and sends input to the desktop. It uses mutter's
// own interface, which needs no consent, and xdg-desktop-portal, which asks the person at the screen once.
package screencast

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// The reasons why a desktop has no stream.
var (
	// ErrAbsent means that the bus, the service or the monitor is not there.
	ErrAbsent = errors.New("not there")
	// ErrUnsupported means that the desktop cannot do it at all.
	ErrUnsupported = errors.New("not supported by the desktop")
	// ErrDenied means that the desktop, or the person at it, refused.
	ErrDenied = errors.New("refused")
	// ErrSilent means that nobody answered in time.
	ErrSilent = errors.New("no answer in time")
	// ErrConsent means that the desktop asks the person at the screen, who has not answered yet.
	ErrConsent = errors.New("waits for consent at the screen")
)

const (
	daemonName  = "org.freedesktop.DBus"
	ownerSignal = daemonName + ".NameOwnerChanged"
)

// Session is an open session of a desktop's service.
type Session struct {
	conn    *dbus.Conn
	service string          // a well-known name
	path    dbus.ObjectPath // of the session
	closed  []string        // the signals that end it
	flags   dbus.Flags      // of calls
	signals chan *dbus.Signal
	pings   chan func()
	lost    chan struct{}
	moved   atomic.Bool // mutter has reported other monitors

	mu  sync.Mutex // guards the following fields
	err error

	once sync.Once
	done chan struct{} // closed when run has ended; nil before it runs
}

// connect connects to a service on a bus. interfaces are those whose signals are wanted.
func connect(ctx context.Context, address, service string, interfaces ...string) (*Session, error) {
	conn, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	s := &Session{
		conn: conn, service: service, signals: make(chan *dbus.Signal, 64), pings: make(chan func(), 16),
		lost: make(chan struct{}),
	}
	conn.Signal(s.signals)
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(daemonName), dbus.WithMatchMember("NameOwnerChanged"),
		dbus.WithMatchArg(0, service))
	for _, i := range interfaces {
		if err == nil {
			err = conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface(i))
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, explain("listen to "+service, err)
	}
	return s, nil
}

// dial connects to a bus.
func dial(ctx context.Context, address string) (*dbus.Conn, error) {
	if address == "" {
		return nil, fmt.Errorf("%w: there is no session bus", ErrAbsent)
	}
	conn, err := dbus.Dial(address)
	if err != nil {
		return nil, explain("connect to the session bus", err)
	}
	// Close unblocks the steps when ctx ends.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, explain("connect to the session bus", err)
	}
	return conn, nil
}

// explain gives an error a reason, if it has one of ours.
func explain(what string, err error) error {
	reason := error(nil)
	failure, isFailure := errors.AsType[dbus.Error](err)
	switch {
	case errors.Is(err, ErrAbsent), errors.Is(err, ErrUnsupported), errors.Is(err, ErrDenied),
		errors.Is(err, ErrSilent), errors.Is(err, ErrConsent):
	case errors.Is(err, context.DeadlineExceeded):
		reason = ErrSilent
	case errors.Is(err, fs.ErrPermission):
		reason = ErrDenied
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, dbus.ErrClosed):
		reason = ErrAbsent
	case isFailure:
		switch failure.Name {
		case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
			"org.freedesktop.DBus.Error.NoSuchObject", "org.freedesktop.DBus.Error.UnknownObject",
			"org.freedesktop.DBus.Error.UnknownMethod", "org.freedesktop.DBus.Error.UnknownInterface":
			reason = ErrAbsent
		case "org.freedesktop.DBus.Error.NoReply": // the service ended before it answered
			reason = ErrAbsent
		case "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.portal.Error.NotAllowed":
			reason = ErrDenied
		case "org.freedesktop.DBus.Error.Timeout":
			reason = ErrSilent
		}
	}
	if reason != nil {
		return fmt.Errorf("%s: %w: %w", what, reason, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// call calls a method of the service, and stores what it returns.
func (s *Session) call(ctx context.Context, path dbus.ObjectPath, method string, args, results []any) error {
	err := s.conn.Object(s.service, path).CallWithContext(ctx, method, s.flags, args...).Store(results...)
	if err != nil {
		return explain("call "+method, err)
	}
	return nil
}

// await waits for a signal, before run runs.
func (s *Session) await(ctx context.Context, wanted func(*dbus.Signal) bool) (*dbus.Signal, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case sig, ok := <-s.signals:
			if !ok {
				return nil, fmt.Errorf("%w: the session bus ended", ErrAbsent)
			}
			if err := s.ended(sig); err != nil {
				return nil, err
			}
			if wanted(sig) {
				return sig, nil
			}
		}
	}
}

// ended returns why a signal ends the session, or nil.
func (s *Session) ended(sig *dbus.Signal) error {
	if sig.Name == ownerSignal && len(sig.Body) == 3 && sig.Body[2] == "" {
		return fmt.Errorf("%s has ended", s.service)
	}
	for _, c := range s.closed {
		if sig.Name == c && sig.Path == s.path {
			return fmt.Errorf("%s ended the session", s.service)
		}
	}
	return nil
}

// start begins to watch the session.
func (s *Session) start() {
	s.done = make(chan struct{})
	go func() { // unguarded: it waits and closes channels
		defer close(s.done)
		s.end(s.run())
	}()
}

// run answers pings until the session ends, and returns why.
func (s *Session) run() error {
	replies := make(chan *dbus.Call, 4)
	var waiting []func()
	for {
		select {
		case <-s.conn.Context().Done():
			return errors.New("the connection to the session bus ended")
		case sig, ok := <-s.signals:
			if !ok {
				return errors.New("the session bus ended")
			}
			if err := s.ended(sig); err != nil {
				return err
			}
			if sig.Name == monitorsChanged {
				s.moved.Store(true)
			}
		case answered := <-s.pings:
			waiting = append(waiting, answered)
			s.conn.Object(s.service, s.path).Go("org.freedesktop.DBus.Peer.Ping", 0, replies)
		case <-replies: // an error is an answer too
			if len(waiting) > 0 {
				waiting[0]()
				waiting = waiting[1:]
			}
		}
	}
}

func (s *Session) end(err error) {
	s.once.Do(func() {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		close(s.lost)
	})
}

// Ping asks the service for an answer. answered is called by another goroutine.
func (s *Session) Ping(answered func()) {
	select {
	case s.pings <- answered:
	default: // one is on its way
	}
}

// Lost returns a channel that is closed when the session has ended.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Err says why the session has ended.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the session: services end the sessions of a connection with that.
func (s *Session) Close() {
	_ = s.conn.Close()
	if s.done != nil {
		<-s.done
	}
	s.end(errors.New("closed"))
}
