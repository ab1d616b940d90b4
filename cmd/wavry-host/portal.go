package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"wavryhost/capture/pipewire"
	"wavryhost/platform/display"
	"wavryhost/platform/screencast"
)

// consentFile is the file, in the state folder, of the consent that a person gave to capture the screen.
const consentFile = "portal.json"

// consent is what stands for a person's consent. It works once, and only for the same user of the machine.
type consent struct {
	RestoreToken string `json:"restore_token"`
}

// newPortal returns the portal of a session bus. Without a state folder consent ends with the daemon.
func newPortal(bus string, env []string, log *slog.Logger) *screencast.Portal {
	load, save := consentIn(env)
	return screencast.NewPortal(screencast.PortalConfig{Bus: bus, Load: load, Save: save}, log)
}

// consentIn returns the functions that read and replace the consent in the state folder. They are nil without one.
func consentIn(env []string) (load func() (string, error), save func(token string) error) {
	path := inState(consentFile, env)
	if path == "" {
		return nil, nil
	}
	load = func() (string, error) {
		var c consent
		err := readStateFile(path, &c)
		return c.RestoreToken, err
	}
	return load, func(token string) error { return writeStateFile(path, consent{token}) }
}

// probePortal returns the function that asks a portal whether it captures. It does not open the screen.
func probePortal(p *screencast.Portal) func(context.Context, string, []string) ([]display.Screen, error) {
	return func(ctx context.Context, _ string, _ []string) ([]display.Screen, error) {
		err := p.Probe(ctx)
		switch {
		case errors.Is(err, screencast.ErrConsent):
			return nil, waiting{err}
		case err != nil:
			return nil, absent(err)
		}
		if err := pipewire.Available(); err != nil {
			return nil, fmt.Errorf("the portal's screen is captured by PipeWire: %w", err)
		}
		return []display.Screen{{}}, nil
	}
}

// waiting makes the wait for a person that of a slow display.
type waiting struct{ error }

func (w waiting) Unwrap() error { return w.error }

// Is reports whether target is the error of a display that does not answer in time.
func (waiting) Is(target error) bool { return target == context.DeadlineExceeded }
