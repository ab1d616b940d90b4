package desktop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/platform/display"
)

// pipeListener is a listener without sockets, for virtual time.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.done:
		return nil, ErrNone
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// numbered is a fake display with a number.
type numbered struct {
	fakeScreen

	number int
	cfg    display.VirtualConfig
}

func (n *numbered) Address() string { return fmt.Sprint(":", n.number) }

// stage is a supervisor in a bubble, with fake displays.
type stage struct {
	*Supervisor
	ln *pipeListener
	// hold delays the starts of displays until it is closed; nil for no delay.
	hold  chan struct{}
	ended chan error

	mu      sync.Mutex
	screens []*numbered
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{
		Supervisor: NewSupervisor(slog.New(slog.NewTextHandler(t.Output(), nil))), ln: newPipeListener(),
		ended: make(chan error, 1),
	}
	s.sweep = func(string) int { return 0 }
	s.release = func(context.Context, string, string) (int, error) { return 0, nil }
	s.start = func(ctx context.Context, cfg display.VirtualConfig, _ *slog.Logger) (screen, error) {
		if s.hold != nil && cfg.Width == 1 {
			select {
			case <-s.hold:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		n := &numbered{number: 90 + len(s.screens), cfg: cfg}
		n.authority = "/dev/null"
		s.screens = append(s.screens, n)
		return n, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { s.ended <- s.Run(ctx, s.ln) }()
	t.Cleanup(cancel)
	return s
}

func (s *stage) config(id string, keep time.Duration) Config {
	return Config{ID: id, Keep: keep, Width: 640, Height: 480, dial: s.ln.dial}
}

func (s *stage) onDemand(t *testing.T, id string, keep time.Duration) *OnDemand {
	t.Helper()
	o := NewOnDemand(s.config(id, keep), slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// ids lists the running displays as ID=address.
func (s *stage) ids(t *testing.T) (list []string) {
	t.Helper()
	all, err := ask(t.Context(), Config{dial: s.ln.dial})
	if err != nil && !errors.Is(err, ErrNone) {
		t.Fatal(err)
	}
	for _, one := range all {
		list = append(list, one.ID+"="+one.Display)
	}
	return list
}

func (s *stage) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := s.ids(t); !slices.Equal(got, want) {
		t.Errorf("displays %v run; want %v", got, want)
	}
}

func hold(t *testing.T, o *OnDemand, fresh bool) func() {
	t.Helper()
	release, err := o.Hold(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// Each display has its own server, and ends on its own after its own time.
func TestDisplaysEndOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		usual, err := Attach(t.Context(), s.config("", Forever), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer usual.Close()
		ann, ben := s.onDemand(t, "virtual:ann", time.Minute), s.onDemand(t, "virtual:ben", Forever)
		leaveAnn, again, leaveBen := hold(t, ann, false), hold(t, ann, false), hold(t, ben, false)
		s.want(t, "virtual=:90", "virtual:ann=:91", "virtual:ben=:92")
		if address, authority := ann.Address(); address != ":91" || authority != "/dev/null" || ann.Kept() {
			t.Errorf("address %q, authority %q, kept %v", address, authority, ann.Kept())
		}
		leaveAnn()
		leaveAnn() // does nothing
		time.Sleep(time.Hour)
		s.want(t, "virtual=:90", "virtual:ann=:91", "virtual:ben=:92")
		again()
		leaveBen()
		time.Sleep(59 * time.Second)
		s.want(t, "virtual=:90", "virtual:ann=:91", "virtual:ben=:92")
		if !ann.Kept() {
			t.Error("a display that was left a minute ago is not kept")
		}
		time.Sleep(2 * time.Second)
		s.want(t, "virtual=:90", "virtual:ben=:92")
		if address, _ := ann.Address(); address != "" || ann.Kept() || !ben.Kept() {
			t.Errorf("address %q of a display that has ended", address)
		}
		if s.screens[1].closed.Load() != true || s.screens[2].closed.Load() {
			t.Error("another display than that of ann is closed")
		}
		hold(t, ann, false)()
		s.want(t, "virtual=:90", "virtual:ann=:93", "virtual:ben=:92")
	})
}

// A display that is kept is there for who comes back, and is started anew for anybody else.
func TestDisplayIsFreshOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		desk := s.onDemand(t, "virtual:desk-1", time.Hour)
		hold(t, desk, false)()
		leave := hold(t, desk, false)
		s.want(t, "virtual:desk-1=:90")
		leave()
		leave = hold(t, desk, true) // although the supervisor may not know yet that the daemon left
		s.want(t, "virtual:desk-1=:91")
		if !s.screens[0].closed.Load() {
			t.Error("the former display continues")
		}
		hold(t, desk, true)() // it is in use, so nothing of it ends
		s.want(t, "virtual:desk-1=:91")

		other := s.onDemand(t, "virtual:desk-1", time.Hour) // of another daemon
		if _, err := other.Hold(t.Context(), true); !errors.Is(err, errInUse) || !other.Kept() {
			t.Errorf("a display that another daemon uses: got %v, kept %v", err, other.Kept())
		}
		leave()
	})
}

// A start that takes long delays no other display, and serves all that wait for it.
func TestSlowStartDelaysNoOtherDisplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.hold = make(chan struct{})
		cfg := s.config("virtual:slow", Forever)
		cfg.Width = 1
		slow := NewOnDemand(cfg, slog.New(slog.DiscardHandler))
		defer slow.Close()
		impatient, giveUp := context.WithCancel(t.Context())
		results := make(chan error, 3)
		for _, ctx := range []context.Context{impatient, t.Context(), t.Context()} {
			go func() {
				_, err := slow.Hold(ctx, false)
				results <- err
			}()
			synctest.Wait()
		}
		quick := s.onDemand(t, "virtual:quick", Forever)
		hold(t, quick, false)
		s.want(t, "virtual:quick=:90")
		giveUp()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v", err)
		}
		synctest.Wait()
		close(s.hold)
		for range 2 {
			if err := <-results; err != nil {
				t.Errorf("who waited got %v", err)
			}
		}
		s.want(t, "virtual:quick=:90", "virtual:slow=:91")
	})
}

// A display that ends on request affects no other one, and its daemon gets another one.
func TestOneDisplayEndsOnRequest(t *testing.T) {
	f := newFixture(t)
	f.supervise(t)
	f.attach(t, Forever)
	cfg := f.config(Forever)
	cfg.ID = "virtual:desk-1"
	desk := NewOnDemand(cfg, slog.New(slog.DiscardHandler))
	defer desk.Close()
	if _, err := desk.Hold(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	ended, err := End(t.Context(), f.socket, "virtual:desk-1")
	if err != nil || len(ended) != 1 || ended[0].ID != "virtual:desk-1" {
		t.Errorf("got %+v, %v", ended, err)
	}
	until(t, "started again", func() bool {
		all, err := Ask(t.Context(), f.socket)
		return err == nil && len(all) == 2 && f.starts.Load() == 3 && all[0].Daemons == 1 && all[1].Daemons == 1
	})
	if _, err := End(t.Context(), f.socket, "virtual:none"); !errors.Is(err, ErrNone) {
		t.Errorf("the end of a display that does not run: %v; want ErrNone", err)
	}
	if all, err := End(t.Context(), f.socket, ""); err != nil || len(all) != 2 {
		t.Errorf("the end of all: %+v, %v", all, err)
	}
	f.waitEnd(t)
}

// A display that crashes or does not start affects no other one.
func TestCrashIsOfOneDisplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		start := s.start
		s.start = func(ctx context.Context, cfg display.VirtualConfig, log *slog.Logger) (screen, error) {
			if cfg.Width == 13 {
				panic("of a test")
			}
			return start(ctx, cfg, log)
		}
		good := s.onDemand(t, "virtual:good", Forever)
		hold(t, good, false)
		cfg := s.config("virtual:bad", Forever)
		cfg.Width = 13
		bad := NewOnDemand(cfg, slog.New(slog.DiscardHandler))
		defer bad.Close()
		if _, err := bad.Hold(t.Context(), false); err == nil || !strings.Contains(err.Error(), "of a test") {
			t.Errorf("got %v", err)
		}
		s.want(t, "virtual:good=:90")
	})
}

// A supervisor of the first version has one display. It refuses requests that name another one.
func TestOldSupervisor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		defer ln.Close()
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				var r struct{ Version int }
				a := map[string]any{"running": true, "display": ":90", "authority": "/dev/null", "supervisor": 7}
				if err := receive(c, &r); err != nil || r.Version > 1 {
					a = map[string]any{"error": fmt.Sprintf("desktop: version %d of the protocol is unknown to this supervisor, "+
						"which has version 1: end its display (wavry-host desktop end) to have a new one", r.Version)}
				}
				_ = send(c, a)
			}
		}()
		log := slog.New(slog.DiscardHandler)
		usual, err := Attach(t.Context(), Config{dial: ln.dial}, log)
		if err != nil || usual.Address() != ":90" {
			t.Fatalf("the usual display: %v", err)
		}
		defer usual.Close()
		for _, fresh := range []bool{false, true} {
			o := NewOnDemand(Config{ID: "virtual:desk-1", dial: ln.dial}, log)
			if _, err := o.Hold(t.Context(), fresh); err == nil || !strings.Contains(err.Error(), "wavry-host desktop end") {
				t.Errorf("a named display: got %v; want an error that says what to do", err)
			}
		}
		all, err := ask(t.Context(), Config{dial: ln.dial})
		if err != nil || len(all) != 1 || all[0].ID != Usual || all[0].Display != ":90" {
			t.Errorf("the list: got %+v, %v", all, err)
		}
	})
}

// A supervisor that ends just as it is asked closes the connection. The next one is asked.
func TestSupervisorThatIsEndingIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		cfg, dials := s.config("virtual:desk-1", Forever), 0
		cfg.dial = func(ctx context.Context) (net.Conn, error) {
			if dials++; dials < tries {
				here, there := net.Pipe()
				go func() {
					_ = receive(there, new(request))
					_ = there.Close()
				}()
				return here, nil
			}
			return s.ln.dial(ctx)
		}
		o := NewOnDemand(cfg, slog.New(slog.DiscardHandler))
		defer o.Close()
		hold(t, o, false)
		s.want(t, "virtual:desk-1=:90")
	})
}
