package desktop

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wavryhost/platform/child"
	"wavryhost/platform/display"
)

// fakeScreen is a virtual display without a server.
type fakeScreen struct {
	authority string
	closed    atomic.Bool
}

func (f *fakeScreen) Address() string               { return ":90" }
func (f *fakeScreen) Authority() string             { return f.authority }
func (f *fakeScreen) Cookie() []byte                { return []byte("sixteen bytes ok") }
func (f *fakeScreen) Size() (width, height int)     { return 640, 480 }
func (f *fakeScreen) Missing() []string             { return nil }
func (f *fakeScreen) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (f *fakeScreen) Close() error                  { f.closed.Store(true); return nil }

// fixture is a supervisor that runs.
type fixture struct {
	socket   string
	screen   *fakeScreen
	starts   atomic.Int32
	releases atomic.Int32
	failure  error
	ended    chan error
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir, err := os.MkdirTemp("", "desktop") // t.TempDir may be too long for the address of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &fixture{socket: filepath.Join(dir, "s"), screen: &fakeScreen{authority: filepath.Join(dir, "authority")}}
	if err := os.WriteFile(f.screen.authority, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// supervise starts a supervisor.
func (f *fixture) supervise(t *testing.T) {
	t.Helper()
	ln, err := Listen(t.Context(), f.socket)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSupervisor(slog.New(slog.NewTextHandler(t.Output(), nil)))
	s.sweep = func(string) int { return 0 }
	s.start = func(context.Context, display.VirtualConfig, *slog.Logger) (screen, error) {
		f.starts.Add(1)
		if f.failure != nil {
			return nil, f.failure
		}
		return f.screen, nil
	}
	s.release = func(context.Context, string, string) (int, error) { f.releases.Add(1); return 1, nil }
	ended := make(chan error, 1)
	f.ended = ended
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); ended <- s.Run(ctx, ln) }()
	t.Cleanup(func() { cancel(); <-done })
}

// waitEnd waits for the end of the supervisor.
func (f *fixture) waitEnd(t *testing.T) {
	t.Helper()
	if err := <-f.ended; err != nil {
		t.Errorf("the supervisor ended with %v", err)
	}
}

func (f *fixture) config(keep time.Duration) Config {
	return Config{Socket: f.socket, Width: 640, Height: 480, Keep: keep}
}

func (f *fixture) attach(t *testing.T, keep time.Duration) *Attachment {
	t.Helper()
	a, err := Attach(t.Context(), f.config(keep), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// until waits for a condition.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for pause := time.NewTicker(time.Millisecond); !done(); <-pause.C {
		if time.Now().After(deadline) {
			t.Fatalf("in a minute: not %s", what)
		}
	}
}

func TestNextDaemonFindsTheDesktop(t *testing.T) {
	f := newFixture(t)
	f.supervise(t)
	first, other := f.attach(t, Forever), f.attach(t, Forever)
	if s, err := Ask(t.Context(), f.socket); err != nil || len(s) != 1 || s[0].ID != Usual || s[0].Daemons != 2 ||
		s[0].Display != ":90" || s[0].Width != 640 {
		t.Errorf("status is %+v, %v", s, err)
	}
	_ = first.Close()
	until(t, "one daemon", func() bool { s, err := Ask(t.Context(), f.socket); return err == nil && s[0].Daemons == 1 })
	if f.releases.Load() != 0 {
		t.Error("keys are released although a daemon is attached")
	}
	_ = other.Close()
	until(t, "keys released", func() bool { return f.releases.Load() == 1 })
	next, err := Find(t.Context(), f.config(Forever), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if next.Address() != ":90" || next.Authority() != f.screen.authority || f.starts.Load() != 1 {
		t.Errorf("display %s with %s, %d starts", next.Address(), next.Authority(), f.starts.Load())
	}
}

func TestDesktopEndsWhenItIsTime(t *testing.T) {
	f := newFixture(t)
	f.supervise(t)
	_ = f.attach(t, time.Millisecond).Close()
	if err := <-f.ended; err != nil || !f.screen.closed.Load() {
		t.Errorf("the supervisor ended with %v, its display closed %v", err, f.screen.closed.Load())
	}
}

// A reload of the daemon's configuration reaches the supervisor.
func TestTimeOfTheDesktopChanges(t *testing.T) {
	f := newFixture(t)
	f.supervise(t)
	a := f.attach(t, Forever)
	a.SetKeep(time.Millisecond)
	_ = a.Close()
	if err := <-f.ended; err != nil {
		t.Errorf("the supervisor ended with %v", err)
	}
}

func TestDesktopEndsOnRequest(t *testing.T) {
	f := newFixture(t)
	f.supervise(t)
	f.attach(t, Forever)
	s, err := End(t.Context(), f.socket, "")
	if err != nil || len(s) != 1 || s[0].Display != ":90" || !f.screen.closed.Load() {
		t.Errorf("got %+v, %v; the display is closed: %v", s, err, f.screen.closed.Load())
	}
	if err := <-f.ended; err != nil {
		t.Errorf("the supervisor ended with %v", err)
	}
	if _, err := Ask(t.Context(), f.socket); !errors.Is(err, ErrNone) {
		t.Errorf("status after the end: %v; want ErrNone", err)
	}
	if _, err := End(t.Context(), f.socket, ""); !errors.Is(err, ErrNone) {
		t.Errorf("a second end: %v; want ErrNone", err)
	}
}

// systemd starts a supervisor for any client. One without a display does not stay.
func TestSupervisorWithoutADisplayEnds(t *testing.T) {
	for name, ask := range map[string]func(*fixture) error{
		"find": func(f *fixture) error {
			_, err := Find(t.Context(), f.config(Forever), slog.New(slog.DiscardHandler))
			return err
		},
		"status": func(f *fixture) error { _, err := Ask(t.Context(), f.socket); return err },
		"end":    func(f *fixture) error { _, err := End(t.Context(), f.socket, ""); return err },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.supervise(t)
			if err := ask(f); !errors.Is(err, ErrNone) {
				t.Errorf("got %v; want ErrNone", err)
			}
			if err := <-f.ended; err != nil || f.starts.Load() != 0 {
				t.Errorf("the supervisor ended with %v after %d starts", err, f.starts.Load())
			}
		})
	}
}

func TestDisplayThatDoesNotStartIsAnError(t *testing.T) {
	f := newFixture(t)
	f.failure = errors.New("no screens found")
	f.supervise(t)
	if _, err := Attach(t.Context(), f.config(Forever), slog.New(slog.DiscardHandler)); err == nil ||
		err.Error() != "no screens found" {
		t.Errorf("got %v; want the reason", err)
	}
	f.waitEnd(t)
}

func TestMessagesThatAreNotUnderstood(t *testing.T) {
	for name, c := range map[string]struct{ line, want string }{
		"a later version": {`{"version":99,"op":"attach"}`, "wavry-host desktop end"},
		"no JSON":         {`hello`, "invalid character"},
		"too long":        {strings.Repeat("x", maxLine+1), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.supervise(t)
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", f.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(c.line + "\n")); err != nil {
				t.Fatal(err)
			}
			var got answer
			if err := receive(conn, &got); err != nil || !strings.Contains(got.Error, c.want) {
				t.Errorf("got %+v, %v; want an error that says %q", got, err, c.want)
			}
			f.waitEnd(t)
		})
	}
}

// A daemon whose desktop ends gets another one.
func TestDaemonAttachesAgain(t *testing.T) {
	f := newFixture(t)
	f.supervise(t)
	a := f.attach(t, Forever)
	ran := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ran <- a.Run(ctx) }()
	if _, err := End(t.Context(), f.socket, ""); err != nil {
		t.Fatal(err)
	}
	f.waitEnd(t)
	f.supervise(t)
	until(t, "attached again", func() bool { return f.starts.Load() == 2 })
	cancel()
	if err := <-ran; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
}

func TestTwoSupervisorsDoNotShareASocket(t *testing.T) {
	f := newFixture(t)
	f.supervise(t)
	if ln, err := Listen(t.Context(), f.socket); err == nil {
		ln.Close()
		t.Error("a second supervisor has the socket")
	}
	f.attach(t, Forever)
}

// A supervisor of another user has files that the daemon cannot read: the daemon makes its own from the cookie.
func TestAuthorityOfAnotherUser(t *testing.T) {
	f := newFixture(t)
	f.screen.authority += ".private"
	f.supervise(t)
	if _, err := Attach(t.Context(), f.config(Forever), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a daemon without a folder for a copy attached")
	}
	cfg := f.config(Forever)
	cfg.Private = t.TempDir()
	a, err := Attach(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	text, err := os.ReadFile(a.Authority())
	info, statErr := os.Stat(a.Authority())
	if err != nil || statErr != nil || !strings.Contains(string(text), "sixteen bytes ok") || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %q, %v, %v", a.Authority(), text, err, info)
	}
}

func TestSupervisorThatDoesNotStartIsAnError(t *testing.T) {
	f := newFixture(t)
	cfg := f.config(Forever)
	cfg.Launch = func() (*child.Process, error) { return child.Start(child.Command{Program: "false"}) }
	if _, err := Attach(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil ||
		!strings.Contains(err.Error(), "the supervisor has ended") || !strings.Contains(err.Error(), LogPath(f.socket)) {
		t.Errorf("got %v; want an error that names the log", err)
	}
	cfg.Launch = nil
	if _, err := Attach(t.Context(), cfg, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrNone) {
		t.Errorf("got %v; want ErrNone", err)
	}
}
