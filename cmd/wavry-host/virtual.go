package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/child"
	"wavryhost/platform/desktop"
	"wavryhost/platform/display"
)

// isVirtual reports whether a display is a virtual one: the usual one, or one of displays.virtual.
func isVirtual(id string) bool { return id == idVirtual || isOnDemand(id) }

// isOnDemand reports whether a display is one of displays.virtual, which run while something holds them.
func isOnDemand(id string) bool { return strings.HasPrefix(id, idVirtual+":") }

// madeVirtual lists the displays of displays.virtual.
func madeVirtual(cfg *config.Config) (all []candidate) {
	for _, one := range cfg.Displays.Virtuals() {
		all = append(all, withServer(candidate{
			ID: one.ID, Name: "Virtual display " + strings.TrimPrefix(one.ID, idVirtual+":"), Backend: "x11",
			Width: one.Size.Width, Height: one.Size.Height, Group: one.Group, State: display.Usable,
		}))
	}
	return all
}

// withServer marks a virtual display as unusable if its server is missing.
func withServer(c candidate) candidate {
	if child.Find("Xvfb") != nil {
		c.State, c.Why = display.Unusable, display.ErrNoServer.Error()
	}
	return c
}

// missingPrograms lists the configured programs of virtual displays that are not installed.
func missingPrograms(cfg *config.Config) (missing []string) {
	seen := make(map[string]bool)
	look := func(programs [][]string) {
		for _, args := range programs {
			if name := args[0]; !seen[name] && child.Find(name) != nil {
				missing = append(missing, name)
			}
			seen[args[0]] = true
		}
	}
	look(cfg.Displays.Programs())
	for _, one := range cfg.Displays.Virtuals() {
		look(one.Programs)
	}
	return missing
}

// onDemand makes the displays of displays.virtual, by ID. It looks which of them run already.
func onDemand(ctx context.Context, cfg *config.Config, where desktop.Config, log *slog.Logger) (
	map[string]*desktop.OnDemand, error,
) {
	list := cfg.Displays.Virtuals()
	if len(list) == 0 {
		return nil, nil
	}
	all := make(map[string]*desktop.OnDemand, len(list))
	for _, one := range list {
		where := where
		where.ID, where.Programs, where.Keep = one.ID, one.Programs, one.Keep
		where.Width, where.Height = one.Size.Width, one.Size.Height
		all[one.ID] = desktop.NewOnDemand(where, log)
	}
	running, err := desktop.Ask(ctx, where.Socket)
	if err != nil && !errors.Is(err, desktop.ErrNone) {
		return all, fmt.Errorf("look for virtual displays: %w", err)
	}
	for _, s := range running {
		if d := all[s.ID]; d != nil {
			d.Found(s)
			log.Info("virtual display runs already", "id", s.ID, "display", s.Display, "started", s.Started,
				"daemons", s.Daemons)
		}
	}
	return all, nil
}
