package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"wavryhost/capture"
	"wavryhost/capture/screenshot"
	"wavryhost/capture/synthetic"
	"wavryhost/capture/x11"
	"wavryhost/platform/display"
	"wavryhost/session"
)

// The ids of displays that this program makes itself.
const (
	idVirtual   = "virtual"
	idSynthetic = "synthetic"
)

// candidate is a display that may be offered, or why it is not.
type candidate struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Width   int    `json:"width,omitempty"`
	Height  int    `json:"height,omitempty"`
	Usable  bool   `json:"usable"`
	// Why tells what is missing where it is not usable.
	Why string `json:"why,omitempty"`
	// Default marks the one that viewers get who ask for none.
	Default bool `json:"default"`
}

// desktop is where displays are looked for, as the user's environment says.
type desktop struct {
	env       display.Env
	authority string // the X authority file
}

func newDesktop(a *app) desktop {
	d := desktop{authority: a.variable("XAUTHORITY")}
	if home := a.variable("HOME"); d.authority == "" && home != "" {
		d.authority = filepath.Join(home, ".Xauthority")
	}
	d.env = display.Env{
		Display: a.variable("DISPLAY"), WaylandDisplay: a.variable("WAYLAND_DISPLAY"), RuntimeDir: a.variable("XDG_RUNTIME_DIR"),
		Probe: func(ctx context.Context, address string) (width, height int, err error) {
			info, err := x11.Probe(ctx, address, d.authority)
			return info.Width, info.Height, err
		},
	}
	return d
}

// found lists the displays that are there without our doing.
func (d desktop) found(ctx context.Context) []candidate {
	var all []candidate
	for _, f := range display.List(ctx, d.env) {
		all = append(all, candidate{
			ID: f.ID, Name: f.Name, Backend: f.Backend, Width: f.Width, Height: f.Height, Usable: f.Usable, Why: f.Why,
		})
	}
	if len(all) > 0 {
		return all
	}
	// Nothing better is there, so the portable fallback tells.
	for _, s := range screenshot.Displays() {
		all = append(all, candidate{
			ID: "screenshot:" + strconv.Itoa(s.Index), Name: "Display " + strconv.Itoa(s.Index) + " by screenshots",
			Backend: "screenshot", Width: s.Bounds.Dx(), Height: s.Bounds.Dy(), Usable: true,
		})
	}
	return all
}

// made lists the displays that we can make.
func made(cfg *Config) []candidate {
	v := candidate{
		ID: idVirtual, Name: "Virtual display", Backend: "x11", Width: cfg.VirtualSize.Width, Height: cfg.VirtualSize.Height,
		Usable: true,
	}
	if _, err := exec.LookPath("Xvfb"); err != nil {
		v.Usable, v.Why = false, display.ErrNoServer.Error()
	}
	return []candidate{v, {
		ID: idSynthetic, Name: "Test pattern", Backend: "synthetic", Width: cfg.VirtualSize.Width, Height: cfg.VirtualSize.Height,
		Usable: true,
	}}
}

// choose marks the default in all, which it returns with the display that the setting names added where it is not there: it may
// come. A chosen display that is not usable stays the choice, unless the choice is automatic.
func choose(setting string, all []candidate) []candidate {
	want := func(c candidate) bool { return c.ID == setting }
	if setting == "auto" {
		want = func(c candidate) bool { return c.Usable } // the found ones come first, then virtual, then synthetic
	}
	if i := slices.IndexFunc(all, want); i >= 0 {
		all[i].Default = true
		return all
	}
	backend, _, _ := strings.Cut(setting, ":")
	return append(all, candidate{ID: setting, Name: "Display " + setting, Backend: backend, Why: "no such display", Default: true})
}

// opener returns what captures a display.
func opener(c candidate, cfg *Config, authority string, log *slog.Logger) func(context.Context) (capture.Source, error) {
	return func(ctx context.Context) (capture.Source, error) {
		kind, rest, _ := strings.Cut(c.ID, ":")
		switch {
		case kind == idSynthetic:
			return opened(synthetic.New(synthetic.Config{
				Width: cfg.VirtualSize.Width, Height: cfg.VirtualSize.Height, FPS: cfg.FPS,
			}))
		case strings.HasPrefix(kind, "x11"): // the host's name may follow
			return opened(x11.New(ctx, x11.Config{
				Display: strings.TrimPrefix(c.ID, "x11"), Authority: authority, NoCursor: !cfg.Cursor,
			}, log))
		case kind == "screenshot":
			index, err := strconv.Atoi(rest)
			if err != nil {
				return nil, fmt.Errorf("display %s: %q is not a number", c.ID, rest)
			}
			return opened(screenshot.New(screenshot.Config{Index: index}))
		default:
			return nil, fmt.Errorf("display %s: %w", c.ID, capture.ErrUnsupported)
		}
	}
}

// opened makes an interface of a driver's own type, without one around a nil pointer.
func opened[S capture.Source](s S, err error) (capture.Source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// offered makes displays for sessions of the candidates, the default first. Of the others only those that work are offered.
func offered(all []candidate, open func(candidate) func(context.Context) (capture.Source, error)) []session.Display {
	var list []session.Display
	for _, c := range all {
		if !c.Usable && !c.Default {
			continue
		}
		d := session.Display{ID: c.ID, Name: c.Name, Backend: c.Backend, Width: c.Width, Height: c.Height, Open: open(c)}
		if c.Default {
			list = slices.Insert(list, 0, d)
			continue
		}
		list = append(list, d)
	}
	return list
}

type displaysCmd struct {
	JSON     bool         `name:"json" help:"Print it for machines."`
	Settings settingFlags `embed:""`
}

// Run is called by kong.
func (c *displaysCmd) Run(ctx context.Context, a *app) error {
	l, err := c.Settings.load(a)
	if err != nil {
		return err
	}
	l.warn(a.stderr)
	all := choose(l.Display, append(newDesktop(a).found(ctx), made(&l.Config)...))
	if c.JSON {
		return writeJSON(a.stdout, all)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	say(w, "DISPLAY\tUSABLE\tSIZE\tBACKEND\tREMARKS\n")
	for _, d := range all {
		usable, dimensions := "no", ""
		if d.Usable {
			usable = "yes"
		}
		if d.Width > 0 {
			dimensions = size{d.Width, d.Height}.String()
		}
		remarks := d.Name
		if d.Default {
			remarks += ", the default"
		}
		if d.Why != "" {
			remarks += ": " + d.Why
		}
		say(w, "%s\t%s\t%s\t%s\t%s\n", d.ID, usable, dimensions, d.Backend, remarks)
	}
	return w.Flush()
}
