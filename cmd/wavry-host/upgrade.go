package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"wavryhost/session"
	"wavryhost/session/api"
)

// upgradeCmd is "wavry-host upgrade".
type upgradeCmd struct {
	IfIdle   bool          `help:"Change nothing while there are sessions; the restart stays pending."`
	Force    bool          `help:"Restart also if the daemon runs the installed program, or if that fails its trial, and never go back to the former one."`                                //nolint:lll // a struct tag is one line
	Watch    time.Duration `default:"20s" placeholder:"DURATION" help:"For how long the new program is watched, and replaced by the former one if it does not work. Default: ${default}."` //nolint:lll // a struct tag is one line
	Deadline time.Duration `placeholder:"DURATION" help:"When the sessions end that do not move to the new daemon, such as 30m. Default: never."`                                          //nolint:lll // a struct tag is one line
	Flags    serviceFlags  `embed:""`
	Socket   string        `placeholder:"PATH" help:"Socket of the daemon. Default: your own daemon's, else the service's."` //nolint:lll // a struct tag is one line
}

const (
	// comeback bounds the wait for the new daemon.
	comeback = time.Minute
	// handoverLimit bounds the wait for a handover, which has a limit of its own.
	handoverLimit = handoverTime + 2*probeTime + comeback
	// relapse is for how long the new daemon may be silent while it is watched.
	relapse = 10 * time.Second
)

// Run is called by kong. The installed program takes over from the daemon, or is started once no session is left.
func (c *upgradeCmd) Run(ctx context.Context, a *app) error {
	if c.Watch < 0 {
		return &coded{exitUsage, fmt.Errorf("--watch %v is negative", c.Watch)}
	}
	manager, err := c.Flags.manager(a)
	if err != nil {
		return err
	}
	u := upgrade{
		say:     func(format string, args ...any) { say(a.stdout, format+"\n", args...) },
		restart: manager.Restart,
		connect: func() (caller, error) { return clientFlags{Socket: c.Socket}.connect(a) },
		keep: func(ctx context.Context) (*formerProgram, error) {
			status, err := manager.Status(ctx)
			if err != nil {
				return nil, err
			}
			return keepFormer(status.PID)
		},
		ifIdle: c.IfIdle, force: c.Force, deadline: c.Deadline, watch: c.Watch, poll: time.Second,
	}
	signal.Ignore(syscall.SIGHUP) // the terminal may be lost between the restart and the end of the watch
	return u.run(ctx)
}

// caller asks a daemon.
type caller interface {
	call(ctx context.Context, method, path string, in, out any, raw io.Writer) error
}

// upgrade restarts the daemon between sessions.
type upgrade struct {
	say     func(format string, args ...any)
	restart func(ctx context.Context) error
	connect func() (caller, error)
	// keep keeps a copy of the program that the daemon runs.
	keep                  func(ctx context.Context) (*formerProgram, error)
	ifIdle, force         bool
	deadline, watch, poll time.Duration
}

func (u upgrade) run(ctx context.Context) error {
	daemon, err := u.connect()
	if err != nil {
		return err
	}
	var h hostStatus
	if err := daemon.call(ctx, "GET", "/v1/host", nil, &h, nil); err != nil {
		return err
	}
	if !h.RestartPending && !u.force {
		u.say("the daemon runs the installed program, %s; nothing to do", h.Version)
		return nil
	}
	if err := u.try(ctx, daemon); err != nil {
		return err
	}
	former, err := u.kept(ctx)
	if err != nil {
		return err
	}
	defer former.forget()
	visible := former != nil && u.probe(ctx, daemon) == nil
	if !u.ifIdle {
		over, err := u.handOver(ctx, daemon, h.BootID)
		switch {
		case err != nil && former != nil && ctx.Err() == nil:
			// A crash of the former daemon must not start the program that does not work.
			if back := former.restore(); back != nil {
				return errors.Join(err, fmt.Errorf("put %s back: %w", h.Version, back))
			}
			return fmt.Errorf("%w; %s was put back as %s", err, h.Version, former.installed)
		case err != nil:
			return err
		case over:
			return u.settle(ctx, false, h, former, visible, u.finish(ctx, false, h.Host))
		}
	}
	own := h.Drain == nil // a drain of somebody else's stays
	if own {
		in := map[string]any{"policy": "wait", "deadline_seconds": u.deadline.Seconds(), "note": "upgrade"}
		if err := daemon.call(ctx, "PUT", "/v1/drain", in, &h, nil); err != nil {
			return fmt.Errorf("refuse new sessions: %w", err)
		}
	}
	if h, err = u.empty(ctx, daemon, h); err != nil {
		if own {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
			defer cancel()
			err = errors.Join(err, daemon.call(stop, "DELETE", "/v1/drain", nil, nil, nil))
		}
		if errors.Is(err, errStaysPending) {
			u.say("a restart is pending: %s; run wavry-host upgrade when it suits", counted(h.Sessions, "session"))
			return nil
		}
		return err
	}
	return u.into(ctx, own, h, former, visible)
}

// into restarts the daemon into the installed program, and goes back to the former one if that does not work. Visible
// daemons had a self-probe that passed.
func (u upgrade) into(
	ctx context.Context, drained bool, h hostStatus, former *formerProgram, visible bool,
) error {
	u.say("restarting")
	return u.settle(ctx, drained, h, former, visible, u.change(ctx, drained, h.Host))
}

// settle keeps the new daemon if it works, or goes back to the former program. err is what went wrong so far.
func (u upgrade) settle(
	ctx context.Context, drained bool, h hostStatus, former *formerProgram, visible bool, err error,
) error {
	if err == nil && visible {
		err = u.probeNew(ctx)
	}
	if err == nil || former == nil || ctx.Err() != nil {
		return err
	}
	u.say("going back to %s: %v", h.Version, err)
	back := former.restore()
	if back == nil {
		u.watch, u.force = 0, true // whatever it can do: there is no other one
		back = u.goBack(ctx, drained)
	}
	if back != nil {
		return errors.Join(err, fmt.Errorf("go back to %s: %w", h.Version, back))
	}
	return fmt.Errorf("the new program did not work, so %s was put back as %s and runs again; install its package too, "+
		"or a repaired one: %w", h.Version, former.installed, err)
}

// goBack gets from a new daemon that does not work to the installed program: without an end of its sessions, if it can
// still do that.
func (u upgrade) goBack(ctx context.Context, drained bool) error {
	var h hostStatus
	daemon, err := u.connect()
	if err == nil {
		err = daemon.call(ctx, "GET", "/v1/host", nil, &h, nil)
	}
	if err == nil {
		if over, err := u.handOver(ctx, daemon, h.BootID); over || err != nil {
			return err
		}
	}
	return u.change(ctx, drained, session.Host{})
}

// handOver lets the daemon with a boot ID leave the host to the installed program, with its sessions. It reports
// whether another daemon has taken over. Without an error nothing has changed otherwise.
func (u upgrade) handOver(ctx context.Context, daemon caller, boot string) (over bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, handoverLimit, errors.New("the daemon neither leaves the host to the "+
		"new one nor says why; see its log"))
	defer cancel()
	in := map[string]any{"deadline_seconds": u.deadline.Seconds()}
	if err := daemon.call(ctx, "POST", "/v1/handover", in, nil, nil); tooOld(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("hand over to the new daemon: %w", err)
	}
	for {
		var h hostStatus
		if daemon, err = u.connect(); err == nil {
			err = daemon.call(ctx, "GET", "/v1/host", nil, &h, nil)
		}
		switch now := h.Handover; {
		case err != nil: // one daemon has left the socket, and the other has not come yet
		case h.BootID != boot:
			u.say("the new daemon has taken over; pages move to it by themselves")
			return true, nil
		case now == nil || now.State == api.HandoverRunning:
		case now.State == api.HandoverImpossible:
			u.say("sessions cannot move to the new daemon: %s", now.Problem)
			return false, nil
		case u.force:
			u.say("the new daemon does not take over, and is started all the same: %s", now.Problem)
			return false, nil
		default:
			return false, fmt.Errorf("the new daemon does not take over, so the former one continues: %s; repair that, or "+
				"use --force", now.Problem)
		}
		if err := u.pause(ctx); err != nil {
			return false, err
		}
	}
}

// pause waits before the daemon is asked again.
func (u upgrade) pause(ctx context.Context) error {
	select {
	case <-time.After(u.poll):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kept keeps the program that the daemon runs. It returns nil where there is nothing to go back to.
func (u upgrade) kept(ctx context.Context) (*formerProgram, error) {
	if u.watch == 0 || u.force {
		return nil, nil //nolint:nilnil // the new program stays, whatever it does
	}
	former, err := u.keep(ctx)
	switch {
	case err == nil:
		return former, nil
	case errors.Is(err, errors.ErrUnsupported):
		u.say("there is no way back to the former program: %v", err)
		return nil, nil //nolint:nilnil // the operator was told
	}
	return nil, fmt.Errorf("keep the former program, so that there is a way back: %w; repair that, or use --watch 0s "+
		"to do without", err)
}

// change restarts the daemon into the installed program. It returns an error if that then cannot do what the daemon
// did before.
func (u upgrade) change(ctx context.Context, drained bool, before session.Host) error {
	within, cancel := context.WithTimeoutCause(ctx, comeback, fmt.Errorf("it is not ready within %v", comeback))
	defer cancel()
	if err := u.restart(within); err != nil {
		return fmt.Errorf("restart the daemon: %w", cmp.Or(context.Cause(within), err))
	}
	return u.finish(ctx, drained, before)
}

// probe returns why a self-probe of the daemon does not pass: errNoProbe if it makes none.
func (u upgrade) probe(ctx context.Context, daemon caller) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*probeTime, errors.New("the daemon does not finish its self-probe"))
	defer cancel()
	if err := daemon.call(ctx, "POST", "/v1/self-probe", nil, nil, nil); tooOld(err) {
		return errNoProbe
	} else if err != nil {
		return err
	}
	for {
		var h hostStatus
		if err := daemon.call(ctx, "GET", "/v1/host", nil, &h, nil); err != nil {
			return err
		}
		switch p := h.SelfProbe; {
		case p == nil || p.State == api.ProbeSkipped:
			return errNoProbe
		case p.State == api.ProbeFailed:
			return errors.New(p.Problem)
		case p.State == api.ProbePassed:
			return nil
		}
		if err := u.pause(ctx); err != nil {
			return err
		}
	}
}

// tooOld reports whether a daemon refused a request because it is of an older version.
func tooOld(err error) bool {
	refused, ok := errors.AsType[*refusalError](err)
	return ok && refused.status == http.StatusNotFound
}

// errNoProbe means that the daemon makes no self-probe now.
var errNoProbe = errors.New("the daemon makes no self-probe now")

// probeNew returns an error if no viewer of the new daemon would see the display. One of two self-probes may fail.
func (u upgrade) probeNew(ctx context.Context) (err error) {
	for range 2 {
		var daemon caller
		if daemon, err = u.connect(); err == nil {
			err = u.probe(ctx, daemon)
		}
		if err == nil || errors.Is(err, errNoProbe) {
			return nil
		}
	}
	return fmt.Errorf("no viewer of the new daemon sees the display: %w", err)
}

// trialLimit bounds the wait for a trial, which has a limit of its own.
const trialLimit = trialTime + 30*time.Second

// try lets the daemon try the installed program. A failed trial ends the upgrade before anything has changed.
func (u upgrade) try(ctx context.Context, daemon caller) error {
	ctx, cancel := context.WithTimeoutCause(ctx, trialLimit, errors.New("the daemon does not finish the trial of the "+
		"installed program; see its log"))
	defer cancel()
	u.say("trying the installed program")
	err := daemon.call(ctx, "POST", "/v1/trial", nil, nil, nil)
	if tooOld(err) {
		u.say("the daemon is too old to try it")
		return nil
	}
	if err != nil {
		return fmt.Errorf("try the installed program: %w", err)
	}
	for {
		var h hostStatus
		if err := daemon.call(ctx, "GET", "/v1/host", nil, &h, nil); err != nil {
			return err
		}
		switch t := h.Trial; {
		case t == nil:
			return errors.New("the program was replaced during its trial: try again")
		case t.State == api.TrialPassed:
			u.say("it works here")
			return nil
		case t.State == api.TrialFailed && u.force:
			u.say("it fails its trial, and is started all the same: %s", strings.Join(t.Problems, "; "))
			return nil
		case t.State == api.TrialFailed:
			return fmt.Errorf("the installed program fails its trial, so the daemon was not restarted: %s; repair that, "+
				"install the former version, or use --force", strings.Join(t.Problems, "; "))
		}
		if err := u.pause(ctx); err != nil {
			return err
		}
	}
}

// errStaysPending means that there are sessions, and that none may be ended.
var errStaysPending = errors.New("the restart stays pending")

// empty waits until no session is left, and returns the host as it is then.
func (u upgrade) empty(ctx context.Context, daemon caller, h hostStatus) (hostStatus, error) {
	for last := -1; ; {
		if h.Sessions == 0 {
			return h, nil
		}
		if u.ifIdle {
			return h, errStaysPending
		}
		if h.Sessions != last {
			u.say("waiting for %s to end", counted(h.Sessions, "session"))
			last = h.Sessions
		}
		if err := u.pause(ctx); err != nil {
			return h, err
		}
		h = hostStatus{}
		if err := daemon.call(ctx, "GET", "/v1/host", nil, &h, nil); err != nil {
			return h, err
		}
	}
}

// finish waits until the new daemon works, lets it accept sessions, and watches it.
func (u upgrade) finish(ctx context.Context, drained bool, before session.Host) error {
	var (
		up    bool
		boot  string
		since = time.Now() // when it began to work
		good  = since      // when it worked last
		most  = comeback   // after that
	)
	for {
		daemon, h, err := u.look(ctx)
		if err == nil && !up {
			if gone := lost(before, h.report()); len(gone) > 0 {
				err = fmt.Errorf("the new daemon cannot do what the former one did: %s", strings.Join(gone, "; "))
			}
		}
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && now.Sub(good) >= most:
			return fmt.Errorf("%w; see wavry-host service status and the daemon's log", err)
		case err != nil:
		case !up:
			if drained && h.Drain != nil {
				if err := daemon.call(ctx, "DELETE", "/v1/drain", nil, &h, nil); err != nil {
					return fmt.Errorf("accept sessions again: %w", err)
				}
			}
			u.say("the daemon runs %s, and is %s", h.Version, h.State)
			up, boot, since, most = true, h.BootID, now, relapse
		case h.BootID != boot:
			return errors.New("the new daemon ended, and was started again; see its log")
		}
		if err == nil {
			if good = now; now.Sub(since) >= u.watch {
				return nil
			}
		}
		if err := u.pause(ctx); err != nil {
			return err
		}
	}
}

// look asks the new daemon. It returns an error if that does not answer, or is still the former one.
func (u upgrade) look(ctx context.Context) (daemon caller, h hostStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, relapse)
	defer cancel()
	if daemon, err = u.connect(); err == nil {
		err = daemon.call(ctx, "GET", "/v1/host", nil, &h, nil)
	}
	if err != nil {
		return nil, h, fmt.Errorf("the new daemon does not answer: %w", err)
	}
	if h.RestartPending {
		return nil, h, errors.New("the daemon still runs the former program")
	}
	return daemon, h, nil
}

// report returns what a running daemon can do, as a trial does.
func (h *hostStatus) report() trialReport {
	return trialReport{Encoders: h.Encoders, Displays: asCandidates(h.Displays)}
}
