package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"wavryhost/capture"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/display"
	"wavryhost/platform/screencast"
)

// A person's consent is kept for the user of the daemon only.
func TestConsentIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	env := []string{"STATE_DIRECTORY=" + dir}
	load, save := consentIn(env)
	if token, err := load(); token != "" || err != nil {
		t.Errorf("before: got %q, %v; want none", token, err)
	}
	for _, want := range []string{"first", "second", ""} {
		if err := save(want); err != nil {
			t.Fatal(err)
		}
		load, _ := consentIn(env)
		if token, err := load(); token != want || err != nil {
			t.Errorf("got %q, %v; want %q", token, err, want)
		}
		info, err := os.Stat(filepath.Join(dir, consentFile))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("the file has the mode %v; want 0600", info.Mode())
		}
	}
	if err := os.WriteFile(filepath.Join(dir, consentFile), []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := load(); token != "" || err == nil {
		t.Errorf("a damaged file: got %q, %v; want an error", token, err)
	}
	if load, save := consentIn(nil); load != nil || save != nil {
		t.Error("consent is kept without a state folder")
	}
}

// Without a portal there is no display, and its screen cannot be opened.
func TestNoPortal(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	p := newPortal("unix:path="+filepath.Join(t.TempDir(), "bus"), nil, log)
	defer p.Close()
	if _, err := probePortal(p)(t.Context(), "", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v; want %v", err, fs.ErrNotExist)
	}
	for _, c := range []candidate{{ID: idPortal, portal: p}, {ID: idPortal}} {
		_, err := opener(c, new(config.Config), log)(t.Context(), capture.Demand{})
		if !errors.Is(err, capture.ErrNotFound) && !errors.Is(err, capture.ErrUnsupported) {
			t.Errorf("got %v; want %v", err, capture.ErrNotFound)
		}
	}
}

// The wait for a person is that of a display that is slow.
func TestWaitForConsent(t *testing.T) {
	err := error(waiting{screencast.ErrConsent})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, screencast.ErrConsent) {
		t.Errorf("got %v", err)
	}
}

// The portal's screen takes input while its portal does.
func TestInputOfPortal(t *testing.T) {
	c := &catalog{log: slog.New(slog.DiscardHandler)}
	p := newPortal("", nil, c.log)
	defer p.Close()
	one := candidate{ID: idPortal, Backend: "pipewire", State: display.Usable, portal: p}
	if c.input(one) == nil {
		t.Error("the portal's screen takes no input")
	}
	if one.portal = nil; c.input(one) != nil {
		t.Error("a screen without a portal takes input")
	}
}
