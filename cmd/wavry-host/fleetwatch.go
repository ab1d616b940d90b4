package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"wavryhost/session/api/durable"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/pool"
)

// follow calls changed with the hosts, once they are known and then at each change, until ctx ends.
func (f fleetFlags) follow(ctx context.Context, wait time.Duration, changed func([]pool.Host) error) error {
	nc, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	inner, cancel := context.WithCancel(ctx)
	v := pool.NewView(nc, pool.Options{})
	ended := make(chan error, 1) // one result, never blocks
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- v.Run(inner)
	}()
	defer func() {
		cancel()
		<-done
	}()
	settled := time.NewTimer(wait)
	defer settled.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	case <-settled.C:
	}
	for {
		news := v.Changes()
		if err := changed(v.Hosts()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		}
	}
}

// fleetWatchCmd is "wavry-host fleet watch".
type fleetWatchCmd struct {
	Fleet fleetFlags    `embed:""`
	Wait  time.Duration `default:"1s" placeholder:"DURATION" help:"Time for hosts to answer first. Default: ${default}."`

	Events bool          `help:"Follow the events of hosts, from the fleet's stream."`
	Host   string        `placeholder:"ID" help:"With --events: only those of this host."`
	Kind   string        `placeholder:"KIND" help:"With --events: only those of this kind, such as session_ended."`
	Since  time.Duration `placeholder:"DURATION" help:"With --events: begin that long ago. Default: now."`
	JSON   bool          `name:"json" help:"With --events: print a line of JSON for each event."`
}

// Run is called by kong. It ends with ctx.
func (c *fleetWatchCmd) Run(ctx context.Context, a *app) error {
	if c.Events {
		return c.events(ctx, a)
	}
	if c.Host != "" || c.Kind != "" || c.Since != 0 || c.JSON {
		return &coded{exitUsage, errors.New("--host, --kind, --since and --json are for --events")}
	}
	known := make(map[string]string)
	return c.Fleet.follow(ctx, c.Wait, func(list []pool.Host) error {
		for _, h := range list {
			text := fmt.Sprintf("%s %s, %s (%s), %d of %d sessions", h.Name, h.Presence, h.State, h.Reason, h.Sessions, h.Limit)
			if h.Duplicate {
				text += ", two hosts with this identity"
			}
			if known[h.ID] == text {
				continue
			}
			known[h.ID] = text
			if _, err := fmt.Fprintf(a.stdout, "%s %s %s\n", time.Now().Format(time.TimeOnly), h.ID, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// events follows the events of hosts until ctx ends.
func (c *fleetWatchCmd) events(ctx context.Context, a *app) error {
	if c.Host != "" && !bus.IsID(c.Host) {
		return &coded{exitUsage, fmt.Errorf("--host: %q is not an ID, as \"wavry-host fleet hosts\" prints it", c.Host)}
	}
	nc, err := c.Fleet.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	o := pool.EventOptions{Host: c.Host, Kind: c.Kind}
	if c.Since > 0 {
		o.Since = time.Now().Add(-c.Since)
	}
	return pool.Events(ctx, nc, o, func(e pool.Event) error {
		if c.JSON {
			_, err := fmt.Fprintf(a.stdout, "%s\n", bus.Encode(e))
			return err
		}
		_, err := fmt.Fprintf(a.stdout, "%s %s %s %s\n", e.At.Local().Format(time.TimeOnly), e.Host, e.Kind, e.Data)
		return err
	})
}

// fleetTargetsCmd is "wavry-host fleet targets": the hosts as a file for the file discovery of Prometheus.
type fleetTargetsCmd struct {
	Fleet fleetFlags    `embed:""`
	Out   string        `placeholder:"FILE" help:"File that is replaced at each change. Default: print once."`
	Keep  time.Duration `default:"1h" placeholder:"DURATION" help:"How long silent hosts stay. Default: ${default}."`
	Wait  time.Duration `default:"1s" placeholder:"DURATION" help:"Time for hosts to answer first. Default: ${default}."`
}

// errPrinted ends the following.
var errPrinted = errors.New("printed")

// Run is called by kong. With --out it ends with ctx.
func (c *fleetTargetsCmd) Run(ctx context.Context, a *app) error {
	last := ""
	err := c.Fleet.follow(ctx, c.Wait, func(list []pool.Host) error {
		text := string(bus.Encode(targetsOf(list, time.Now(), c.Keep))) + "\n"
		if c.Out == "" {
			if _, err := a.stdout.Write([]byte(text)); err != nil {
				return err
			}
			return errPrinted
		}
		if text == last {
			return nil
		}
		if err := durable.Publish(c.Out, []byte(text)); err != nil {
			return err
		}
		last = text
		return nil
	})
	if errors.Is(err, errPrinted) {
		return nil
	}
	return err
}

// targetGroup is a group of targets, in the format of Prometheus.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// targetsOf returns the targets. A cordoned host stays a target, and so does a silent one for a while, so that its
// absence is noticed.
func targetsOf(list []pool.Host, now time.Time, keep time.Duration) []targetGroup {
	groups := []targetGroup{}
	for _, h := range list {
		away := h.Presence == pool.Stopped || h.Presence == pool.Gone && now.Sub(h.Seen) > keep
		if h.Address == "" || away {
			continue
		}
		labels := map[string]string{
			"__scheme__": h.Scheme, "fleet_id": h.ID, "host": h.Name, "version": h.Version,
		}
		for _, name := range slices.Sorted(maps.Keys(h.Labels)) {
			labels[labelName(name)] = h.Labels[name]
		}
		groups = append(groups, targetGroup{[]string{h.Address}, labels})
	}
	return groups
}

// labelName returns the name of a host's label as Prometheus allows it.
func labelName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
}
