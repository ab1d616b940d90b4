package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wavryhost/platform/child"
)

// Config is what a Manager is made with.
type Config struct {
	Spec Spec
	// Init is the service manager. It defaults to the system's.
	Init Init
	// Root is the folder that files are installed into, as for a disk image; then no running service manager is asked
	// for or told anything. It defaults to "/", the system that runs.
	Root string
	// Home is the user's home folder; needed when Spec.Session is set.
	Home string
	// Out is told what is done, a line each. It defaults to nowhere.
	Out io.Writer
}

// Status is what is known of the installed service.
type Status struct {
	// Path is where the service's description is, or would be.
	Path string `json:"path"`
	// Installed tells whether it is there, and Current whether it is what Install would write.
	Installed bool `json:"installed"`
	Current   bool `json:"current"`
	// Running tells whether the daemon is up and reported ready; State is the service manager's word for it.
	Running bool   `json:"running"`
	State   string `json:"state"`
	// Enabled tells whether it starts by itself: systemd's word, "enabled" or "disabled" among others.
	Enabled string `json:"enabled,omitempty"`
	PID     int    `json:"pid,omitempty"`
	// Text is what the daemon says of itself.
	Text string `json:"text,omitempty"`
}

// Manager installs and removes the service, and tells how it is.
type Manager struct {
	cfg  Config
	init initSystem
}

// file is what Install writes.
type file struct {
	path, content string
}

// initSystem is a service manager. The first of its files is the service's description.
type initSystem interface {
	files() ([]file, error)
	// check returns an error that wraps ErrNotRunning or ErrPermission when the service cannot be changed.
	check(ctx context.Context) error
	// activate makes the service known and starts it; changed tells whether its files were written anew.
	activate(ctx context.Context, changed bool) error
	// deactivate stops the service, and forget makes the manager see that its files are gone.
	deactivate(ctx context.Context) error
	forget(ctx context.Context) error
	query(ctx context.Context, s *Status) error
}

// runner runs a command and returns what it printed.
type runner func(ctx context.Context, name string, args ...string) (string, error)

// NewManager returns the manager of the service that cfg describes. The error wraps ErrUnsupported where no service manager
// is known.
func NewManager(cfg Config) (*Manager, error) { return newManager(cfg, command) }

func newManager(cfg Config, run runner) (*Manager, error) {
	if err := cfg.Spec.Validate(); err != nil {
		return nil, err
	}
	cfg.Spec = cfg.Spec.WithDefaults()
	if cfg.Init == "" {
		cfg.Init = defaultInit
	}
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.Out == nil {
		cfg.Out = io.Discard
	}
	if cfg.Spec.Session && !filepath.IsAbs(cfg.Home) {
		return nil, fmt.Errorf("service: home folder %q is not absolute", cfg.Home)
	}
	m := &Manager{cfg: cfg}
	switch cfg.Init {
	case Systemd:
		m.init = &systemd{cfg: cfg, run: run, booted: "/run/systemd/system", euid: os.Geteuid()}
	case Launchd:
		m.init = &launchd{cfg: cfg, run: run, euid: os.Geteuid()}
	default:
		return nil, ErrUnsupported
	}
	return m, nil
}

// Print returns the service's description.
func (m *Manager) Print() (string, error) {
	files, err := m.init.files()
	if err != nil {
		return "", err
	}
	return files[0].content, nil
}

// Install writes the service's files, and starts it now and at each start of the system. Doing so again changes nothing, or
// brings the service up to date.
func (m *Manager) Install(ctx context.Context) error {
	if m.live() {
		if err := m.init.check(ctx); err != nil {
			return err
		}
	}
	if err := m.checkBinary(); err != nil {
		return err
	}
	files, err := m.init.files()
	if err != nil {
		return err
	}
	changed := false
	for _, f := range files {
		wrote, err := m.write(f)
		if err != nil {
			return err
		}
		changed = changed || wrote
	}
	if !m.live() {
		return nil
	}
	return m.init.activate(ctx, changed)
}

// Uninstall stops the service and removes its files. The configuration and the daemon's user stay. It is no error when
// nothing is installed.
func (m *Manager) Uninstall(ctx context.Context) error {
	if m.live() {
		if err := m.init.check(ctx); err != nil {
			return err
		}
	}
	files, err := m.init.files()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(m.path(files[0])); m.live() && err == nil {
		if err := m.init.deactivate(ctx); err != nil {
			return err
		}
	}
	removed := false
	for _, f := range files {
		switch err := os.Remove(m.path(f)); {
		case err == nil:
			removed = true
			m.say("removed %s", m.path(f))
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("service: remove: %w", permission(err))
		}
	}
	if !removed {
		m.say("%s is not installed", m.cfg.Spec.Name)
		return nil
	}
	if !m.live() {
		return nil
	}
	return m.init.forget(ctx)
}

// Status tells how the service is.
func (m *Manager) Status(ctx context.Context) (Status, error) {
	files, err := m.init.files()
	if err != nil {
		return Status{}, err
	}
	s := Status{Path: m.path(files[0]), State: "not installed"}
	content, err := os.ReadFile(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return s, fmt.Errorf("service: read: %w", permission(err))
	default:
		s.Installed, s.Current, s.State = true, string(content) == files[0].content, "unknown"
	}
	if !m.live() {
		return s, nil
	}
	return s, m.init.query(ctx, &s)
}

// live tells whether the running system is meant, and not a folder.
func (m *Manager) live() bool { return m.cfg.Root == "/" }

func (m *Manager) path(f file) string { return filepath.Join(m.cfg.Root, f.path) }

func (m *Manager) say(format string, args ...any) { say(m.cfg.Out, format, args...) }

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }

// checkBinary tells early what would otherwise be a service that does not start.
func (m *Manager) checkBinary() error {
	spec := m.cfg.Spec
	path := filepath.Join(m.cfg.Root, spec.Binary)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("service: binary: %w", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("service: binary %s is not an executable file", path)
	}
	if spec.Session || m.cfg.Init != Systemd {
		return nil
	}
	for _, hidden := range []string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"} {
		if strings.HasPrefix(filepath.Clean(spec.Binary), hidden) {
			return fmt.Errorf("service: binary %s is under %s, which the service does not see; copy it first: "+
				"install -m 0755 %s /usr/local/bin/%s", spec.Binary, hidden, spec.Binary, spec.Name)
		}
	}
	return nil
}

// write puts f in place, whole or not at all, and tells whether that changed anything.
func (m *Manager) write(f file) (bool, error) {
	path := m.path(f)
	if old, err := os.ReadFile(path); err == nil && string(old) == f.content {
		m.say("unchanged %s", path)
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("service: write: %w", permission(err))
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".wavry-*")
	if err != nil {
		return false, fmt.Errorf("service: write: %w", permission(err))
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // it is gone already when the rename succeeded
	_, err = temp.WriteString(f.content)
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return false, fmt.Errorf("service: write %s: %w", path, permission(err))
	}
	m.say("wrote %s", path)
	return true, nil
}

// permission makes ErrPermission of the system's own.
func permission(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}

// maxOutput bounds what is kept of what a program prints, in bytes.
const maxOutput = 1 << 20

// command runs a program of the system.
func command(ctx context.Context, name string, args ...string) (string, error) {
	stdout, stderr := &child.Output{Max: maxOutput}, &child.Output{Max: maxOutput, Last: true}
	err := child.Run(ctx, child.Command{
		// By these the service manager of a user is reached.
		Program: name, Args: args, Keep: []string{"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"}, Stdout: stdout, Stderr: stderr,
	})
	if err != nil {
		line := strings.Join(append([]string{name}, args...), " ")
		return string(stdout.Bytes()), fmt.Errorf("service: %s: %w: %s", line, err, strings.TrimSpace(string(stderr.Bytes())))
	}
	return string(stdout.Bytes()), nil
}
