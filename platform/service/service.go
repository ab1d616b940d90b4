// Package service makes the daemon a service of the system. It writes the description from which systemd or launchd
// starts it, installs and removes it, and informs systemd about the daemon's state.
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
	// ErrUnsupported means that this system has no known service manager.
	ErrUnsupported = errors.New("service: no known service manager on this system")
	// ErrNotRunning means that the service manager is not running, as in most containers.
	ErrNotRunning = errors.New("service: manager is not running here")
	// ErrPermission means that the operation needs another user's rights.
	ErrPermission = errors.New("service: not permitted")
)

// The exit codes of a daemon that cannot start however often it is tried: its command line or its configuration is
// refused (sysexits.h). A crashed Go program ends with 2, so 2 has no other meaning.
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
	// Name is the name of the service in systemd, of its user and of its configuration folder. It defaults to
	// "wavry-host".
	Name string
	// Label is the name of the service in launchd. It defaults to "org.wavry.host".
	Label string
	// Binary is the program's absolute path. It defaults to "/usr/bin/wavry-host".
	Binary string
	// ConfigPath is passed with --config. By default nothing is passed: the program finds its default file, or works
	// without.
	ConfigPath string
	// User is the system user of the daemon. It defaults to Name. It has no effect when Session is set.
	User string
	// Session makes it a service of the installing user. It starts with the graphical session and has that user's rights.
	Session bool
	// LogPath is the file for the log under launchd. It defaults to none. systemd keeps the log itself.
	LogPath string
	// Watchdog is the longest time without a sign of life. It defaults to 30 s.
	Watchdog time.Duration
	// StopTimeout is the longest time for stopping. It defaults to 45 s.
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

// names matches what both systemd and useradd accept as a name.
var names = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// labels matches a reverse domain name.
var labels = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// Validate returns an error that names the first field that cannot work, after defaults.
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
