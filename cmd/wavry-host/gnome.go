package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wavryhost/capture/pipewire"
	"wavryhost/platform/display"
	"wavryhost/platform/screencast"
)

// sessionBus returns the address of the user's session bus, or nothing if there is none.
func sessionBus(a *app) string {
	if address := a.variable("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address
	}
	dir := a.variable("XDG_RUNTIME_DIR")
	if dir == "" {
		return ""
	}
	path := filepath.Join(dir, "bus")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return "unix:path=" + path
}

// pipewireSocket returns the path of PipeWire's socket, according to the variables that its programs follow.
func pipewireSocket(a *app) string {
	name := a.variable("PIPEWIRE_REMOTE")
	if name == "" {
		name = "pipewire-0"
	}
	dir := a.variable("PIPEWIRE_RUNTIME_DIR")
	if dir == "" {
		dir = a.variable("XDG_RUNTIME_DIR")
	}
	return filepath.Join(dir, name)
}

// probeGNOME asks GNOME for its monitors.
func probeGNOME(ctx context.Context, bus string, _ []string) ([]display.Screen, error) {
	var all []display.Screen
	err := lookGNOME(ctx, bus, func(screens []display.Screen) bool {
		all = screens
		return false
	})
	return all, err
}

// watchGNOME reports the monitors of GNOME, again after each change.
func watchGNOME(ctx context.Context, bus string, _ []string, report func([]display.Screen)) error {
	return lookGNOME(ctx, bus, func(screens []display.Screen) bool {
		report(screens)
		return true
	})
}

// lookGNOME calls report with the monitors of GNOME, after each change, until that returns false.
func lookGNOME(ctx context.Context, bus string, report func([]display.Screen) bool) error {
	desktop, err := screencast.OpenDesktop(ctx, bus)
	if err != nil {
		return absent(err)
	}
	defer desktop.Close()
	for {
		monitors, err := desktop.Monitors(ctx)
		if err != nil {
			return absent(err)
		}
		if err := pipewire.Available(); err != nil {
			return fmt.Errorf("GNOME is captured by PipeWire: %w", err)
		}
		var s display.Screen
		for _, m := range monitors {
			s.Monitors = append(s.Monitors, display.Monitor{
				Name: m.Name, Width: m.Size.X, Height: m.Size.Y, Layout: display.Layout{
					X: m.Area.Min.X, Y: m.Area.Min.Y, Rotation: m.Rotation, Scale: m.Scale, Primary: m.Primary,
				},
			})
		}
		if !report([]display.Screen{s}) {
			return nil
		}
		if err := desktop.Changed(ctx); err != nil {
			return err
		}
	}
}

// absent makes the absence of GNOME that of a server.
func absent(err error) error {
	if errors.Is(err, screencast.ErrAbsent) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}
