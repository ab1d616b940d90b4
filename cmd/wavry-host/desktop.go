package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
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
	Status desktopStatusCmd `cmd:"" help:"Show the virtual display, which outlives the daemon, and how to reach it."`
	End    desktopEndCmd    `cmd:"" help:"End the virtual display with its programs. A running daemon starts another."`
	Run    desktopRunCmd    `cmd:"" hidden:"" help:"Supervise a virtual display."`
}

// desktopFlags say which desktop is meant.
type desktopFlags struct {
	Socket string `placeholder:"PATH" help:"Socket of the virtual display. Default: your own, else the service's."`
}

// find calls f with the sockets that may be meant, until a desktop is found.
func (d desktopFlags) find(a *app, f func(socket string) (desktop.Status, error)) (desktop.Status, error) {
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
	return desktop.Status{}, &coded{exitAbsent, fmt.Errorf("no virtual display runs (looked at %s)",
		strings.Join(paths, ", "))}
}

type desktopStatusCmd struct {
	JSON  bool         `name:"json" help:"Print JSON."`
	Flags desktopFlags `embed:""`
}

// Run is called by kong.
func (c *desktopStatusCmd) Run(ctx context.Context, a *app) error {
	s, err := c.Flags.find(a, func(path string) (desktop.Status, error) { return desktop.Ask(ctx, path) })
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(a.stdout, s)
	}
	say(a.stdout, "display:    %s, %dx%d\nstarted:    %s\nsupervisor: process %d\ndaemons:    %d\n"+
		"programs:   env DISPLAY=%s XAUTHORITY=%s PROGRAM\n", s.Display, s.Width, s.Height,
		s.Started.Local().Format(time.DateTime), s.Supervisor, s.Daemons, s.Display, s.Authority)
	return nil
}

type desktopEndCmd struct {
	Flags desktopFlags `embed:""`
}

// Run is called by kong.
func (c *desktopEndCmd) Run(ctx context.Context, a *app) error {
	s, err := c.Flags.find(a, func(path string) (desktop.Status, error) { return desktop.End(ctx, path) })
	if err == nil {
		say(a.stdout, "virtual display %s has ended\n", s.Display)
	}
	return err
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
