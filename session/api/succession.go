package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/handover"
	"wavryhost/session/api/problem"
)

// handingOver is the body of POST /v1/handover.
type handingOver struct {
	DeadlineSeconds float64 `json:"deadline_seconds,omitempty" minimum:"0" maximum:"86400" doc:"When the sessions end that have not moved to the new daemon, in seconds from now; 0 for never."`
}

func (c configuration) handOver(w http.ResponseWriter, r *http.Request) error {
	var in handingOver
	if err := c.read(w, r, &in, true); err != nil {
		return err
	}
	c.cfg.HandOver(time.Duration(in.DeadlineSeconds * float64(time.Second)))
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// Succession lets a server leave its host to another one, or take over from it.
type Succession struct {
	former   *handover.Former // nil without one
	changing func() bool
	mgr      manager
	auth     *auth.Authenticator
	valve    atomic.Pointer[valve] // of the socket that the server listens on
	retired  chan struct{}         // closed by Retire
}

// Succession returns the part of the server for taking over.
func (s *Server) Succession() *Succession { return s.succession }

// refuses returns an error for requests for a change of the host while it has no daemon that would keep the change.
func (s *Succession) refuses(rt route, r *http.Request) error {
	p := auth.PrincipalOf(r.Context())
	own := p.Credential == session.CredentialProbe || p.Vouched() // the host's probe, or the new daemon
	if !rt.ChangesHost() || own || !s.changing() {
		return nil
	}
	return problem.New(problem.Draining, "another daemon takes over this host just now: try again").RetryAfter(time.Second)
}

// concerns reports whether a request is about a session that only the former daemon can have.
func (s *Succession) concerns(rt route, r *http.Request) bool {
	if s.former == nil || s.former.Sessions() < 0 || !strings.Contains(rt.Path, "/sessions/{id}") {
		return false
	}
	_, err := s.mgr.Session(r.PathValue("id"))
	return err != nil
}

// forward passes a request on to the former daemon.
func (s *Succession) forward(w http.ResponseWriter, r *http.Request) error {
	if !s.former.Forward(w, r) {
		return session.ErrUnknownSession
	}
	return nil
}

// Pause makes the server stop accepting connections, or begin again. Meanwhile they wait in the kernel, or go to
// another process that listens on the same socket.
func (s *Succession) Pause(on bool) {
	if v := s.valve.Load(); v != nil {
		v.set(!on)
	}
}

// Socket returns the socket that the server listens on; nil before it does.
func (s *Succession) Socket() *net.TCPListener {
	if v := s.valve.Load(); v != nil {
		return v.TCPListener
	}
	return nil
}

// Retire makes the server stop listening, and ends the connections of clients. Its Run continues to end the sessions
// whose credentials are no longer valid. Retire is called once.
func (s *Succession) Retire() { close(s.retired) }

// Bequeath returns what this server leaves to the server that takes over.
func (s *Succession) Bequeath() handover.Estate {
	return handover.Estate{Tokens: s.auth.Bequeath(), Reservations: s.mgr.List()}
}

// Inherit takes over what a former server leaves. What does not fit is left out, and is in the error.
func (s *Succession) Inherit(ctx context.Context, e handover.Estate) error {
	return errors.Join(s.mgr.Inherit(ctx, e.Reservations), s.auth.Inherit(e.Tokens))
}

// valve is a listener that can stop accepting for a while.
type valve struct {
	*net.TCPListener

	mu   sync.Mutex // guards open
	open chan struct{}
}

func newValve(ln *net.TCPListener) *valve {
	v := &valve{TCPListener: ln, open: make(chan struct{})}
	close(v.open)
	return v
}

// set opens or closes the valve.
func (v *valve) set(open bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.open:
		if !open {
			v.open = make(chan struct{})
			_ = v.SetDeadline(time.Now()) // a closed listener accepts nothing either
		}
	default:
		if open {
			_ = v.SetDeadline(time.Time{})
			close(v.open)
		}
	}
}

func (v *valve) isOpen() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.open
}

// Accept waits while the valve is closed.
func (v *valve) Accept() (net.Conn, error) {
	for {
		<-v.isOpen()
		c, err := v.TCPListener.Accept()
		if err != nil {
			select {
			case <-v.isOpen():
			default:
				continue // the valve was closed meanwhile
			}
		}
		return c, err
	}
}

// Close closes the listener and opens the valve, so that Accept returns.
func (v *valve) Close() error {
	err := v.TCPListener.Close()
	v.set(true)
	return err
}
