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
func isVirtual(id string) bool { return id == idVirtual || config.IsOnDemand(id) }

// madeVirtual lists the usual virtual display, and the displays of displays.virtual. Without Xvfb they are unusable.
func madeVirtual(cfg *config.Config) []candidate {
	size := cfg.Displays.VirtualSize
	all := []candidate{{ID: idVirtual, Name: "Virtual display", Width: size.Width, Height: size.Height}}
	for _, one := range cfg.Displays.Virtuals() {
		all = append(all, candidate{
			ID: one.ID, Name: "Virtual display " + strings.TrimPrefix(one.ID, idVirtual+":"),
			Width: one.Size.Width, Height: one.Size.Height, Group: one.Group,
		})
	}
	state, why := display.Usable, ""
	if child.Find("Xvfb") != nil {
		state, why = display.Unusable, display.ErrNoServer.Error()
	}
	for i := range all {
		all[i].Backend, all[i].State, all[i].Why = "x11", state, why
	}
	return all
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
	all := make(map[string]*desktop.OnDemand)
	for _, one := range cfg.Displays.Virtuals() {
		own := where
		own.ID, own.Programs, own.Keep = one.ID, one.Programs, one.Keep
		own.Width, own.Height = one.Size.Width, one.Size.Height
		all[one.ID] = desktop.NewOnDemand(own, log)
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
