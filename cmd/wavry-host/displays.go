package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"wavryhost/capture"
	"wavryhost/capture/darwin"
	capturekms "wavryhost/capture/kms"
	"wavryhost/capture/pipewire"
	"wavryhost/capture/screenshot"
	"wavryhost/capture/synthetic"
	"wavryhost/capture/wayland"
	"wavryhost/capture/x11"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/display"
	"wavryhost/platform/kms"
	"wavryhost/platform/screencast"
	"wavryhost/session"
)

// The IDs of displays that this program makes.
const (
	idVirtual   = config.Virtual
	idSynthetic = "synthetic"
)

// idPortal is the ID of the screen that a person chooses in a dialog of the desktop's portal.
const idPortal = "pipewire:portal"

// candidate is a display that may be offered, or the reason why it is not.
type candidate struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Width   int    `json:"width,omitempty"`
	Height  int    `json:"height,omitempty"`
	session.Layout
	State display.State `json:"state"`
	// Why says what is missing if it is unusable.
	Why string `json:"why,omitempty"`
	// Group is the ID of the group that it belongs to; empty for none.
	Group string `json:"group,omitempty"`
	// Default marks the display for viewers that request none. With ForGroup, it stands for its group.
	Default  bool `json:"default"`
	ForGroup bool `json:"-"`
	// Named displays are named by DISPLAY. Remote displays may be on another machine.
	Named  bool `json:"-"`
	Remote bool `json:"remote,omitempty"`

	// address is that of an X display or of a screen of it, the socket of a compositor or of the helper for graphics
	// cards, or the address of a session bus.
	address   string
	monitor   string // captured alone; empty for the whole screen
	authority []string
	pipewire  string // the socket of PipeWire
	portal    *screencast.Portal
}

// offLimits reports whether no viewer gets the display: it may belong to another machine, and no setting names it.
func (c candidate) offLimits() bool { return c.Remote && !c.Default }

// displaySearch describes where to search for displays, according to the user's environment.
type displaySearch struct {
	displays *display.Registry
	env      display.Env
	pipewire string // the socket of PipeWire
	portal   *screencast.Portal
}

// newDisplaySearch returns the search that the environment configures. setting is the configured display. The caller
// must close its portal.
func newDisplaySearch(a *app, setting string, log *slog.Logger) *displaySearch {
	d := &displaySearch{env: display.Env{
		Display: a.variable(
			"DISPLAY",
		),
		WaylandDisplay: a.variable("WAYLAND_DISPLAY"),
		RuntimeDir:     a.variable("XDG_RUNTIME_DIR"),
		Authority:      a.variable("XAUTHORITY"),
		X:              display.Client{Probe: probeX, Watch: watchX},
		Wayland:        display.Client{Probe: probeWayland, Watch: watchWayland},
		GNOME:          display.Client{Probe: probeGNOME, Watch: watchGNOME},
		Helper:         kms.Socket,
		Cards:          cardNodes,
		KMS:            display.Client{Probe: probeKMS, Watch: watchKMS},
	}}
	d.env.Bus, d.pipewire = sessionBus(a), pipewireSocket(a)
	d.portal = newPortal(d.env.Bus, a.env, log)
	d.env.Portal.Probe = probePortal(d.portal)
	if home := a.variable("HOME"); d.env.Authority == "" && home != "" {
		d.env.Authority = filepath.Join(home, ".Xauthority")
	}
	if address, ok := strings.CutPrefix(setting, "x11"); ok {
		d.env.Wanted = address
	}
	d.displays = display.NewRegistry(d.env, log)
	return d
}

// probeX asks an X server for its screens.
func probeX(ctx context.Context, address string, authority []string) ([]display.Screen, error) {
	list, err := x11.Probe(ctx, address, authority)
	if err != nil {
		return nil, err
	}
	return screens(list), nil
}

// watchX reports the screens of an X server, again after each change.
func watchX(ctx context.Context, address string, authority []string, report func([]display.Screen)) error {
	return x11.Watch(ctx, address, authority, func(list []x11.Info) { report(screens(list)) })
}

// probeWayland asks a compositor for its outputs.
func probeWayland(ctx context.Context, socket string, _ []string) ([]display.Screen, error) {
	info, err := wayland.Probe(ctx, socket)
	if err != nil {
		return nil, err
	}
	return []display.Screen{desktopOf(info)}, nil
}

// watchWayland reports the outputs of a compositor, again after each change.
func watchWayland(ctx context.Context, socket string, _ []string, report func([]display.Screen)) error {
	return wayland.Watch(ctx, socket, func(i wayland.Info) { report([]display.Screen{desktopOf(i)}) })
}

func desktopOf(info wayland.Info) (s display.Screen) {
	for _, o := range info.Outputs {
		width, height := o.Upright()
		s.Monitors = append(s.Monitors, display.Monitor{
			Name: o.Name, Width: width, Height: height,
			Layout: display.Layout{X: o.Area.Min.X, Y: o.Area.Min.Y, Rotation: int(o.Transform&3) * 90, Scale: o.Scale},
		})
	}
	return s
}

func screens(list []x11.Info) (all []display.Screen) {
	for _, info := range list {
		s := display.Screen{Width: info.Width, Height: info.Height, Scale: info.Scale}
		if info.Err != nil {
			s.Why = info.Err.Error()
		}
		for _, m := range info.Monitors {
			s.Monitors = append(s.Monitors, display.Monitor{
				Name: m.Name, Width: m.Area.Dx(), Height: m.Area.Dy(), Layout: display.Layout{
					X: m.Area.Min.X, Y: m.Area.Min.Y, Rotation: m.Rotation, Scale: info.Scale, Primary: m.Primary,
				},
			})
		}
		all = append(all, s)
	}
	return all
}

// found lists the existing displays, as of the last check.
func (d *displaySearch) found() []candidate {
	var all []candidate
	if list := darwin.Displays(); len(list) > 0 {
		all = macDisplays(list, darwin.Permission())
	}
	for _, f := range d.displays.List() {
		one := candidate{
			ID: f.ID, Name: f.Name, Backend: f.Backend, Width: f.Width, Height: f.Height, State: f.State, Why: f.Why,
			Named: f.Named, Remote: f.Remote, authority: f.Authority, monitor: f.Monitor, Layout: session.Layout(f.Layout),
		}
		one.address, one.pipewire, one.portal = f.Address, d.pipewire, d.portal
		all = append(all, one)
	}
	if len(all) > 0 {
		return all
	}
	// There is nothing better, so the portable fallback reports. On macOS it is for versions without ScreenCaptureKit.
	for _, s := range screenshot.Displays() {
		all = append(all, candidate{
			ID: "screenshot:" + strconv.Itoa(s.Index), Name: "Display " + strconv.Itoa(s.Index) + " by screenshots",
			Backend: "screenshot", Width: s.Bounds.Dx(), Height: s.Bounds.Dy(), State: display.Usable,
		})
	}
	return all
}

// made lists the displays that the daemon can make.
func made(cfg *config.Config) []candidate {
	pattern := candidate{
		ID:      idSynthetic,
		Name:    "Test pattern",
		Backend: "synthetic",
		Width:   cfg.Displays.VirtualSize.Width,
		Height:  cfg.Displays.VirtualSize.Height,
		State:   display.Usable,
	}
	all := append(madeVirtual(cfg), pattern)
	if id := cfg.Displays.Default; id != idSynthetic && isSynthetic(id) {
		pattern.ID, pattern.Name = id, pattern.Name+" ("+strings.TrimPrefix(id, idSynthetic+":")+")"
		all = append(all, pattern)
	}
	return all
}

// isSynthetic reports whether a display is the test pattern, with any motion.
func isSynthetic(id string) bool { return id == idSynthetic || strings.HasPrefix(id, idSynthetic+":") }

// pick returns the default display for viewers, and why. With the setting auto this is a display of this machine that
// can be captured. A display that was picked before stays until it is gone permanently or a better one exists: an X
// server may start later than the daemon, or restart.
func pick(setting, before string, all []candidate) (id, why string) {
	if setting != "auto" {
		return setting, "the setting display names it"
	}
	owned := func(c candidate) bool { return !c.Remote && !isVirtual(c.ID) && !isSynthetic(c.ID) }
	best := -1
	var reasons []string
	passed := "" // why the display that DISPLAY names is not used
	for i, c := range all {
		if c.Named && c.State == display.Unusable {
			passed = "; DISPLAY names " + c.ID + ", which is not: " + c.Why
		}
		switch {
		case !owned(c) || c.State != display.Usable:
			if c.Why != "" && !isVirtual(c.ID) {
				reasons = append(reasons, c.ID+": "+c.Why)
			}
		case best < 0:
			best = i
		}
		better := c.Backend == "kms" && best >= 0 && all[best].Backend != "kms" // which takes input
		if c.ID == before && owned(c) && c.State != display.Unusable && !better {
			return before, "it was before"
		}
	}
	if best >= 0 {
		if all[best].Named {
			return all[best].ID, "DISPLAY names it"
		}
		return all[best].ID, "it is the first on this machine that can be captured" + passed
	}
	why = "no display on this machine can be captured"
	if len(reasons) > 0 {
		why += ": " + strings.Join(reasons, "; ")
	}
	named := func(c candidate) bool { return config.IsOnDemand(c.ID) && c.State == display.Usable }
	if i := slices.IndexFunc(all, named); i >= 0 {
		return cmp.Or(all[i].Group, all[i].ID), why
	}
	switch {
	case slices.ContainsFunc(all, func(c candidate) bool { return c.ID == idVirtual && c.State == display.Usable }):
		return idVirtual, why
	case slices.ContainsFunc(all, func(c candidate) bool { return c.ID == before && owned(c) }):
		return before, "it was before, and may come back"
	}
	return idSynthetic, why
}

// choose marks the default in all, and returns all. The first member of a group stands for it. choose adds the default
// if it is missing, because that may come.
func choose(id string, all []candidate) []candidate {
	if i := slices.IndexFunc(all, func(c candidate) bool { return c.Group == id && id != "" }); i >= 0 {
		all[i].Default, all[i].ForGroup = true, true
		return all
	}
	if i := slices.IndexFunc(all, func(c candidate) bool { return c.ID == id }); i >= 0 {
		all[i].Default = true
		return all
	}
	backend, rest, _ := strings.Cut(id, ":")
	one := candidate{
		ID:      id,
		Name:    "Display " + id,
		Backend: backend,
		State:   display.Unusable,
		Why:     "no such display",
		Default: true,
	}
	if host, ok := strings.CutPrefix(backend, "x11"); ok {
		one.Backend = "x11"
		one.address, one.monitor = display.SplitMonitor(host + ":" + rest)
	}
	return append(all, one)
}

// opener returns the function that captures a display.
func opener(c candidate, cfg *config.Config, log *slog.Logger) capture.Opener {
	return func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		kind, rest, _ := strings.Cut(c.ID, ":")
		switch {
		case c.offLimits():
			return nil, fmt.Errorf("display %s: %s", c.ID, c.Why)
		case kind == idSynthetic:
			return opened(synthetic.New(synthetic.Config{
				Width: cfg.Displays.VirtualSize.Width, Height: cfg.Displays.VirtualSize.Height,
				FPS: cfg.Displays.FPS, Motion: synthetic.Motion(rest), Demand: d,
			}))
		case strings.HasPrefix(kind, "x11"): // the name of the host may follow
			address, monitor := display.SplitMonitor(strings.TrimPrefix(c.ID, "x11"))
			return opened(x11.New(ctx, x11.Config{
				Display: address, Monitor: monitor, Authority: c.authority, Demand: d,
			}, log))
		case kind == "wayland" && c.address != "":
			return opened(wayland.New(ctx, wayland.Config{Socket: c.address, Output: c.monitor, Demand: d}, log))
		case c.ID == idPortal && c.portal != nil:
			return opened(pipewire.NewPortal(ctx, pipewire.PortalConfig{Portal: c.portal, Demand: d}, log))
		case kind == "pipewire" && c.address != "":
			return opened(pipewire.NewMutter(ctx, pipewire.MutterConfig{
				Bus: c.address, Socket: c.pipewire, Monitor: c.monitor, Demand: d,
			}, log))
		case kind == "kms" && c.address != "" && c.monitor != "":
			return opened(capturekms.New(ctx, capturekms.Config{Socket: c.address, Output: c.monitor, Demand: d}, log))
		case kind == "wayland", kind == "pipewire", kind == "kms":
			return nil, fmt.Errorf("display %s: %w", c.ID, capture.ErrNotFound)
		case kind == "darwin":
			return opened(darwin.New(ctx, darwin.Config{Display: rest, Demand: d}, log))
		case kind == "screenshot":
			index, err := strconv.Atoi(rest)
			if err != nil {
				return nil, fmt.Errorf("display %s: %q is not a number", c.ID, rest)
			}
			return opened(screenshot.New(screenshot.Config{Index: index, Demand: d}))
		default:
			return nil, fmt.Errorf("display %s: %w", c.ID, capture.ErrUnsupported)
		}
	}
}

// opened converts a driver's own type to an interface, and a nil pointer to nil.
func opened[S capture.Source](s S, err error) (capture.Source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

type displaysCmd struct {
	JSON     bool         `name:"json" help:"Print JSON."`
	Running  runningFlags `embed:""`
	Settings settingFlags `embed:""`
}

// list returns the displays, from the running daemon or from a look at this machine.
func (c *displaysCmd) list(ctx context.Context, a *app) ([]candidate, error) {
	daemon, err := c.Running.daemon(a, c.Settings)
	if err != nil {
		return nil, err
	}
	if daemon != nil {
		return daemon.displays(ctx)
	}
	l, err := c.Settings.load(a)
	if err != nil {
		return nil, err
	}
	l.warn(a.stderr)
	return look(ctx, a, &l.Config), nil
}

// look searches this machine for displays.
func look(ctx context.Context, a *app, cfg *config.Config) []candidate {
	d := newDisplaySearch(a, cfg.Displays.Default, slog.New(slog.DiscardHandler))
	defer d.portal.Close()
	d.displays.Look(ctx)
	all := append(d.found(), made(cfg)...)
	id, _ := pick(cfg.Displays.Default, "", all)
	return choose(id, all)
}

// Run is called by kong.
func (c *displaysCmd) Run(ctx context.Context, a *app) error {
	all, err := c.list(ctx, a)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(a.stdout, all)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	say(w, "DISPLAY\tUSABLE\tSIZE\tBACKEND\tREMARKS\n")
	for _, d := range all {
		usable, dimensions := "no", ""
		switch d.State {
		case display.Usable:
			usable = "yes"
		case display.Slow:
			usable = "slow"
		case display.Unusable:
		}
		if d.Width > 0 {
			dimensions = config.Size{Width: d.Width, Height: d.Height}.String()
		}
		remarks := d.Name
		if d.Group != "" {
			remarks += ", of group " + d.Group
		}
		if d.Default {
			remarks += ", the default"
		}
		if d.X != 0 || d.Y != 0 {
			remarks += fmt.Sprintf(", at %d,%d", d.X, d.Y)
		}
		if d.Rotation != 0 {
			remarks += fmt.Sprintf(", turned by %d°", d.Rotation)
		}
		if d.Primary {
			remarks += ", primary"
		}
		if d.Why != "" {
			remarks += ": " + d.Why
		}
		say(w, "%s\t%s\t%s\t%s\t%s\n", d.ID, usable, dimensions, d.Backend, remarks)
	}
	return w.Flush()
}
