package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"wavryhost/platform/child"
)

// systemd is the service manager of most Linux systems.
type systemd struct {
	cfg Config
	run runner
	// booted is the folder that exists if systemd started the system (sd_booted(3)).
	booted string
	euid   int
}

func (s *systemd) unit() string { return s.cfg.Spec.Name + ".service" }

// desktop is the name of a unit of the virtual display.
func (s *systemd) desktop(kind string) string { return s.cfg.Spec.Name + "-desktop" + kind }

// kms is the name of a unit of the helper for graphics cards. Only an operator enables it.
func (s *systemd) kms(kind string) string { return s.cfg.Spec.Name + "-kms" + kind }

func (s *systemd) files() ([]file, error) {
	folder := "/etc/systemd/system"
	if s.cfg.Spec.Session {
		folder = filepath.Join(s.cfg.Home, ".config/systemd/user")
	}
	var all []file
	add := func(name string, render func(Spec) (string, error)) error {
		text, err := render(s.cfg.Spec)
		all = append(all, file{filepath.Join(folder, name), text})
		return err
	}
	err := errors.Join(
		add(s.unit(), Unit), add(s.desktop(".service"), DesktopUnit), add(s.desktop(".socket"), DesktopSocket),
	)
	if s.cfg.Spec.Session || err != nil {
		return all, err
	}
	err = errors.Join(add(s.kms(".service"), KMSUnit), add(s.kms(".socket"), KMSSocket))
	return append(all,
		file{filepath.Join("/etc/needrestart/conf.d", s.cfg.Spec.Name+".conf"), needrestart(s.cfg.Spec)},
		file{filepath.Join("/etc/sysusers.d", s.cfg.Spec.Name+".conf"), sysusers(s.cfg.Spec)},
	), err
}

func (s *systemd) check(ctx context.Context) error {
	if err := s.reachable(ctx); err != nil {
		return err
	}
	if !s.cfg.Spec.Session && s.euid != 0 {
		return fmt.Errorf("%w: a service of the system needs root", ErrPermission)
	}
	return nil
}

func (s *systemd) reachable(ctx context.Context) error {
	if _, err := os.Stat(s.booted); err != nil {
		return fmt.Errorf("%w: systemd did not start this system", ErrNotRunning)
	}
	if _, err := s.systemctl(ctx, "show", "--property=Version"); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	return nil
}

func (s *systemd) activate(ctx context.Context, changed bool) error {
	if !s.cfg.Spec.Session {
		if err := s.makeUser(ctx); err != nil {
			return err
		}
		// It belongs to root with the daemon's group. Otherwise systemd would give it to the daemon.
		_, err := s.run(ctx, "install", "-d", "-m", "0750", "-o", "root", "-g", s.cfg.Spec.User,
			filepath.Join("/etc", s.cfg.Spec.Name))
		if err != nil {
			return err
		}
	}
	if _, err := s.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	if _, err := s.systemctl(ctx, "enable", s.unit(), s.desktop(".socket")); err != nil {
		return err
	}
	// The desktop itself is not restarted: people may work on it.
	if _, err := s.systemctl(ctx, "start", s.desktop(".socket")); err != nil {
		return err
	}
	verb := "start"
	if changed {
		verb = "restart" // it may run with its previous description
	}
	if _, err := s.systemctl(ctx, verb, s.unit()); err != nil {
		return err
	}
	say(s.cfg.Out, "enabled and started %s", s.unit())
	return nil
}

// makeUser makes the daemon's user, unless it exists.
func (s *systemd) makeUser(ctx context.Context) error {
	user := s.cfg.Spec.User
	_, err := s.run(ctx, "systemd-sysusers", filepath.Join("/etc/sysusers.d", s.cfg.Spec.Name+".conf"))
	if !errors.Is(err, child.ErrNotInstalled) {
		return err
	}
	if _, err := s.addUser(ctx, user+"-desktop", s.cfg.Spec.Name+"-desktop"); err != nil {
		return err
	}
	if added, err := s.addUser(ctx, user, s.cfg.Spec.Name); err != nil || !added {
		return err
	}
	for _, group := range []string{"render", "video"} {
		// A host without the group has no GPU nodes of that group.
		if _, err := s.run(ctx, "usermod", "--append", "--groups", group, user); err != nil {
			say(s.cfg.Out, "%s is not in group %s: %v", user, group, err)
		}
	}
	return nil
}

// addUser makes a user with a folder in /var/lib, and reports whether it did: the user may exist.
func (s *systemd) addUser(ctx context.Context, name, folder string) (bool, error) {
	if _, err := s.run(ctx, "id", "-u", name); err == nil {
		return false, nil
	}
	_, err := s.run(ctx, "useradd", "--system", "--user-group", "--no-create-home",
		"--home-dir", "/var/lib/"+folder, "--shell", "/usr/sbin/nologin", name)
	return err == nil, err
}

func (s *systemd) deactivate(ctx context.Context) error {
	all := []string{s.unit(), s.desktop(".socket"), s.desktop(".service")}
	if !s.cfg.Spec.Session {
		all = append(all, s.kms(".socket"), s.kms(".service"))
	}
	if _, err := s.systemctl(ctx, append([]string{"disable", "--now"}, all...)...); err != nil {
		return err
	}
	say(s.cfg.Out, "stopped and disabled %s", s.unit())
	return nil
}

func (s *systemd) forget(ctx context.Context) error {
	if _, err := s.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	if !s.cfg.Spec.Session {
		say(s.cfg.Out, "kept /etc/%s, /var/lib/%[1]s and the user %s", s.cfg.Spec.Name, s.cfg.Spec.User)
	}
	return nil
}

func (s *systemd) query(ctx context.Context, st *Status) error {
	if err := s.reachable(ctx); err != nil {
		return err
	}
	out, err := s.systemctl(ctx, "show", s.unit(),
		"--property=ActiveState,SubState,UnitFileState,MainPID,StatusText")
	if err != nil {
		return err
	}
	parseShow(out, st)
	return nil
}

func (s *systemd) restart(ctx context.Context) error {
	// A package may have brought new units.
	if _, err := s.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	// A program that crashed at each start may have used up the number of starts. This fails for a unit that never ran.
	_, _ = s.systemctl(ctx, "reset-failed", s.unit())
	_, err := s.systemctl(ctx, "restart", s.unit())
	return err
}

// parseShow reads the output of systemctl show.
func parseShow(out string, st *Status) {
	values := make(map[string]string)
	for line := range strings.Lines(out) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			values[key] = value
		}
	}
	if !st.Installed && values["UnitFileState"] == "" {
		return
	}
	st.Installed = true // in another folder of systemd, as packages install it
	st.Running = values["ActiveState"] == "active"
	st.State = values["ActiveState"]
	if sub := values["SubState"]; sub != "" {
		st.State += " (" + sub + ")"
	}
	st.Enabled, st.Text = values["UnitFileState"], values["StatusText"]
	if pid, err := strconv.Atoi(values["MainPID"]); err == nil {
		st.PID = pid
	}
}

func (s *systemd) systemctl(ctx context.Context, args ...string) (string, error) {
	if s.cfg.Spec.Session {
		args = append([]string{"--user"}, args...)
	}
	return s.run(ctx, "systemctl", args...)
}
