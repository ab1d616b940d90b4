package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/pool"
)

// fleetFindCmd is "wavry-host fleet find".
type fleetFindCmd struct {
	Fleet   fleetFlags `embed:""`
	Pool    string     `placeholder:"NAME" help:"Only hosts of this pool."`
	Region  string     `placeholder:"NAME" help:"Only hosts of this region."`
	Profile string     `placeholder:"PROFILE" help:"Size and frame rate of the session, such as 1280x720@30."`
	Display string     `placeholder:"BACKEND" help:"Kind of display, such as x11."`
	Codec   string     `placeholder:"CODEC" help:"Codec, such as H264."`
	JSON    bool       `name:"json" help:"Print JSON."`
}

// Run is called by kong.
func (c *fleetFindCmd) Run(ctx context.Context, a *app) error {
	hosts, nc, err := c.Fleet.client(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	bids, err := hosts.Find(ctx, pool.Wish{
		Pool: c.Pool, Region: c.Region, Profile: c.Profile, Display: c.Display, Codec: c.Codec, Again: true,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.stdout, map[string]any{"bids": bids})
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	say(w, "ID\tSCORE\tDISPLAY\n")
	for _, b := range bids {
		say(w, "%s\t%.2f\t%s\n", b.Host, b.Score, b.Display)
	}
	return w.Flush()
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// fleetTarget says which hosts an order is for.
type fleetTarget struct {
	Fleet  fleetFlags    `embed:""`
	Select string        `placeholder:"LABELS" help:"Hosts with these labels, such as region=eu,version=1.4.0 or id=…."`
	All    bool          `help:"All hosts."`
	Absent time.Duration `placeholder:"DURATION" help:"Also hosts that are off, and come back within this time."`
	Wait   time.Duration `default:"20s" placeholder:"DURATION" help:"Time for hosts to answer. Default: ${default}."`
	JSON   bool          `name:"json" help:"Print the answers as JSON."`
}

// lookTime is how long an order looks for the hosts that it is for.
const lookTime = 500 * time.Millisecond

// send sends an order to the hosts, and prints what each answered. Hosts that do not answer are an error.
func (t fleetTarget) send(ctx context.Context, a *app, method, path string, in any) error {
	if (t.Select == "") != t.All {
		return &coded{exitUsage, errors.New("say which hosts: --select LABELS, or --all")}
	}
	selector, err := bus.ParseSelector(t.Select)
	if err != nil {
		return &coded{exitUsage, fmt.Errorf("--select: %w", err)}
	}
	c, nc, err := t.Fleet.client(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	known, err := present(ctx, nc, lookTime)
	if err != nil {
		return err
	}
	names := make(map[string]string)
	var expected []string
	for _, h := range known {
		if selector.Matches(h.Record) && (h.Presence == pool.Present || h.Presence == pool.Stopping) {
			names[h.ID] = h.Name
			expected = append(expected, h.ID)
		}
	}
	if len(expected) == 0 && t.Absent == 0 {
		return errors.New("no host matches")
	}
	body, err := bodyOf(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, t.Wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://fleet"+path, bytes.NewReader(body))
	if err != nil {
		return &coded{exitUsage, fmt.Errorf("%q is not a path of the API", path)}
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	ask := c.All
	if t.Absent > 0 {
		ask = func(ctx context.Context, r *http.Request, s bus.Selector, expected []string) ([]*bus.Answer, error) {
			return t.give(ctx, c, nc, r, s, expected)
		}
	}
	answers, err := ask(ctx, r, selector, expected)
	if err != nil {
		return err
	}
	return t.show(a, answers, expected, names)
}

// bodyOf returns the JSON of a body; nil for none.
func bodyOf(in any) ([]byte, error) {
	switch in := in.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(in), nil
	default:
		return json.Marshal(in)
	}
}

// show prints the answers, and returns an error if not all are good.
func (t fleetTarget) show(a *app, answers []*bus.Answer, expected []string, names map[string]string) error {
	bad := 0
	var missing []string
	for _, id := range expected {
		if !slices.ContainsFunc(answers, func(one *bus.Answer) bool { return one.Host == id }) {
			missing = append(missing, id)
		}
	}
	slices.SortFunc(answers, func(x, y *bus.Answer) int { return strings.Compare(names[x.Host], names[y.Host]) })
	type answer struct {
		Host   string `json:"host"`
		Name   string `json:"name"`
		Status int    `json:"status"`
		Body   any    `json:"body,omitempty"`
	}
	list := []answer{}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, one := range answers {
		out := answer{Host: one.Host, Name: names[one.Host], Status: one.Status}
		if json.Unmarshal(one.Body, &out.Body) != nil && len(one.Body) > 0 {
			out.Body = string(one.Body)
		}
		list = append(list, out)
		text := ""
		if one.Status >= http.StatusMultipleChoices {
			bad++
			var p problemDocument
			_ = json.Unmarshal(one.Body, &p) // a status says enough
			text = p.Detail
		}
		if !t.JSON {
			say(w, "%s\t%s\t%d\t%s\n", one.Host, out.Name, one.Status, text)
		}
	}
	err := w.Flush()
	if t.JSON {
		err = printJSON(a.stdout, map[string]any{"answers": list, "missing": missing})
	}
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		return &coded{exitUnreachable, fmt.Errorf("%s did not answer: %s", counted(len(missing), "host"),
			strings.Join(missing, ", "))}
	case bad > 0:
		return fmt.Errorf("%s refused", counted(bad, "host"))
	default:
		return nil
	}
}

// fleetCordonCmd is "wavry-host fleet cordon".
type fleetCordonCmd struct {
	Note   string        `placeholder:"TEXT" help:"The reason, for other operators."`
	For    time.Duration `placeholder:"DURATION" help:"How long the cordon lasts, such as 8h. Default: never."`
	Cancel bool          `help:"End the cordon."`
	Target fleetTarget   `embed:""`
}

// Run is called by kong.
func (c *fleetCordonCmd) Run(ctx context.Context, a *app) error {
	if c.Cancel {
		return c.Target.send(ctx, a, http.MethodDelete, "/v1/cordon", nil)
	}
	return c.Target.send(ctx, a, http.MethodPut, "/v1/cordon",
		map[string]any{"note": c.Note, "duration_seconds": c.For.Seconds()})
}

// fleetDrainCmd is "wavry-host fleet drain".
type fleetDrainCmd struct {
	Policy   string        `enum:"wait,move,end" default:"wait" placeholder:"POLICY" help:"What happens to the sessions: wait, move or end. Default: ${default}."` //nolint:lll // a struct tag is one line
	Deadline time.Duration `placeholder:"DURATION" help:"When the sessions that are left are ended. Default: never."`
	Note     string        `placeholder:"TEXT" help:"The reason, for other operators."`
	Cancel   bool          `help:"End the drain: accept new sessions again."`
	Target   fleetTarget   `embed:""`
}

// Run is called by kong.
func (c *fleetDrainCmd) Run(ctx context.Context, a *app) error {
	if c.Cancel {
		return c.Target.send(ctx, a, http.MethodDelete, "/v1/drain", nil)
	}
	return c.Target.send(ctx, a, http.MethodPut, "/v1/drain",
		map[string]any{"policy": c.Policy, "deadline_seconds": c.Deadline.Seconds(), "note": c.Note})
}

// fleetExecCmd is "wavry-host fleet exec": any request of the control API.
type fleetExecCmd struct {
	Method string      `arg:"" help:"Method, such as GET."`
	Path   string      `arg:"" help:"Path, such as /v1/sessions."`
	Body   string      `arg:"" optional:"" help:"Body, as JSON."`
	Target fleetTarget `embed:""`
}

// Run is called by kong.
func (c *fleetExecCmd) Run(ctx context.Context, a *app) error {
	if !strings.HasPrefix(c.Path, "/") {
		return &coded{exitUsage, fmt.Errorf("%q is not a path such as /v1/host", c.Path)}
	}
	var in any
	if c.Body != "" {
		if !json.Valid([]byte(c.Body)) {
			return &coded{exitUsage, errors.New("the body is not JSON")}
		}
		in = c.Body
	}
	return c.Target.send(ctx, a, strings.ToUpper(c.Method), c.Path, in)
}
