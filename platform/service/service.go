// Package service makes the daemon a service of the system: it writes the description that systemd or launchd starts it
// by, installs and removes it, and tells systemd how the daemon is doing.
//
// One Spec describes the service; Unit and Plist render it.
package service

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

var (
	// ErrUnsupported means that this system has no service manager that is known here.
	ErrUnsupported = errors.New("service: no known service manager on this system")
	// ErrNotRunning means that the service manager is not running, as in most containers.
	ErrNotRunning = errors.New("service: manager is not running here")
	// ErrPermission means that the operation needs another user's rights.
	ErrPermission = errors.New("service: not permitted")
)

// The exit codes of a daemon that cannot start however often it is tried: its command line or its configuration is refused (sysexits.h). A crashed Go program
// ends with 2, which therefore means nothing else.
const (
	ExitUsage  = 64
	ExitConfig = 78
)

// Init is a kind of service manager.
type Init string

// The service managers.
const (
	Systemd Init = "systemd"
	Launchd Init = "launchd"
)

// Spec describes the service. Its zero value is the service as packages ship it.
type Spec struct {
	// Name is the service's name in systemd, and its user's and configuration folder's. It defaults to "wavry-host".
	Name string
	// Label is the service's name in launchd. It defaults to "org.wavry.host".
	Label string
	// Binary is the program's absolute path. It defaults to "/usr/bin/wavry-host".
	Binary string
	// ConfigPath is handed on by --config. It defaults to none: the program finds its default file, or does without.
	ConfigPath string
	// User is the system user that the daemon runs as. It defaults to Name. Without effect when Session is set.
	User string
	// Session makes it a service of the user who installs it, started with the graphical session and with its rights.
	Session bool
	// LogPath is the file that launchd appends the daemon's log to. It defaults to none; systemd keeps the log itself.
	LogPath string
	// Watchdog is how long the daemon may go without a sign of life. It defaults to 30 s.
	Watchdog time.Duration
	// StopTimeout is how long it may take to stop. It defaults to 45 s.
	StopTimeout time.Duration
}

// WithDefaults returns s with zero fields filled in.
func (s Spec) WithDefaults() Spec {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&s.Name, "wavry-host")
	fill(&s.Label, "org.wavry.host")
	fill(&s.Binary, "/usr/bin/wavry-host")
	fill(&s.User, s.Name)
	if s.Watchdog == 0 {
		s.Watchdog = 30 * time.Second
	}
	if s.StopTimeout == 0 {
		s.StopTimeout = 45 * time.Second
	}
	return s
}

// names is what both systemd and useradd take as a name.
var names = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// labels is a reverse domain name.
var labels = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// Validate returns an error that names the first field that cannot work. Defaults are taken into account.
func (s Spec) Validate() error {
	s = s.WithDefaults()
	switch {
	case !names.MatchString(s.Name):
		return fmt.Errorf("service: name %q is not lower-case letters, digits and dashes", s.Name)
	case !names.MatchString(s.User):
		return fmt.Errorf("service: user %q is not lower-case letters, digits and dashes", s.User)
	case !labels.MatchString(s.Label):
		return fmt.Errorf("service: label %q is not a reverse domain name", s.Label)
	case s.Watchdog < time.Second:
		return fmt.Errorf("service: watchdog %s is under 1s", s.Watchdog)
	case s.StopTimeout < time.Second:
		return fmt.Errorf("service: stop timeout %s is under 1s", s.StopTimeout)
	}
	if err := validPath("binary", s.Binary); err != nil {
		return err
	}
	if s.ConfigPath != "" {
		if err := validPath("configuration path", s.ConfigPath); err != nil {
			return err
		}
	}
	if s.LogPath != "" {
		return validPath("log path", s.LogPath)
	}
	return nil
}

func validPath(what, path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("service: %s %q is not absolute", what, path)
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("service: %s %q holds control characters", what, path)
	}
	return nil
}

// args returns the command line that starts the daemon.
func (s Spec) args() []string {
	args := []string{s.Binary, "run"}
	if s.ConfigPath != "" {
		args = append(args, "--config", s.ConfigPath)
	}
	return args
}
