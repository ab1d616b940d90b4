package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"wavryhost/session/api"
)

// upgradeCmd is "wavry-host upgrade".
type upgradeCmd struct {
	IfIdle   bool          `help:"Restart only if there is no session now; otherwise the restart stays pending."`
	Force    bool          `help:"Restart also if the daemon runs the installed program, or if that fails its trial."`
	Deadline time.Duration `placeholder:"DURATION" help:"When the sessions that are left are ended, such as 30m. Default: never."` //nolint:lll // a struct tag is one line
	Flags    serviceFlags  `embed:""`
	Socket   string        `placeholder:"PATH" help:"Socket of the daemon. Default: your own daemon's, else the service's."` //nolint:lll // a struct tag is one line
}

// comeback bounds the wait for the new daemon.
const comeback = time.Minute

// Run is called by kong. It restarts the service once no session is left.
func (c *upgradeCmd) Run(ctx context.Context, a *app) error {
	manager, err := c.Flags.manager(a)
	if err != nil {
		return err
	}
	u := upgrade{
		say:     func(format string, args ...any) { say(a.stdout, format+"\n", args...) },
		restart: manager.Restart,
		connect: func() (caller, error) { return clientFlags{Socket: c.Socket}.connect(a) },
		ifIdle:  c.IfIdle, force: c.Force, deadline: c.Deadline, poll: time.Second,
	}
	return u.run(ctx)
}

// caller asks a daemon.
type caller interface {
	call(ctx context.Context, method, path string, in, out any, raw io.Writer) error
}

// upgrade restarts the daemon between sessions.
type upgrade struct {
	say           func(format string, args ...any)
	restart       func(ctx context.Context) error
	connect       func() (caller, error)
	ifIdle, force bool
	deadline      time.Duration
	poll          time.Duration
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
	own := h.Drain == nil // a drain of somebody else's stays
	if own {
		in := map[string]any{"policy": "wait", "deadline_seconds": u.deadline.Seconds(), "note": "upgrade"}
		if err := daemon.call(ctx, "PUT", "/v1/drain", in, &h, nil); err != nil {
			return fmt.Errorf("refuse new sessions: %w", err)
		}
	}
	if err := u.empty(ctx, daemon, h); err != nil {
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
	u.say("restarting")
	if err := u.restart(ctx); err != nil {
		return fmt.Errorf("restart the daemon: %w", err)
	}
	return u.finish(ctx, own)
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
	if refused, ok := errors.AsType[*refusalError](err); ok && refused.status == http.StatusNotFound {
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
		select {
		case <-time.After(u.poll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errStaysPending means that there are sessions, and that none may be ended.
var errStaysPending = errors.New("the restart stays pending")

// empty waits until no session is left.
func (u upgrade) empty(ctx context.Context, daemon caller, h hostStatus) error {
	for last := -1; ; {
		if h.Sessions == 0 {
			return nil
		}
		if u.ifIdle {
			return errStaysPending
		}
		if h.Sessions != last {
			u.say("waiting for %s to end", counted(h.Sessions, "session"))
			last = h.Sessions
		}
		select {
		case <-time.After(u.poll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		h = hostStatus{}
		if err := daemon.call(ctx, "GET", "/v1/host", nil, &h, nil); err != nil {
			return err
		}
	}
}

// finish waits for the new daemon, and lets it take sessions.
func (u upgrade) finish(ctx context.Context, drained bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, comeback, fmt.Errorf("the new daemon does not answer; see wavry-host "+
		"service status and its log"))
	defer cancel()
	for {
		daemon, err := u.connect()
		var h hostStatus
		if err == nil {
			err = daemon.call(ctx, "GET", "/v1/host", nil, &h, nil)
		}
		if err == nil && !h.RestartPending {
			if drained {
				if err := daemon.call(ctx, "DELETE", "/v1/drain", nil, &h, nil); err != nil {
					return fmt.Errorf("accept sessions again: %w", err)
				}
			}
			u.say("the daemon runs %s, and is %s", h.Version, h.State)
			return nil
		}
		select {
		case <-time.After(u.poll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
