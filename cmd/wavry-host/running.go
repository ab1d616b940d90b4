package main

import (
	"context"
	"errors"

	"wavryhost/platform/display"
	"wavryhost/session"
)

// runningFlags say whether a command asks the running daemon or looks at this machine itself.
type runningFlags struct {
	Probe  bool   `help:"Look at this machine, and do not ask the running daemon. So do flags that set something."`
	Socket string `placeholder:"PATH" help:"Socket of the daemon. Default: your own daemon's, else the service's."`
}

// daemon returns a client of the running daemon; nil if the command is to look itself.
func (f runningFlags) daemon(a *app, s settingFlags) (*client, error) {
	if f.Probe || s.given() {
		if f.Socket != "" {
			return nil, &coded{exitUsage, errors.New("--socket asks the running daemon, whose settings flags do " +
				"not change")}
		}
		return nil, nil //nolint:nilnil // the command looks itself
	}
	c, err := clientFlags{Socket: f.Socket}.connect(a)
	if err != nil && f.Socket == "" {
		return nil, nil //nolint:nilnil // no daemon runs
	}
	return c, err
}

// given reports whether flags name a configuration.
func (f settingFlags) given() bool { return f.Config != "" || len(f.values()) > 0 }

// displays returns the displays of the daemon, the default first.
func (c *client) displays(ctx context.Context) ([]candidate, error) {
	var list struct{ Displays []session.DisplayInfo }
	if err := c.call(ctx, "GET", "/v1/displays", nil, &list, nil); err != nil {
		return nil, err
	}
	return asCandidates(list.Displays), nil
}

// asCandidates returns the displays of a daemon as a search for displays reports them.
func asCandidates(displays []session.DisplayInfo) []candidate {
	all := []candidate{}
	for i, d := range displays {
		one := candidate{
			ID: d.ID, Name: d.Name, Backend: d.Backend, Width: d.Width, Height: d.Height, State: display.State(d.State),
			Why: d.Reason, Default: i == 0, Layout: d.Layout, Group: d.Group,
		}
		switch d.State {
		case "live", "idle":
			one.State = display.Usable
		case "lost":
			one.State = display.Unusable
		}
		all = append(all, one)
	}
	return all
}

// encoders returns the encoders of the daemon.
func (c *client) encoders(ctx context.Context) ([]session.EncoderInfo, error) {
	var h struct{ Encoders []session.EncoderInfo }
	err := c.call(ctx, "GET", "/v1/host", nil, &h, nil)
	return h.Encoders, err
}
