//go:build integration && linux

package screencast_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/platform/screencast"
	"wavryhost/platform/screencast/screencasttest"
)

// memory keeps a token.
type memory struct {
	mu    sync.Mutex
	token string
	saves int
}

func (m *memory) load() (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.token, nil
}

func (m *memory) save(token string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token = token
	m.saves++
	return nil
}

// portalOf returns a client of a test's portal, which keeps consent in m.
func portalOf(t *testing.T, bus string, m *memory, edit func(c *screencast.PortalConfig)) *screencast.Portal {
	t.Helper()
	cfg := screencast.PortalConfig{Bus: bus, Load: m.load, Save: m.save}
	if edit != nil {
		edit(&cfg)
	}
	p := screencast.NewPortal(cfg, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(p.Close)
	return p
}

// open opens the screen soon.
func open(t *testing.T, p *screencast.Portal) (*screencast.Screen, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	return p.Open(ctx, screencast.CursorEmbedded)
}

const soon = 10 * time.Second

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(soon); !done(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("%s did not come within %v", what, soon)
		}
	}
}

// A person consents once. Each later session needs the token of the one before, which works once.
func TestConsentIsGivenOnce(t *testing.T) {
	for name, remote := range map[string]uint32{"pictures and input": 2, "pictures only": 0, "input without memory": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := screencasttest.StartBus(t)
			desk := screencasttest.StartPortal(t, bus, nil)
			desk.Versions(4, remote)
			m := &memory{}
			for i := range 3 {
				p := portalOf(t, bus, m, nil) // as a daemon that was started again
				s, err := open(t, p)
				if err != nil {
					t.Fatal(err)
				}
				if s.Node() != screencasttest.Node {
					t.Errorf("got node %d; want %d", s.Node(), screencasttest.Node)
				}
				if m.saves != i+1 {
					t.Errorf("after %d sessions %d tokens were kept", i+1, m.saves)
				}
				_, err = p.Control(t.Context())
				if wanted := remote >= 2; (err == nil) != wanted {
					t.Errorf("input: got %v; want input: %v", err, wanted)
				}
				p.Close()
			}
			if n := desk.Asked(); n != 1 {
				t.Errorf("the person was asked %d times; want once", n)
			}
			desk.Forget()
			p := portalOf(t, bus, m, nil)
			if _, err := open(t, p); err != nil || desk.Asked() != 2 {
				t.Errorf("after the portal forgot: got %v, and %d questions; want another one", err, desk.Asked())
			}
		})
	}
}

// A portal that has an error for a token is asked without it.
func TestTokenThatThePortalRefuses(t *testing.T) {
	bus := screencasttest.StartBus(t)
	desk := screencasttest.StartPortal(t, bus, nil)
	desk.Fault(screencasttest.RefusesTokens)
	m := &memory{token: "of another machine"}
	if _, err := open(t, portalOf(t, bus, m, nil)); err != nil {
		t.Fatal(err)
	}
	if desk.Asked() != 1 || m.token != "token1" {
		t.Errorf("got %d questions and the token %q; want one, and the new token", desk.Asked(), m.token)
	}
}

// Each use has a session of its own, which ends with its last user. A session whose consent is not kept stays open
// instead: the next one may find no person at the screen.
func TestSessionWithoutUsers(t *testing.T) {
	for name, cast := range map[string]uint32{"consent is kept": 4, "consent is not kept": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := screencasttest.StartBus(t)
			desk := screencasttest.StartPortal(t, bus, nil)
			if cast < 4 {
				desk.Versions(cast, 0)
			}
			p := portalOf(t, bus, &memory{}, nil)
			first, err := open(t, p)
			if err != nil {
				t.Fatal(err)
			}
			if cast < 4 {
				first.Close()
				again, err := open(t, p)
				if err != nil {
					t.Fatal(err)
				}
				if desk.Asked() != 1 || desk.Sessions() != 1 {
					t.Errorf("got %d questions and %d sessions; want one of each", desk.Asked(), desk.Sessions())
				}
				p.Close()
				<-again.Lost()
				return
			}
			second, err := open(t, p)
			if err != nil {
				t.Fatal(err)
			}
			input, err := p.Control(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			first.Close()
			first.Close()
			<-first.Lost()
			second.Close()
			until(t, "the end of the first session", func() bool { return desk.Sessions() == 1 })
			select {
			case <-input.Lost():
				t.Error("the session ended while it had a user")
			default:
			}
			input.Close()
			<-input.Lost()
			until(t, "the end of all sessions", func() bool { return desk.Sessions() == 0 })
		})
	}
}

// leaveAsked opens the screen, and gives up once the portal has asked the person for the nth time.
func leaveAsked(t *testing.T, p *screencast.Portal, desk *screencasttest.Portal, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		_, err := p.Open(ctx, screencast.CursorEmbedded)
		opened <- err
	}()
	until(t, "the question", func() bool { return desk.Asked() == n })
	cancel()
	if err := <-opened; !errors.Is(err, screencast.ErrConsent) {
		t.Fatalf("got %v; want %v", err, screencast.ErrConsent)
	}
}

// A missing person is a reason, not a hang. The question stays, and a later answer opens the screen.
func TestConsentThatIsLate(t *testing.T) {
	bus := screencasttest.StartBus(t)
	desk := screencasttest.StartPortal(t, bus, nil)
	desk.Person(screencasttest.Away)
	p := portalOf(t, bus, &memory{}, nil)
	for range 2 {
		leaveAsked(t, p, desk, 1)
	}
	if err := p.Probe(t.Context()); !errors.Is(err, screencast.ErrConsent) {
		t.Errorf("Probe: got %v; want %v", err, screencast.ErrConsent)
	}
	if n := desk.Asked(); n != 1 {
		t.Errorf("the person was asked %d times; want once", n)
	}
	desk.Person(screencasttest.Consents)
	if _, err := open(t, p); err != nil {
		t.Fatal(err)
	}
	if n := desk.Asked(); n != 1 {
		t.Errorf("the person was asked %d times; want once", n)
	}
	if err := p.Probe(t.Context()); err != nil {
		t.Errorf("Probe: got %v", err)
	}
}

// A question without an answer ends, and so does a question of a Portal that is closed.
func TestConsentThatNeverComes(t *testing.T) {
	bus := screencasttest.StartBus(t)
	desk := screencasttest.StartPortal(t, bus, nil)
	desk.Person(screencasttest.Away)
	p := portalOf(t, bus, &memory{}, func(c *screencast.PortalConfig) { c.Consent = 300 * time.Millisecond })
	_, err := open(t, p)
	if !errors.Is(err, screencast.ErrConsent) || !strings.Contains(err.Error(), "nobody answered") {
		t.Errorf("got %v; want %v", err, screencast.ErrConsent)
	}
	until(t, "the end of the session", func() bool { return desk.Sessions() == 0 })
	p = portalOf(t, bus, &memory{}, nil)
	leaveAsked(t, p, desk, 2)
	p.Close()
	until(t, "the end of the session", func() bool { return desk.Sessions() == 0 })
}

// A person who refuses is not asked again for a while.
func TestRefusal(t *testing.T) {
	bus := screencasttest.StartBus(t)
	desk := screencasttest.StartPortal(t, bus, nil)
	desk.Person(screencasttest.Refuses)
	p := portalOf(t, bus, &memory{}, nil)
	for range 3 {
		if _, err := open(t, p); !errors.Is(err, screencast.ErrDenied) {
			t.Fatalf("got %v; want %v", err, screencast.ErrDenied)
		}
		if err := p.Probe(t.Context()); !errors.Is(err, screencast.ErrDenied) {
			t.Errorf("Probe: got %v; want %v", err, screencast.ErrDenied)
		}
	}
	if n := desk.Asked(); n != 1 {
		t.Errorf("the person was asked %d times; want once", n)
	}
	p = portalOf(t, bus, &memory{}, func(c *screencast.PortalConfig) { c.Pause = time.Millisecond })
	if _, err := open(t, p); !errors.Is(err, screencast.ErrDenied) {
		t.Errorf("got %v; want %v", err, screencast.ErrDenied)
	}
	desk.Person(screencasttest.Consents)
	until(t, "another question", func() bool {
		_, err := open(t, p)
		return err == nil
	})
}

// What the portal does wrong has a reason, in time. It works again afterwards.
func TestPortalFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  screencasttest.Fault
		reason error // nil for any
		text   string
	}{
		"silent":                {screencasttest.Silent, screencast.ErrSilent, "no answer in time"},
		"no stream":             {screencasttest.StartFails, nil, "response 2"},
		"ends while it starts":  {screencasttest.EndsWhileItStarts, nil, "ended the session"},
		"vanishes":              {screencasttest.VanishesAtStart, screencast.ErrAbsent, "disconnected"},
		"an empty list":         {screencasttest.NoStreams, nil, "opened no stream"},
		"streams of words":      {screencasttest.WrongStreams, nil, "read the portal's streams"},
		"a session of words":    {screencasttest.WrongSession, nil, "names its session"},
		"an answer of one word": {screencasttest.WrongAnswer, nil, "read the portal's answer"},
		"a version of words":    {screencasttest.WrongVersion, nil, "not a number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := screencasttest.StartBus(t)
			desk := screencasttest.StartPortal(t, bus, nil)
			desk.Fault(tt.fault)
			p := portalOf(t, bus, &memory{}, nil)
			began := time.Now()
			_, err := open(t, p)
			if err == nil || tt.reason != nil && !errors.Is(err, tt.reason) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v; want %v with %q", err, tt.reason, tt.text)
			}
			if took := time.Since(began); took >= soon {
				t.Errorf("it took %v", took)
			}
			desk.Fault(screencasttest.None)
			desk.Kill()
			desk.Restart()
			if _, err := open(t, p); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// Without a portal nothing is there, also where the bus could start one. A portal that captures no screens is another
// reason.
func TestNoPortal(t *testing.T) {
	bus := screencasttest.StartBus(t)
	absent := func(what string, p *screencast.Portal) {
		t.Helper()
		if err := p.Probe(t.Context()); !errors.Is(err, screencast.ErrAbsent) {
			t.Errorf("%s: Probe: got %v; want %v", what, err, screencast.ErrAbsent)
		}
		if _, err := open(t, p); !errors.Is(err, screencast.ErrAbsent) {
			t.Errorf("%s: got %v; want %v", what, err, screencast.ErrAbsent)
		}
	}
	absent("no bus", portalOf(t, "", &memory{}, nil))
	absent("no portal", portalOf(t, bus, &memory{}, nil))
	desk := screencasttest.StartPortal(t, bus, nil)
	desk.Versions(0, 2)
	p := portalOf(t, bus, &memory{}, nil)
	if err := p.Probe(t.Context()); !errors.Is(err, screencast.ErrUnsupported) {
		t.Errorf("no ScreenCast: Probe: got %v; want %v", err, screencast.ErrUnsupported)
	}
	if _, err := open(t, p); !errors.Is(err, screencast.ErrUnsupported) {
		t.Errorf("no ScreenCast: got %v; want %v", err, screencast.ErrUnsupported)
	}
}

// A session ends with the portal, or by the person. Its users learn why, and the next one opens without the person.
func TestSessionThatEnds(t *testing.T) {
	bus := screencasttest.StartBus(t)
	desk := screencasttest.StartPortal(t, bus, nil)
	p := portalOf(t, bus, &memory{}, nil)
	for name, end := range map[string]func(){
		"the portal ends": func() {
			desk.Kill()
			desk.Restart()
		},
		"the person ends it": desk.CloseSessions,
	} {
		s, err := open(t, p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		remote, err := p.Control(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answered := make(chan struct{})
		s.Ping(func() { close(answered) })
		<-answered
		end()
		<-s.Lost()
		<-remote.Lost()
		if s.Err() == nil {
			t.Errorf("%s: the session does not say why", name)
		}
		remote.Close()
		s.Close()
	}
	if n := desk.Asked(); n != 1 {
		t.Errorf("the person was asked %d times; want once", n)
	}
}

// Input needs a session with pictures, the person's consent to it, and a size.
func TestControlByPortal(t *testing.T) {
	bus := screencasttest.StartBus(t)
	desk := screencasttest.StartPortal(t, bus, nil)
	m := &memory{}
	p := portalOf(t, bus, m, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := p.Control(ctx); !errors.Is(err, screencast.ErrAbsent) || desk.Asked() != 0 {
		t.Errorf("without pictures: got %v, and %d questions", err, desk.Asked())
	}
	waited := make(chan error, 1)
	go func() {
		_, err := p.Control(t.Context())
		waited <- err
	}()
	if _, err := open(t, p); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("Control does not wait for the pictures: %v", err)
	}
	p.Close()
	desk.Forget()
	desk.Person(screencasttest.WatchOnly)
	p = portalOf(t, bus, m, nil)
	if _, err := open(t, p); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Control(t.Context()); !errors.Is(err, screencast.ErrDenied) {
		t.Errorf("without consent to input: got %v; want %v", err, screencast.ErrDenied)
	}
	p.Close()
	desk.Forget()
	desk.Person(screencasttest.Consents)
	desk.Fault(screencasttest.NoSize)
	p = portalOf(t, bus, m, nil)
	if _, err := open(t, p); err != nil {
		t.Fatal(err)
	}
	r, err := p.Control(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if at, err := r.Size(t.Context()); err == nil {
		t.Errorf("got the size %v of a screen without one", at)
	}
	r.Button(272, true) // there is no desktop that could take it
	if n, err := r.Sync(t.Context()); n != 1 || err != nil {
		t.Errorf("got %d refused calls, %v; want 1", n, err)
	}
}

// KDE's portal has small steps of the wheel, which are used for all scrolling. The parts of a step add up.
func TestWheelOfPortal(t *testing.T) {
	for name, tt := range map[string]struct {
		kde    bool
		steps  [2]int
		smooth int
	}{
		"KDE":    {true, [2]int{45, -15}, 0},
		"others": {false, [2]int{2, -1}, 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := screencasttest.StartBus(t)
			desk := screencasttest.StartPortal(t, bus, nil)
			if tt.kde {
				desk.KDE()
			}
			p := portalOf(t, bus, &memory{}, nil)
			if _, err := open(t, p); err != nil {
				t.Fatal(err)
			}
			r, err := p.Control(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r.Scroll(screencast.AxisVertical, 2)
			r.Scroll(screencast.AxisHorizontal, -1)
			for range 16 {
				r.ScrollSmooth(0, 1./16)
			}
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if steps, smooth := desk.Scrolled(); steps != tt.steps || smooth != tt.smooth {
				t.Errorf("got %v steps and %d events; want %v and %d", steps, smooth, tt.steps, tt.smooth)
			}
		})
	}
}

// A session has the cursor that its user wants.
func TestCursorOfPortal(t *testing.T) {
	bus := screencasttest.StartBus(t)
	screencasttest.StartPortal(t, bus, nil)
	p := portalOf(t, bus, &memory{}, nil)
	for _, want := range []screencast.Cursor{screencast.CursorEmbedded, screencast.CursorHidden} {
		s, err := p.Open(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		if s.Cursor() != want {
			t.Errorf("got the cursor %v; want %v", s.Cursor(), want)
		}
	}
}
