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

// Config configures a Manager.
type Config struct {
	Spec Spec
	// Init is the kind of service manager. It defaults to the system's.
	Init Init
	// Root is the folder that files are installed into, for example of a disk image. No running service manager is then
	// required or informed. It defaults to "/", the running system.
	Root string
	// Home is the user's home folder. It is required when Spec.Session is set.
	Home string
	// Out gets a line for each action. By default there is no output.
	Out io.Writer
}

// Status describes the installed service.
type Status struct {
	// Path is the path of the service's description, even if that does not exist.
	Path string `json:"path"`
	// Installed reports whether it exists, and Current whether Install would write the same.
	Installed bool `json:"installed"`
	Current   bool `json:"current"`
	// Running reports whether the daemon is up and ready. State is the service manager's word for it.
	Running bool   `json:"running"`
	State   string `json:"state"`
	// Enabled reports whether it starts with the system, in systemd's words: "enabled" and "disabled" among others.
	Enabled string `json:"enabled,omitempty"`
	PID     int    `json:"pid,omitempty"`
	// Text is the daemon's own description of its state.
	Text string `json:"text,omitempty"`
}

// Manager installs and removes the service, and reports its status.
type Manager struct {
	cfg  Config
	init initSystem
}

// file is a file that Install writes.
type file struct {
	path, content string
}

// initSystem is a service manager. The first of its files is the description of the service.
type initSystem interface {
	files() ([]file, error)
	// check returns an error that wraps ErrNotRunning or ErrPermission when the service cannot be changed.
	check(ctx context.Context) error
	// activate registers the service and starts it. changed reports whether its files were rewritten.
	activate(ctx context.Context, changed bool) error
	// deactivate stops the service. forget makes the manager notice that the files are gone.
	deactivate(ctx context.Context) error
	forget(ctx context.Context) error
	query(ctx context.Context, s *Status) error
	// restart ends the daemon and starts it again, with the installed program.
	restart(ctx context.Context) error
}

// runner runs a command and returns its output.
type runner func(ctx context.Context, name string, args ...string) (string, error)

// NewManager returns the manager of the service that cfg describes. The error wraps ErrUnsupported where no service
// manager is known.
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

// Print returns the description of the service.
func (m *Manager) Print() (string, error) {
	files, err := m.init.files()
	if err != nil {
		return "", err
	}
	return files[0].content, nil
}

// Install writes the service's files, starts the service, and has it start with the system. A repetition changes
// nothing, or updates the service.
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

// Uninstall stops the service and removes its files. The configuration and the daemon's user stay. Without an installed
// service it does nothing.
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

// Status returns the status of the service.
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

// Restart ends the daemon and starts it again, with the program that is installed now.
func (m *Manager) Restart(ctx context.Context) error {
	if err := m.init.check(ctx); err != nil {
		return err
	}
	return m.init.restart(ctx)
}

// live reports whether the running system is meant, and not a folder.
func (m *Manager) live() bool { return m.cfg.Root == "/" }

func (m *Manager) path(f file) string { return filepath.Join(m.cfg.Root, f.path) }

func (m *Manager) say(format string, args ...any) { say(m.cfg.Out, format, args...) }

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }

// checkBinary finds problems early that would keep the service from starting.
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

// write puts f in place, completely or not at all, and reports whether anything changed.
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
	defer os.Remove(temp.Name()) //nolint:errcheck // it is gone already if the rename succeeded
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

// permission converts the system's permission errors to ErrPermission.
func permission(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}

// maxOutput bounds the kept output of a program, in bytes.
const maxOutput = 1 << 20

// command runs a program of the system.
func command(ctx context.Context, name string, args ...string) (string, error) {
	stdout, stderr := &child.Output{Max: maxOutput}, &child.Output{Max: maxOutput, Last: true}
	err := child.Run(ctx, child.Command{
		// The service manager of a user is reached by these variables.
		Program: name,
		Args:    args,
		Keep:    []string{"XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"},
		Stdout:  stdout,
		Stderr:  stderr,
	})
	if err != nil {
		line := strings.Join(append([]string{name}, args...), " ")
		return string(stdout.Bytes()), fmt.Errorf("service: %s: %w: %s", line, err, strings.TrimSpace(string(stderr.Bytes())))
	}
	return string(stdout.Bytes()), nil
}
