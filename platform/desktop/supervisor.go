package desktop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"wavryhost/platform/display"
	"wavryhost/session/guard"
)

const (
	// idleTime is the time for which a supervisor without a display waits for a client.
	idleTime = 10 * time.Second
	// maxClients bounds the connections.
	maxClients = 32
)

// screen is a virtual display.
type screen interface {
	Address() string
	Authority() string
	Cookie() []byte
	Size() (width, height int)
	Run(ctx context.Context) error
	Close() error
}

// Supervisor runs a virtual display for daemons that come and go.
type Supervisor struct {
	log   *slog.Logger
	guard *guard.Guard
	start func(ctx context.Context, width, height int) (screen, error)
	// release releases what is pressed on a display.
	release func(ctx context.Context, address, authority string) (int, error)

	mu      sync.Mutex
	end     context.CancelFunc
	screen  screen // nil until a daemon attaches
	begun   time.Time
	ended   chan struct{} // closed when the screen's Run has returned
	clients int           // connections
	daemons int           // clients that use the screen
	keep    time.Duration
	limit   *time.Timer // ends a supervisor without daemons
	leaving []net.Conn  // clients that wait for the end
}

// NewSupervisor returns a supervisor without a display.
func NewSupervisor(log *slog.Logger) *Supervisor {
	s := &Supervisor{log: log, guard: guard.New(log, nil, nil), release: releaseKeys, keep: Forever}
	s.start = func(ctx context.Context, width, height int) (screen, error) {
		v, err := display.StartVirtual(ctx, display.VirtualConfig{Width: width, Height: height}, log)
		if err != nil {
			return nil, err
		}
		return v, nil
	}
	return s
}

// Run serves clients until the display has its end: ctx ends, a client requests it, no daemon has attached for the
// time that the last daemon set, or no display was requested for 10 s. It closes ln.
func (s *Supervisor) Run(ctx context.Context, ln net.Listener) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	s.mu.Lock()
	s.end = end
	s.limit = time.AfterFunc(idleTime, s.idle) // unguarded: idle only compares
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var wg sync.WaitGroup
	var err error
	for {
		var c net.Conn
		if c, err = ln.Accept(); err != nil {
			break
		}
		wg.Go(func() {
			if p := s.guard.Run("desktop", func() { s.serve(ctx, c) }); p != nil {
				end()
			}
		})
	}
	end()
	wg.Wait()
	s.close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("desktop: accept: %w", err)
}

// close ends the display, and then the connections of the clients that requested it.
func (s *Supervisor) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit.Stop()
	if s.screen != nil {
		<-s.ended
		_ = s.screen.Close() // it logs what remains
		s.log.Info("virtual display ended", "display", s.screen.Address())
		s.screen = nil
	}
	for _, c := range s.leaving {
		_ = c.Close()
	}
}

// idle ends the supervisor unless a daemon is attached.
func (s *Supervisor) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.daemons == 0 {
		s.log.Info("no daemon uses the virtual display", "kept", s.keep)
		s.end()
	}
}

// serve answers a client.
func (s *Supervisor) serve(ctx context.Context, c net.Conn) {
	var r request
	err := within(c, talkTime)
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	if err == nil {
		err = receive(c, &r)
	}
	if err == nil && r.Version > protocol {
		err = fmt.Errorf("desktop: version %d of the protocol is unknown to this supervisor, which has version %d: "+
			"end its display (wavry-host desktop end) to have a new one", r.Version, protocol)
	}
	if !s.enter() {
		err = fmt.Errorf("desktop: more than %d clients", maxClients)
	}
	defer s.leave()
	if err != nil {
		_ = send(c, answer{Error: err.Error()})
		_ = c.Close()
		return
	}
	switch r.Op {
	case opAttach, opFind:
		s.attach(ctx, c, r)
	case opEnd:
		s.mu.Lock()
		s.leaving = append(s.leaving, c)
		_ = send(c, s.describe())
		s.log.Info("end of the virtual display requested")
		s.mu.Unlock()
		s.end()
		return
	default:
		s.mu.Lock()
		a := s.describe()
		s.mu.Unlock()
		a.Cookie = nil
		_ = send(c, a)
	}
	_ = c.Close()
}

func (s *Supervisor) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients++
	return s.clients <= maxClients
}

// leave ends a supervisor that has no display and no client.
func (s *Supervisor) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients--
	if s.clients == 0 && s.screen == nil {
		s.end()
	}
}

// attach gives a daemon the display, until the daemon closes its connection or ctx ends.
func (s *Supervisor) attach(ctx context.Context, c net.Conn, r request) {
	a, ok := s.use(ctx, r)
	if err := send(c, a); err == nil && ok {
		_ = c.SetReadDeadline(time.Time{})
		if ctx.Err() != nil {
			_ = c.SetReadDeadline(time.Now())
		}
		for err == nil { // until its end
			var more request
			if err = receive(c, &more); err == nil && more.Op == opKeep {
				s.mu.Lock()
				s.keep = more.Keep
				s.mu.Unlock()
			}
		}
	}
	if ok {
		s.detach(ctx)
	}
}

// use counts a daemon that uses the display. It starts the display if the daemon requests that.
func (s *Supervisor) use(ctx context.Context, r request) (answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.screen == nil && r.Op == opAttach {
		v, err := s.start(ctx, r.Width, r.Height)
		if err != nil {
			return answer{Error: err.Error()}, false
		}
		s.screen, s.begun, s.ended = v, time.Now(), make(chan struct{})
		go func() {
			defer close(s.ended)
			if p := s.guard.Run("desktop", func() { _ = v.Run(ctx) }); p != nil {
				s.end()
			}
		}()
	}
	if s.screen == nil {
		return s.describe(), false
	}
	s.daemons++
	s.keep = r.Keep
	s.limit.Stop()
	return s.describe(), true
}

// detach counts a daemon that is gone. What the last one held is released.
func (s *Supervisor) detach(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.daemons--; s.daemons > 0 || ctx.Err() != nil {
		return
	}
	n, err := s.release(ctx, s.screen.Address(), s.screen.Authority())
	if n > 0 || err != nil {
		s.log.Warn("daemon is gone; what it held is released", "display", s.screen.Address(), "held", n, "err", err)
	}
	switch {
	case s.keep == 0:
		s.end()
	case s.keep > 0:
		s.limit.Reset(s.keep)
	}
}

// describe describes the display. The caller holds mu.
func (s *Supervisor) describe() answer {
	if s.screen == nil {
		return answer{}
	}
	a := answer{Running: true, Cookie: s.screen.Cookie(), Status: Status{
		Display: s.screen.Address(), Authority: s.screen.Authority(), Supervisor: os.Getpid(), Started: s.begun,
		Daemons: s.daemons,
	}}
	a.Width, a.Height = s.screen.Size()
	return a
}
