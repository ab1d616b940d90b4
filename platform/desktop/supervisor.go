package desktop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"wavryhost/platform/child"
	"wavryhost/platform/display"
	"wavryhost/platform/guard"
)

const (
	// idleTime is the time for which a supervisor, or a new display, waits for a daemon.
	idleTime = 10 * time.Second
	// maxClients bounds the connections: two daemons with 64 displays each, and tools.
	maxClients = 160
)

// screen is a virtual display.
type screen interface {
	Address() string
	Authority() string
	Cookie() []byte
	Size() (width, height int)
	Missing() []string
	Run(ctx context.Context) error
	Close() error
}

// Supervisor runs virtual displays for daemons that come and go.
type Supervisor struct {
	log   *slog.Logger
	guard *guard.Guard
	start func(ctx context.Context, cfg display.VirtualConfig, log *slog.Logger) (screen, error)
	// release releases what is pressed on a display.
	release func(ctx context.Context, address, authority string) (int, error)
	// sweep ends the programs that the programs of a display have left in the background.
	sweep func(authority string) int

	displays sync.WaitGroup // added to under mu

	mu      sync.Mutex
	end     context.CancelFunc
	running map[string]*instance // by ID; it has displays that start or end, too
	clients int                  // connections
	leaving []net.Conn           // clients that wait for the end
}

// NewSupervisor returns a supervisor without displays.
func NewSupervisor(log *slog.Logger) *Supervisor {
	s := &Supervisor{
		log: log, guard: guard.New(log, nil, nil), release: releaseKeys, running: make(map[string]*instance),
		sweep: func(authority string) int { return child.EndWith("XAUTHORITY=" + authority) },
	}
	s.start = func(ctx context.Context, cfg display.VirtualConfig, log *slog.Logger) (screen, error) {
		v, err := display.StartVirtual(ctx, cfg, log)
		if err != nil {
			return nil, err
		}
		return v, nil
	}
	return s
}

// Run serves clients until ctx ends, a client requests the end of all displays, or there has been neither a display nor
// a client: at first for 10 s. It closes ln.
func (s *Supervisor) Run(ctx context.Context, ln net.Listener) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	s.mu.Lock()
	s.end = end
	s.mu.Unlock()
	limit := time.AfterFunc(idleTime, s.settle) // unguarded: settle only compares
	defer limit.Stop()
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
	s.displays.Wait()
	for _, c := range s.leaving {
		_ = c.Close()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("desktop: accept: %w", err)
}

// settle ends a supervisor that has neither a display nor a client.
func (s *Supervisor) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients == 0 && len(s.running) == 0 {
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
			"end its displays (wavry-host desktop end) to have a new one", r.Version, protocol)
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
	switch {
	case r.Op == opAttach, r.Op == opFind:
		s.attach(ctx, c, r)
	case r.Op == opEnd && r.Display == "":
		s.mu.Lock()
		s.leaving = append(s.leaving, c)
		_ = send(c, s.describe(r))
		s.log.Info("end of all virtual displays requested")
		s.mu.Unlock()
		s.end()
		return
	case r.Op == opEnd:
		s.endOne(c, r)
	default:
		s.mu.Lock()
		a := s.describe(r)
		s.mu.Unlock()
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

func (s *Supervisor) leave() {
	s.mu.Lock()
	s.clients--
	s.mu.Unlock()
	s.settle()
}

// attach gives a daemon a display, until the daemon closes its connection or the display ends.
func (s *Supervisor) attach(ctx context.Context, c net.Conn, r request) {
	i, a := s.use(ctx, r)
	if i == nil && ctx.Err() != nil {
		return // without an answer: the client asks the next supervisor
	}
	err := send(c, a)
	if i == nil {
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(i.life, //nolint:contextcheck // the display ends with the supervisor, or before
		func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	for err == nil { // until its end
		var more request
		if err = receive(c, &more); err == nil && more.Op == opKeep {
			s.mu.Lock()
			i.keep = more.Keep
			s.mu.Unlock()
		}
	}
	s.detach(ctx, i)
}

// endOne ends the display that a client names, and returns when nothing of it is left.
func (s *Supervisor) endOne(c net.Conn, r request) {
	s.mu.Lock()
	i := s.running[r.id()]
	a := s.describe(r)
	if i != nil {
		i.end()
	}
	s.mu.Unlock()
	_ = send(c, a)
	if i != nil {
		s.log.Info("end of a virtual display requested", "id", i.id)
		<-i.ended
	}
}

// describe answers a request about the displays. Without an ID it describes the usual display, or another one if that
// does not run. The caller holds mu.
func (s *Supervisor) describe(r request) (a answer) {
	var all []Status
	for _, i := range s.running {
		if i.screen != nil {
			all = append(all, i.status())
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.ID, b.ID) }) // the usual one comes first
	if r.List {
		a.List = all
	}
	for _, one := range all {
		if r.Display == "" || r.Display == one.ID {
			a.Running, a.Status = true, one
			break
		}
	}
	return a
}

// status describes a display. The caller holds the supervisor's mu.
func (i *instance) status() Status {
	st := Status{
		ID: i.id, Display: i.screen.Address(), Authority: i.screen.Authority(), Supervisor: os.Getpid(), Started: i.begun,
		Daemons: i.daemons, Missing: i.screen.Missing(),
	}
	st.Width, st.Height = i.screen.Size()
	return st
}
