package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/custody"
	"wavryhost/session/api/durable"
)

// ownTokens makes the operator's token of a host without a configured credential, at most one per run.
type ownTokens struct {
	env  []string
	log  *slog.Logger
	made *ownToken // nil until one is needed
}

// ownToken is a token that the daemon made.
type ownToken struct {
	config.Secret
	path string // the file that keeps it; empty for this run only
}

// provide gives l the token that is valid as long as no credential is configured.
func (o *ownTokens) provide(l *loaded) error {
	if o.made == nil {
		if l.Guarded() {
			return nil
		}
		made, err := o.make()
		if err != nil {
			return err
		}
		o.made = &made
	}
	l.own = *o.made
	return nil
}

// make returns the token of earlier runs, or a new one.
func (o *ownTokens) make() (ownToken, error) {
	path := ownTokenPath(o.env)
	if path == "" {
		o.log.Warn("token is for this run only", "err", "none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set",
			"remedy", "set auth.token_file")
		return newOwnToken("")
	}
	kept, err := readOwnToken(path)
	switch {
	case err == nil:
		return ownToken{kept, path}, nil
	case errors.Is(err, errBadToken):
		o.log.Warn("token replaced by a new one", "file", path, "err", err)
	case !errors.Is(err, fs.ErrNotExist):
		o.log.Warn("token is for this run only", "file", path, "err", config.Reason(err),
			"remedy", "make the file readable for the daemon, or set auth.token_file")
		return newOwnToken("")
	}
	made, newErr := newOwnToken(path)
	if newErr != nil {
		return ownToken{}, newErr
	}
	writing := os.MkdirAll(filepath.Dir(path), 0o700)
	if writing == nil && errors.Is(err, errBadToken) {
		writing = durable.Replace(path, []byte(made.Reveal()+"\n"))
	} else if writing == nil {
		if writing = durable.Create(path, []byte(made.Reveal()+"\n")); errors.Is(writing, fs.ErrExist) {
			// Another daemon of this user was faster.
			if kept, err := readOwnToken(path); err == nil {
				return ownToken{kept, path}, nil
			}
		}
	}
	if writing != nil {
		o.log.Warn("token is for this run only", "file", path, "err", config.Reason(writing),
			"remedy", "make the folder writable for the daemon, or set auth.token_file")
		made.path = ""
		return made, nil
	}
	o.log.Info("token made", "file", path)
	return made, nil
}

func newOwnToken(path string) (ownToken, error) {
	text, _, err := auth.NewToken("operator", "operator")
	return ownToken{config.Secret(text), path}, err
}

// errBadToken means that the file of the daemon's own token must not be used.
var errBadToken = errors.New("not a token")

// readOwnToken returns the token in a file that a daemon made.
func readOwnToken(path string) (config.Secret, error) {
	data, _, err := custody.Read(path, 4096, custody.Secret)
	if errors.Is(err, custody.ErrExposed) {
		return "", fmt.Errorf("%w of this user alone: %w", errBadToken, err)
	}
	if err != nil {
		return "", err
	}
	text, ok := config.ParseToken(strings.TrimSpace(string(data)))
	if !ok {
		return "", fmt.Errorf("%w: the file does not hold 16 or more printable ASCII characters without spaces", errBadToken)
	}
	return text, nil
}

// ownTokenPath returns the file of the daemon's own token. It is empty if there is no folder for it.
func ownTokenPath(env []string) string {
	return inState("token", env)
}

// inState returns the path of a file in the state folder; empty for none.
func inState(name string, env []string) string {
	if dir := stateFolder(env); dir != "" {
		return filepath.Join(dir, name)
	}
	return ""
}

// stateFolder returns the folder for state that outlasts a run: systemd's, else the user's (XDG base directories). It
// is empty for none.
func stateFolder(env []string) string {
	a := app{env: env}
	if dir := serviceState(env); dir != "" {
		return dir
	}
	if dir := a.variable("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "wavry-host")
	}
	if dir := a.variable("LOCALAPPDATA"); filepath.IsAbs(dir) { // Windows
		return filepath.Join(dir, "wavry-host")
	}
	if dir := a.variable("HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, ".local", "state", "wavry-host")
	}
	return ""
}

// serviceState returns the state folder that systemd gives the service. It is empty for none.
func serviceState(env []string) string {
	a := app{env: env}
	first, _, _ := strings.Cut(a.variable("STATE_DIRECTORY"), ":") // systemd separates several by colons
	return first
}
