package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/child"
	"wavryhost/platform/desktop"
	"wavryhost/platform/service"
)

// desktopSuffix is what the name of the desktop's service adds to the name of the daemon's.
const desktopSuffix = "-desktop"

// serviceDesktop is the socket of the system service's desktop.
const serviceDesktop = "/run/wavry-host" + desktopSuffix + "/" + desktopSocketName

const desktopSocketName = "control.sock"

// desktopSocket returns the path of the socket of the virtual display's supervisor. It is empty if there is no place
// for one. The socket of a systemd unit comes first. It is not in the runtime folder of the daemon, which systemd
// removes when the daemon ends.
func desktopSocket(setting string, env []string) string {
	if setting != config.Auto {
		return setting
	}
	a := app{env: env}
	if dir, _, _ := strings.Cut(a.variable("RUNTIME_DIRECTORY"), ":"); dir != "" {
		path := filepath.Join(dir+desktopSuffix, desktopSocketName)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if dir := serviceState(env); dir != "" {
		return filepath.Join(dir, "desktop.sock")
	}
	if dir := a.variable("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "wavry-host"+desktopSuffix, desktopSocketName)
	}
	return inState("desktop.sock", env)
}

// keepOf returns the time for which the desktop continues without a daemon.
func keepOf(cfg *config.Config) time.Duration {
	if cfg.Displays.VirtualKeep == 0 {
		return desktop.Forever
	}
	return cfg.Displays.VirtualKeep
}

// desktopConfig returns how the daemon reaches its desktop.
func desktopConfig(cfg *config.Config, env []string) (desktop.Config, error) {
	c := desktop.Config{
		Socket: desktopSocket(cfg.Displays.VirtualSocket, env), Keep: keepOf(cfg),
		Width: cfg.Displays.VirtualSize.Width, Height: cfg.Displays.VirtualSize.Height,
		Programs: cfg.Displays.Programs(),
	}
	if c.Socket == "" {
		return c, errors.New("there is no folder for the socket of the virtual display: set HOME, XDG_RUNTIME_DIR or " +
			"displays.virtual_socket")
	}
	if path := socketPath(config.Auto, env); path != "" {
		c.Private = filepath.Dir(path)
	}
	c.Launch = desktop.Detached(c.Socket)
	return c, nil
}

// desktopCmd is "wavry-host desktop".
type desktopCmd struct {
	Status desktopStatusCmd `cmd:"" help:"Show the virtual displays, which outlive the daemon, and how to reach them."`
	End    desktopEndCmd    `cmd:"" help:"End virtual displays with their programs. A daemon restarts those in use."`
	Run    desktopRunCmd    `cmd:"" hidden:"" help:"Supervise virtual displays."`
}

// desktopFlags say which displays are meant.
type desktopFlags struct {
	Display string `arg:"" optional:"" help:"ID of the virtual display, such as virtual:desk-1. Default: all."`
	Socket  string `placeholder:"PATH" help:"Socket of the virtual displays. Default: your own, else the service's."`
}

// find calls f with the sockets that may be meant, until virtual displays are found.
func (d desktopFlags) find(a *app, f func(socket string) ([]desktop.Status, error)) ([]desktop.Status, error) {
	paths := []string{d.Socket}
	if d.Socket == "" {
		paths = paths[:0]
		if own := desktopSocket(config.Auto, a.env); own != "" && own != serviceDesktop {
			paths = append(paths, own)
		}
		paths = append(paths, serviceDesktop)
	}
	for _, path := range paths {
		s, err := f(path)
		if !errors.Is(err, desktop.ErrNone) {
			return s, err
		}
	}
	if d.Display != "" {
		return nil, d.absent(strings.Join(paths, ", "))
	}
	return nil, &coded{exitAbsent, fmt.Errorf("no virtual display runs (looked at %s)", strings.Join(paths, ", "))}
}

// absent is the error for a display that does not run.
func (d desktopFlags) absent(paths string) error {
	return &coded{exitAbsent, fmt.Errorf("virtual display %s does not run (looked at %s)", d.Display, paths)}
}

type desktopStatusCmd struct {
	JSON  bool         `name:"json" help:"Print JSON."`
	Flags desktopFlags `embed:""`
}

// desktopStatus is the status of the virtual displays for programs: of the first one, and of all.
type desktopStatus struct {
	desktop.Status

	Displays []desktop.Status `json:"displays"`
}

// Run is called by kong.
func (c *desktopStatusCmd) Run(ctx context.Context, a *app) error {
	list, err := c.Flags.find(a, func(path string) ([]desktop.Status, error) {
		list, err := desktop.Ask(ctx, path)
		list = slices.DeleteFunc(list, func(s desktop.Status) bool {
			return c.Flags.Display != "" && s.ID != c.Flags.Display
		})
		if err == nil && len(list) == 0 {
			err = desktop.ErrNone
		}
		return list, err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(a.stdout, desktopStatus{list[0], list})
	}
	for i, s := range list {
		if i > 0 {
			say(a.stdout, "\n")
		}
		say(a.stdout, "id:         %s\ndisplay:    %s, %dx%d\nstarted:    %s\nsupervisor: process %d\ndaemons:    %d\n"+
			"programs:   env DISPLAY=%s XAUTHORITY=%s PROGRAM\n", s.ID, s.Display, s.Width, s.Height,
			s.Started.Local().Format(time.DateTime), s.Supervisor, s.Daemons, s.Display, s.Authority)
		if len(s.Missing) > 0 {
			say(a.stdout, "missing:    %s\n", strings.Join(s.Missing, ", "))
		}
	}
	return nil
}

type desktopEndCmd struct {
	Flags desktopFlags `embed:""`
}

// Run is called by kong.
func (c *desktopEndCmd) Run(ctx context.Context, a *app) error {
	list, err := c.Flags.find(a, func(path string) ([]desktop.Status, error) {
		return desktop.End(ctx, path, c.Flags.Display)
	})
	if err != nil {
		return err
	}
	for _, s := range list {
		say(a.stdout, "virtual display %s on %s has ended\n", s.ID, s.Display)
	}
	return nil
}

// desktopRunCmd is the supervisor. systemd or the daemon starts it.
type desktopRunCmd struct {
	Socket string `placeholder:"PATH" help:"Socket to listen on. Default: the socket that systemd passes."`
}

// reapInterval is the interval for reaping programs whose parents have ended.
const reapInterval = 10 * time.Second

// Run is called by kong.
func (c *desktopRunCmd) Run(ctx context.Context, a *app) error {
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	var ln net.Listener
	var err error
	if c.Socket != "" {
		ln, err = desktop.Listen(ctx, c.Socket)
	} else {
		ln, err = service.Listener()
	}
	if err != nil {
		return err
	}
	if err := child.Adopt(); err != nil {
		log.Warn("programs in the background may outlive the virtual display", "err", err)
	}
	service.NewNotifier(log).Ready()
	reaping, stop := context.WithCancel(ctx)
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		tick := time.NewTicker(reapInterval)
		defer tick.Stop()
		for waiting := []int(nil); ; {
			select {
			case <-reaping.Done():
				return
			case <-tick.C:
				waiting = child.ReapOrphans(waiting)
			}
		}
	}()
	err = desktop.NewSupervisor(log).Run(ctx, ln)
	stop()
	<-reaped
	if n := child.EndDescendants(); n > 0 {
		log.Info("programs in the background ended", "processes", n)
	}
	return err
}
