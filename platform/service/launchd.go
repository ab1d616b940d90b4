package service

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"wavryhost/platform/child"
)

// launchd is the service manager of macOS.
type launchd struct {
	cfg  Config
	run  runner
	euid int
}

func (l *launchd) files() ([]file, error) {
	content, err := Plist(l.cfg.Spec)
	if err != nil {
		return nil, err
	}
	dir := "/Library/LaunchAgents"
	if l.cfg.Spec.Session {
		dir = filepath.Join(l.cfg.Home, dir)
	}
	return []file{{filepath.Join(dir, l.cfg.Spec.Label+".plist"), string(content)}}, nil
}

func (l *launchd) check(ctx context.Context) error {
	if _, err := l.run(ctx, "launchctl", "version"); errors.Is(err, child.ErrNotInstalled) {
		return fmt.Errorf("%w: launchctl is missing", ErrNotRunning)
	}
	switch {
	case !l.cfg.Spec.Session && l.euid != 0:
		return fmt.Errorf("%w: a service for every user needs root", ErrPermission)
	case l.cfg.Spec.Session && l.euid == 0:
		return fmt.Errorf("%w: root has no graphical session to run it in", ErrPermission)
	}
	return nil
}

func (l *launchd) activate(ctx context.Context, changed bool) error {
	if !l.cfg.Spec.Session {
		say(l.cfg.Out, "%s starts in each graphical session from its next login on", l.cfg.Spec.Label)
		return nil
	}
	_, missing := l.run(ctx, "launchctl", "print", l.target())
	if missing == nil && !changed {
		return nil
	}
	if missing == nil {
		if _, err := l.run(ctx, "launchctl", "bootout", l.target()); err != nil {
			return err
		}
	}
	files, err := l.files()
	if err != nil {
		return err
	}
	if _, err := l.run(ctx, "launchctl", "bootstrap", l.domain(), files[0].path); err != nil {
		return err
	}
	say(l.cfg.Out, "started %s", l.cfg.Spec.Label)
	return nil
}

func (l *launchd) deactivate(ctx context.Context) error {
	if !l.cfg.Spec.Session {
		say(l.cfg.Out, "%s runs on in the sessions that are open", l.cfg.Spec.Label)
		return nil
	}
	if _, err := l.run(ctx, "launchctl", "print", l.target()); err != nil {
		return nil //nolint:nilerr // it is not loaded, so there is nothing to stop
	}
	if _, err := l.run(ctx, "launchctl", "bootout", l.target()); err != nil {
		return err
	}
	say(l.cfg.Out, "stopped %s", l.cfg.Spec.Label)
	return nil
}

func (l *launchd) forget(context.Context) error { return nil }

func (l *launchd) query(ctx context.Context, st *Status) error {
	out, err := l.run(ctx, "launchctl", "print", l.target())
	switch {
	case errors.Is(err, child.ErrNotInstalled):
		return fmt.Errorf("%w: launchctl is missing", ErrNotRunning)
	case err != nil:
		if st.Installed {
			st.State = "not loaded"
		}
		return nil // launchctl fails for a service that is not loaded
	}
	parsePrint(out, st)
	return nil
}

func (l *launchd) restart(ctx context.Context) error {
	_, err := l.run(ctx, "launchctl", "kickstart", "-k", l.target())
	return err
}

// parsePrint reads the output of launchctl print. Only its outermost level counts.
func parsePrint(out string, st *Status) {
	depth := 0
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if depth == 1 {
			switch key, value, _ := strings.Cut(line, " = "); key {
			case "state":
				st.State, st.Running = value, value == "running"
			case "pid":
				if pid, err := strconv.Atoi(value); err == nil {
					st.PID = pid
				}
			}
		}
		depth += strings.Count(line, "{") - strings.Count(line, "}")
	}
}

func (l *launchd) domain() string { return "gui/" + strconv.Itoa(l.euid) }

func (l *launchd) target() string { return l.domain() + "/" + l.cfg.Spec.Label }
