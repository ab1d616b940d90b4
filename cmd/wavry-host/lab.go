package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"wavryhost/cmd/wavry-host/lab"
)

// labCmd is "wavry-host lab".
type labCmd struct {
	Profile []string      `arg:"" optional:"" help:"Networks: names of the built-in profiles, or files (.yaml). Default: all built-in ones."` //nolint:lll // a struct tag is one line
	List    bool          `help:"List the built-in profiles, and do nothing else."`
	For     time.Duration `default:"30s" placeholder:"DURATION" help:"How long the viewer watches on each network. Default: ${default}."`                                                   //nolint:lll // a struct tag is one line
	Display string        `default:"synthetic:busy" placeholder:"ID" help:"Display to show, as in the setting displays.default. Default: ${default}, a test pattern that needs many bits."` //nolint:lll // a struct tag is one line
	Size    string        `default:"960x540" placeholder:"SIZE" help:"Size of a test pattern or virtual display. Default: ${default}, so that two cores encode and decode it."`             //nolint:lll // a struct tag is one line
	FPS     int           `name:"fps" default:"30" placeholder:"INTEGER" help:"Highest frame rate. Default: ${default}."`
	Relay   bool          `help:"Let media pass a relay (coturn): host and viewer cannot exchange UDP."`
	Config  string        `placeholder:"FILE" type:"existingfile" help:"Configuration of the daemon under test. Default: the defaults, not the file of this machine."`      //nolint:lll // a struct tag is one line
	Out     string        `default:"wavry-lab" placeholder:"DIR" help:"Folder for the report (report.html, report.json), logs and flight recordings. Default: ${default}."` //nolint:lll // a struct tag is one line
}

// What is returned when a run did not reach its goals.
var (
	errGoals = errors.New("goals are missed")
	errBusy  = errors.New("the machine was too busy to judge all networks; run the lab while nothing else runs")
)

// Run is called by kong.
func (c *labCmd) Run(ctx context.Context, a *app) error {
	profiles, err := lab.Builtin()
	if err != nil {
		return err
	}
	if c.List {
		w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		for _, p := range profiles {
			say(w, "%s\t%s\n", p.Name, p.About)
		}
		return w.Flush()
	}
	if len(c.Profile) > 0 {
		profiles = profiles[:0]
		for _, name := range c.Profile {
			p, err := lab.Find(name)
			if err != nil {
				return &coded{exitUsage, err}
			}
			profiles = append(profiles, p)
		}
	}
	if c.For < time.Second || c.For > time.Hour/2 {
		return &coded{exitUsage, fmt.Errorf("--for is %v; it must be between 1s and 30m", c.For)}
	}
	if c.FPS < 1 || c.FPS > 240 {
		return &coded{exitUsage, fmt.Errorf("--fps is %d; it must be between 1 and 240", c.FPS)}
	}
	report, err := lab.Do(ctx, lab.Config{
		Profiles: profiles, For: c.For, Display: c.Display, Size: c.Size, FPS: c.FPS, Relay: c.Relay,
		HostConfig: c.Config, Out: c.Out, Version: thisBuild().Version,
	}, a.stderr)
	if err != nil {
		return err
	}
	path, err := report.Write()
	if err != nil {
		return err
	}
	say(a.stdout, "%s; the report is %s\n", report.Summary(), path)
	switch report.Worst() {
	case lab.Missed:
		return errGoals
	case lab.Undecided:
		return &coded{exitBusy, errBusy}
	default:
		return nil
	}
}
