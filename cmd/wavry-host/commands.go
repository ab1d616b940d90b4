package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"wavryhost/session"
	"wavryhost/session/api"
)

// hostStatus is what the commands show of a host.
type hostStatus struct {
	session.Host
	ID, Name, Version, Platform string
	BootID                      string  `json:"boot_id"`
	UptimeSeconds               float64 `json:"uptime_seconds"`
	RestartPending              bool    `json:"restart_pending"`
	Trial                       *api.ProgramTrial
	Handover                    *api.Handover
	Former                      *api.FormerDaemon
	SelfProbe                   *api.SelfProbe `json:"self_probe"`
}

// ask runs a command that reads an answer and shows it as a table, or prints it as JSON.
func (f clientFlags) ask(ctx context.Context, a *app, method, path string, in, out any, show func(io.Writer)) error {
	c, err := f.connect(a)
	if err != nil {
		return err
	}
	if f.JSON {
		return c.call(ctx, method, path, in, nil, a.stdout)
	}
	if err := c.call(ctx, method, path, in, out, nil); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	show(w)
	return w.Flush()
}

func (h *hostStatus) show(w io.Writer) {
	say(w, "host:\t%s\n", strings.TrimSpace(h.Name+" "+h.ID))
	say(w, "version:\t%s %s\n", h.Version, h.Platform)
	if h.RestartPending {
		say(w, "update:\tinstalled; run wavry-host upgrade to use it\n")
	}
	if t := h.Trial; t != nil {
		say(w, "trial of it:\t%s\n", strings.Join(append([]string{t.State}, t.Problems...), "; "))
	}
	state := h.State
	if h.StateReason != "" {
		state += " (" + h.StateReason + ")"
	}
	say(w, "state:\t%s since %s\n", state, h.StateSince.Local().Format(time.DateTime))
	if c := h.Cordon; c != nil {
		say(w, "cordon:\t%s\n", ordered(c.Owner, c.Note, c.Begun, c.Until))
	}
	if d := h.Drain; d != nil {
		say(w, "drain:\t%s\n", ordered(d.Owner, d.Note, d.Begun, d.Deadline))
	}
	if !h.DrainDeadline.IsZero() {
		say(w, "drain ends:\t%s\n", h.DrainDeadline.Local().Format(time.DateTime))
	}
	say(w, "running for:\t%s\n", time.Duration(h.UptimeSeconds*float64(time.Second)).Round(time.Second))
	say(w, "sessions:\t%d of %d\n", h.Sessions, h.Limit)
	if f := h.Former; f != nil {
		say(w, "former daemon:\t%s left\n", counted(f.Sessions, "session"))
	}
	if o := h.Handover; o != nil {
		say(w, "handover:\t%s\n", strings.TrimSpace(o.State+" "+o.Problem))
	}
	if p := h.SelfProbe; p != nil {
		say(w, "self-probe:\t%s\n", strings.TrimSpace(p.State+" "+p.Problem))
	}
	for _, d := range h.Displays {
		say(w, "display:\t%s, %s\n", d.ID, counted(d.Viewers, "viewer"))
	}
	for _, e := range h.Encoders {
		if e.InUse {
			say(w, "encoder:\t%s (%s)\n", e.Name, e.Codec)
		}
	}
}

// ordered describes a cordon or a drain.
func ordered(owner, note string, begun, end time.Time) string {
	text := "since " + begun.Local().Format(time.DateTime)
	if owner != "" {
		text += " by " + owner
	}
	if !end.IsZero() {
		text += " until " + end.Local().Format(time.DateTime)
	}
	if note != "" {
		text += ": " + note
	}
	return text
}

// counted returns a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// statusOfHostCmd is "wavry-host status".
type statusOfHostCmd struct {
	Client clientFlags `embed:""`
}

// Run is called by kong.
func (c *statusOfHostCmd) Run(ctx context.Context, a *app) error {
	var h hostStatus
	return c.Client.ask(ctx, a, "GET", "/v1/host", nil, &h, h.show)
}

// sessionsCmd is "wavry-host sessions".
type sessionsCmd struct {
	Client clientFlags `embed:""`
}

// Run is called by kong.
func (c *sessionsCmd) Run(ctx context.Context, a *app) error {
	var list struct {
		Sessions []struct {
			ID, Display, State, Subject, Role, Codec, Quality, Path string
			Created                                                 time.Time
			FPS                                                     float64
			AchievedBitrate                                         float64 `json:"achieved_bitrate"`
		}
	}
	return c.Client.ask(ctx, a, "GET", "/v1/sessions?page_size=1000", nil, &list, func(w io.Writer) {
		say(w, "SESSION\tDISPLAY\tOWNER\tROLE\tSTATE\tQUALITY\tMBIT/S\tFPS\tPATH\tAGE\n")
		for _, s := range list.Sessions {
			say(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.1f\t%.0f\t%s\t%s\n", s.ID, s.Display, s.Subject, s.Role, s.State, s.Quality,
				s.AchievedBitrate/1e6, s.FPS, s.Path, time.Since(s.Created).Round(time.Second))
		}
	})
}

// drainCmd is "wavry-host drain".
type drainCmd struct {
	Policy   string         `enum:"wait,move,end" default:"wait" placeholder:"POLICY" help:"What happens to the sessions: wait, move (ask viewers to move by an event) or end. Default: ${default}."`         //nolint:lll // a struct tag is one line
	Deadline time.Duration  `placeholder:"DURATION" help:"When the sessions that are left are ended, such as 30m. Default: never."`                                                                           //nolint:lll // a struct tag is one line
	Postpone *time.Duration `placeholder:"DURATION" help:"For how long in total a viewer may postpone the end of its session, such as 10m; 0s for not at all. Default: the setting sessions.drain_postpone."` //nolint:lll // a struct tag is one line
	Note     string         `placeholder:"TEXT" help:"The reason, for viewers and other operators."`
	Status   bool           `help:"Show the progress of the drain, and change nothing."`
	Cancel   bool           `help:"End the drain: accept new sessions again."`
	Wait     bool           `help:"Return when no session is left."`
	Client   clientFlags    `embed:""`
}

// Run is called by kong.
func (c *drainCmd) Run(ctx context.Context, a *app) error {
	var h hostStatus
	switch {
	case c.Status && c.Cancel:
		return &coded{exitUsage, fmt.Errorf("--status and --cancel exclude each other")}
	case c.Wait && (c.Status || c.Cancel):
		return &coded{exitUsage, fmt.Errorf("--wait is for the begin of a drain, without --status and --cancel")}
	case c.Cancel:
		return c.Client.ask(ctx, a, "DELETE", "/v1/drain", nil, &h, h.show)
	case c.Status:
		var d struct {
			Policy       string
			Begun        time.Time
			Deadline     time.Time
			SessionsLeft int `json:"sessions_left"`
			AtStart      int `json:"sessions_at_start"`
			Postponed    int `json:"sessions_postponed"`
		}
		return c.Client.ask(ctx, a, "GET", "/v1/drain", nil, &d, func(w io.Writer) {
			say(w, "policy:\t%s\nbegun:\t%s\n", d.Policy, d.Begun.Local().Format(time.DateTime))
			if !d.Deadline.IsZero() {
				say(w, "deadline:\t%s\n", d.Deadline.Local().Format(time.DateTime))
			}
			say(w, "sessions:\t%d left of %d\n", d.SessionsLeft, d.AtStart)
			if d.Postponed > 0 {
				say(w, "postponed:\t%d by their viewers\n", d.Postponed)
			}
		})
	}
	in := map[string]any{"policy": c.Policy, "deadline_seconds": c.Deadline.Seconds(), "note": c.Note}
	if c.Postpone != nil {
		in["postpone_seconds"] = c.Postpone.Seconds()
	}
	err := c.Client.ask(ctx, a, "PUT", "/v1/drain", in, &h, h.show)
	if err != nil || !c.Wait {
		return err
	}
	daemon, err := c.Client.connect(a)
	if err != nil {
		return err
	}
	return untilDrained(ctx, daemon.call)
}

// cordonCmd is "wavry-host cordon": no new sessions, and nothing happens to the present ones.
type cordonCmd struct {
	Note   string        `placeholder:"TEXT" help:"The reason, for other operators."`
	For    time.Duration `placeholder:"DURATION" help:"How long the cordon lasts, such as 8h. Default: never."`
	Client clientFlags   `embed:""`
}

// Run is called by kong.
func (c *cordonCmd) Run(ctx context.Context, a *app) error {
	var h hostStatus
	in := map[string]any{"note": c.Note, "duration_seconds": c.For.Seconds()}
	return c.Client.ask(ctx, a, "PUT", "/v1/cordon", in, &h, h.show)
}

// uncordonCmd is "wavry-host uncordon".
type uncordonCmd struct {
	Client clientFlags `embed:""`
}

// Run is called by kong.
func (c *uncordonCmd) Run(ctx context.Context, a *app) error {
	var h hostStatus
	return c.Client.ask(ctx, a, "DELETE", "/v1/cordon", nil, &h, h.show)
}

// eventsCmd is "wavry-host events".
type eventsCmd struct {
	After   uint64      `placeholder:"ID" help:"Begin after this event. Default: with the next one."`
	Kind    []string    `placeholder:"KIND,…" help:"Only events of these kinds, such as session_ended."`
	Session string      `placeholder:"ID" help:"Only events of this session."`
	Display string      `placeholder:"ID" help:"Only events of this display."`
	Owner   string      `placeholder:"NAME" help:"Only events of sessions and reservations of this owner."`
	Label   []string    `placeholder:"NAME=VALUE,…" help:"Only events of sessions and reservations with these labels."`
	Client  clientFlags `embed:""`
}

// query returns the parameters of the request.
func (c *eventsCmd) query() url.Values {
	q := url.Values{"kind": c.Kind, "label": c.Label}
	for name, value := range map[string]string{"session": c.Session, "display": c.Display, "owner": c.Owner} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if c.After > 0 {
		q.Set("after", strconv.FormatUint(c.After, 10))
	}
	return q
}

// Run is called by kong. It ends with ctx, or when the daemon ends the stream.
func (c *eventsCmd) Run(ctx context.Context, a *app) error {
	daemon, err := c.Client.connect(a)
	if err != nil {
		return err
	}
	path := (&url.URL{Path: "/v1/events", RawQuery: c.query().Encode()}).String()
	body, err := daemon.open(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue // heartbeats, and what the data repeats
		}
		data = strings.TrimSpace(data)
		if !c.Client.JSON {
			data = eventLine(data)
		}
		if _, err := fmt.Fprintln(a.stdout, data); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: the stream broke: %w", daemon.where, err)
	}
	return nil
}
