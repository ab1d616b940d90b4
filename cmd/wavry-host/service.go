package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wavryhost/platform/service"
)

// serviceCmd is "wavry-host service".
type serviceCmd struct {
	Install   installCmd   `cmd:"" help:"Install the service, start it, and start it with the system."`
	Uninstall uninstallCmd `cmd:"" help:"Stop the service and remove it. Configuration and user stay."`
	Status    statusCmd    `cmd:"" help:"Show the status of the service."`
	Print     describeCmd  `cmd:"" help:"Print the description of the service: a systemd unit or a launchd property list."`
}

// serviceFlags describe the service.
type serviceFlags struct {
	User   bool   `help:"A service of your own that runs in your graphical session, instead of a system service."`
	Binary string `placeholder:"PATH" help:"Program to run. Default: this one."`
	Config string `placeholder:"FILE" help:"Configuration file of the service. Default: none, the program finds its own."`
	Root   string `placeholder:"DIR" help:"Folder to use instead of /, to prepare a system image."`
	Init   string `enum:"auto,systemd,launchd" default:"auto" placeholder:"NAME" help:"Service manager: systemd, launchd or auto."` //nolint:lll // a struct tag is one line
}

func (f serviceFlags) manager(a *app) (*service.Manager, error) {
	spec := service.Spec{Binary: f.Binary, ConfigPath: f.Config, Session: f.User}
	if spec.Binary == "" {
		path, err := os.Executable()
		if err == nil {
			path, err = filepath.EvalSymlinks(path)
		}
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		spec.Binary = path
	}
	cfg := service.Config{Spec: spec, Root: f.Root, Home: a.variable("HOME"), Out: a.stdout}
	if f.Init != "auto" {
		cfg.Init = service.Init(f.Init)
	}
	return service.NewManager(cfg)
}

type installCmd struct {
	Flags serviceFlags `embed:""`
}

// Run is called by kong.
func (c *installCmd) Run(ctx context.Context, a *app) error {
	m, err := c.Flags.manager(a)
	if err != nil {
		return err
	}
	err = m.Install(ctx)
	switch {
	case errors.Is(err, service.ErrNotRunning):
		text, printErr := m.Print()
		if printErr != nil {
			return errors.Join(err, printErr)
		}
		say(a.stdout, "%s", text)
		return fmt.Errorf(
			"%w\nthe description was printed, not installed; --root installs it into the image of a system", err,
		)
	case errors.Is(err, service.ErrPermission) && !c.Flags.User:
		return fmt.Errorf("%w\ntry it with sudo, or with --user for a service of your own", err)
	}
	return err
}

type uninstallCmd struct {
	Flags serviceFlags `embed:""`
}

// Run is called by kong.
func (c *uninstallCmd) Run(ctx context.Context, a *app) error {
	m, err := c.Flags.manager(a)
	if err != nil {
		return err
	}
	return m.Uninstall(ctx)
}

type statusCmd struct {
	JSON  bool         `name:"json" help:"Print JSON."`
	Flags serviceFlags `embed:""`
}

// Run is called by kong.
func (c *statusCmd) Run(ctx context.Context, a *app) error {
	m, err := c.Flags.manager(a)
	if err != nil {
		return err
	}
	st, err := m.Status(ctx)
	if err != nil && !errors.Is(err, service.ErrNotRunning) {
		return err
	}
	if c.JSON {
		if err := writeJSON(a.stdout, st); err != nil {
			return err
		}
	} else {
		say(a.stdout, "state:    %s\nfile:     %s\n", st.State, st.Path)
		switch {
		case st.Installed && st.Current:
			say(a.stdout, "content:  as this program writes it\n")
		case st.Installed:
			say(a.stdout, "content:  differs from what this program writes; \"service install\" renews it\n")
		}
		if st.Enabled != "" {
			say(a.stdout, "at start: %s\n", st.Enabled)
		}
		if st.PID != 0 {
			say(a.stdout, "process:  %d\n", st.PID)
		}
		if st.Text != "" {
			say(a.stdout, "says:     %s\n", st.Text)
		}
	}
	switch {
	case err != nil:
		return err
	case !st.Installed:
		return &coded{code: exitAbsent}
	case !st.Running:
		return &coded{code: exitStopped}
	}
	return nil
}

type describeCmd struct {
	Flags serviceFlags `embed:""`
}

// Run is called by kong.
func (c *describeCmd) Run(a *app) error {
	m, err := c.Flags.manager(a)
	if err != nil {
		return err
	}
	text, err := m.Print()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(a.stdout, text)
	return err
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
