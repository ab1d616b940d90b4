package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"wavryhost/cmd/wavry-host/config"
)

// configCmd is "wavry-host config".
type configCmd struct {
	Check   checkCmd   `cmd:"" help:"Check the configuration. --deep also tries the files and ports that it names."`
	Print   printCmd   `cmd:"" help:"Show the configuration as a file, with the origin of each value and without secrets."`
	Schema  schemaCmd  `cmd:"" help:"Print the JSON Schema of the configuration, for editors."`
	Migrate migrateCmd `cmd:"" help:"Print a file with all settings on one level as one with sections."`
}

type checkCmd struct {
	Deep     bool         `help:"Open and parse every file, check certificates, and try the ports, as the service does before it starts."` //nolint:lll // a struct tag is one line
	Settings settingFlags `embed:""`
}

// Run is called by kong.
func (c *checkCmd) Run(ctx context.Context, a *app) error {
	l, err := c.Settings.load(a)
	if err != nil {
		return err
	}
	if c.Deep {
		err = errors.Join(l.inspect(a.env), l.ports(ctx))
	}
	l.warn(a.stderr)
	if err != nil {
		return err
	}
	from := "no file: defaults, variables and flags"
	if len(l.Files) > 0 {
		from = strings.Join(l.Files, ", ")
	}
	_, err = fmt.Fprintf(a.stdout, "The configuration is valid (%s).\n", from)
	return err
}

type printCmd struct {
	JSON     bool         `name:"json" help:"Print JSON."`
	Settings settingFlags `embed:""`
}

// Run is called by kong.
func (c *printCmd) Run(a *app) error {
	l, err := c.Settings.load(a)
	if err != nil {
		return err
	}
	if c.JSON {
		return l.PrintJSON(a.stdout)
	}
	l.warn(a.stderr)
	return l.Print(a.stdout)
}

func (l *loaded) warn(w io.Writer) {
	for _, text := range l.Warnings {
		say(w, "wavry-host: warning: %s\n", text)
	}
}

type schemaCmd struct{}

// Run is called by kong.
func (c *schemaCmd) Run(a *app) error { return config.WriteSchema(a.stdout) }

type migrateCmd struct {
	File string `arg:"" optional:"" default:"/etc/wavry-host/config.yaml" help:"File to read. Default: ${default}."`
}

// Run is called by kong. It prints the file and does not replace it: owner and mode of a file of secrets are the
// operator's.
func (c *migrateCmd) Run(a *app) error {
	data, err := config.ReadFile(c.File)
	if err != nil {
		return &coded{exitConfig, fmt.Errorf("%s: %s", c.File, config.Reason(err))}
	}
	migrated, err := config.Migrate(c.File, data)
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(migrated)
	return err
}
