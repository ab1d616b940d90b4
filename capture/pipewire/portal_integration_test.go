//go:build integration && linux

package pipewire

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/screencast"
	"wavryhost/platform/screencast/screencasttest"
)

// consent is kept by a test.
type consent struct {
	mu    sync.Mutex
	token string
	saves int
}

func (c *consent) load() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token, nil
}

func (c *consent) save(token string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = token
	c.saves++
	return nil
}

// portalOf returns a client of the portal of a bus.
func portalOf(t *testing.T, bus string, c *consent) *screencast.Portal {
	t.Helper()
	p := screencast.NewPortal(screencast.PortalConfig{Bus: bus, Load: c.load, Save: c.save}, logger(t))
	t.Cleanup(p.Close)
	return p
}

// The portal's screen delivers the colors of a program, as the contract says and without a leak. The end of the
// compositor, of the portal and of its session is noticed, and the screen is found again without the person.
func TestPortal(t *testing.T) {
	g := screencasttest.Start(t, "640x360")
	desk := screencasttest.StartPortal(t, g.Bus, g)
	p := portalOf(t, g.Bus, &consent{})
	open := func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		s, err := NewPortal(ctx, PortalConfig{Portal: p, Demand: d}, logger(t))
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	t.Run("contract", func(t *testing.T) { capturetest.Run(t, open, capturetest.Options{}) })
	t.Run("opens", func(t *testing.T) { capturetest.RunOpens(t, opens(), open) })
	terminal := func() {
		g.Run("foot", "--fullscreen", "-o", "colors.background=123456", "-o", "cursor.color=123456 123456", "sleep", "60")
	}
	terminal()
	for name, end := range map[string]func(){
		"compositor": func() {
			g.Kill()
			g.StartMutter()
			terminal()
		},
		"portal": func() {
			desk.Kill()
			desk.Restart()
		},
		"session": desk.CloseSessions,
	} {
		t.Run("end of the "+name, func(t *testing.T) {
			s, err := open(t.Context(), capture.Demand{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			color(t, s)
			lose(t, s, end)
			again, err := open(t.Context(), capture.Demand{})
			if err != nil {
				t.Fatal(err)
			}
			color(t, again)
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if n := desk.Asked(); n != 1 {
		t.Errorf("the person was asked %d times; want once", n)
	}
}

// A screen that cannot be opened has a reason, in time.
func TestPortalThatDoesNotOpen(t *testing.T) {
	for name, tt := range map[string]struct {
		person screencasttest.Person
		fault  screencasttest.Fault
		reason error
		text   string
	}{
		"absent person": {screencasttest.Away, screencasttest.None, capture.ErrSilent, "waits for consent at the screen"},
		"refused":       {screencasttest.Refuses, screencasttest.None, capture.ErrDenied, "said no"},
		"no answer":     {screencasttest.Consents, screencasttest.Silent, capture.ErrSilent, "no answer in time"},
		"no stream":     {screencasttest.Consents, screencasttest.StartFails, capture.ErrUnsupported, "response 2"},
		"no PipeWire":   {screencasttest.Consents, screencasttest.NoPipeWire, capture.ErrUnsupported, "OpenPipeWireRemote"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus := screencasttest.StartBus(t)
			desk := screencasttest.StartPortal(t, bus, nil)
			desk.Person(tt.person)
			desk.Fault(tt.fault)
			began := time.Now()
			_, err := NewPortal(t.Context(), PortalConfig{Portal: portalOf(t, bus, &consent{})}, logger(t))
			if !errors.Is(err, tt.reason) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v; want %v with %q", err, tt.reason, tt.text)
			}
			if took := time.Since(began); took > openTimeout+time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	t.Run("no portal", func(t *testing.T) {
		p := portalOf(t, screencasttest.StartBus(t), &consent{})
		_, err := NewPortal(t.Context(), PortalConfig{Portal: p}, logger(t))
		if !errors.Is(err, capture.ErrNotFound) {
			t.Errorf("got %v; want %v", err, capture.ErrNotFound)
		}
	})
}
