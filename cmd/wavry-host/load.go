package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"wavryhost/session/api/custody"
)

// defaultConfigPath is read if it exists and no other file is named.
const defaultConfigPath = "/etc/wavry-host/config.yaml"

// maxConfig bounds the file, in bytes.
const maxConfig = 1 << 20

// sources are the sources of settings, in rising precedence.
type sources struct {
	// path is the file named by --config, empty for the default one.
	path string
	// fallback is the file that is read if it exists and no other is named.
	fallback string
	// env is the environment, as os.Environ gives it.
	env []string
	// flags has the values of the given flags, by setting.
	flags map[string]string
}

// loaded is a consistent configuration.
type loaded struct {
	Config
	// origin has the origin of each setting's value.
	origin map[string]string
	// token is the token that clients must show, from token or token_file.
	token secret
	// own is the daemon's own token, which is valid as long as no credential is configured. It is empty until
	// ownTokens.provide.
	own ownToken
	// path is the file that was read, empty for none.
	path string
	// warnings lists what works but is inadvisable.
	warnings []string
}

// problem is one problem of a configuration.
type problem struct {
	where string // file and line, variable or flag
	text  string
	usage bool // the problem is on the command line
}

func (p problem) String() string { return p.where + ": " + p.text }

// configError has all problems of a configuration.
type configError struct{ problems []problem }

func (e *configError) Error() string {
	lines := make([]string, len(e.problems))
	for i, p := range e.problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// usage reports whether only the command line is to blame.
func (e *configError) usage() bool {
	return !slices.ContainsFunc(e.problems, func(p problem) bool { return !p.usage })
}

const originDefault = "default"

// load reads the configuration. The error is a *configError.
func load(src sources) (*loaded, error) {
	l := &loaded{origin: make(map[string]string)}
	for _, s := range settings() {
		if t := s.field(&l.Config).set(s.initial); t != nil {
			return nil, fmt.Errorf("setting %s: its default %q is refused", s.name, s.initial)
		}
		l.origin[s.name] = originDefault
	}
	found := l.readFile(src)
	found = append(found, l.readEnv(src.env)...)
	found = append(found, l.readFlags(src.flags)...)
	if len(found) == 0 {
		found = l.settle()
	}
	if len(found) > 0 {
		return nil, &configError{found}
	}
	return l, nil
}

// variable is the environment variable that names the file.
const variable = "WAVRY_HOST_CONFIG"

func (l *loaded) readFile(src sources) []problem {
	path, must := src.fallback, false
	for _, e := range src.env {
		if value, ok := strings.CutPrefix(e, variable+"="); ok && value != "" {
			path, must = value, true
		}
	}
	if src.path != "" {
		path, must = src.path, true
	}
	if path == "" {
		return nil
	}
	data, err := readLimited(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !must:
		return nil
	case err != nil:
		return []problem{{where: path, text: reason(err)}}
	}
	l.path = path
	inline := false
	found := decodeFile(path, data, func(s setting, n *yaml.Node, where string) []problem {
		l.origin[s.name] = where
		var bad []problem
		for _, t := range s.field(&l.Config).decode(n) {
			bad = append(bad, problem{where: fmt.Sprintf("%s:%d", path, t.at.Line), text: s.name + t.in + ": " + s.refuse(t)})
		}
		inline = inline || s.secret
		return bad
	})
	for _, one := range l.ICEServers {
		inline = inline || one.Credential != "" || one.Secret != ""
	}
	kind := custody.Decisive
	if inline {
		kind = custody.Secret
	}
	// The file decides who gets in, and may contain secrets. It is used all the same: otherwise nothing would run that
	// could report this.
	switch warning, err := custodyOf(path, kind); {
	case err != nil && inline:
		l.warnings = append(l.warnings, "the configuration holds secrets, and "+err.Error())
	case err != nil:
		l.warnings = append(l.warnings, "the configuration is exposed: "+err.Error())
	case warning != "":
		l.warnings = append(l.warnings, warning)
	}
	return found
}

func (l *loaded) readEnv(env []string) []problem {
	var found []problem
	known := map[string]setting{variable: {}}
	names := []string{variable}
	for _, s := range settings() {
		known[s.env()] = s
		names = append(names, s.env())
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "WAVRY_HOST_") {
			continue
		}
		s, ok := known[name]
		switch {
		case !ok && injected(name, value), ok && strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://"):
			continue
		case !ok:
			found = append(found, problem{where: name, text: "unknown variable" + suggest(name, names...)})
			continue
		case s.name == "", value == "": // an empty variable is an unset one
			continue
		}
		if t := s.field(&l.Config).set(value); t != nil {
			found = append(found, problem{where: name + t.in, text: s.refuse(*t)})
		}
		l.origin[s.name] = name
	}
	return found
}

// injectedNames matches the variables that Kubernetes and Docker links set in every container for a service with the
// name wavry-host, beyond its prefix.
var injectedNames = regexp.MustCompile(
	`^WAVRY_HOST_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?|NAME|ENV_[A-Z0-9_]+)$`, //nolint:lll // a raw string
)

// injected reports whether a variable comes from such a tool, and was not set for this program.
func injected(name, value string) bool {
	return injectedNames.MatchString(name) &&
		(!strings.HasSuffix(name, "_PORT") || strings.Contains(value, "://") || strings.Contains(name, "_SERVICE_PORT") ||
			digits.MatchString(value))
}

// digits is a bare port.
var digits = regexp.MustCompile(`^[0-9]+$`)

func (l *loaded) readFlags(flags map[string]string) []problem {
	var found []problem
	for _, s := range settings() {
		value, ok := flags[s.name]
		if !ok {
			continue
		}
		if t := s.field(&l.Config).set(value); t != nil {
			found = append(found, problem{where: s.flag() + t.in, text: s.refuse(*t), usage: true})
		}
		l.origin[s.name] = s.flag()
	}
	return found
}

// settle checks the whole configuration, and reads the token.
func (l *loaded) settle() []problem {
	var found []problem
	for _, c := range l.conflicts() {
		p := problem{where: l.origin[c.names[0]], text: c.names[0] + ": " + c.text, usage: true}
		for _, name := range c.names {
			// The configured value is to blame, not the default that conflicts with it.
			if p.where == originDefault {
				p.where = l.origin[name]
			}
			p.usage = p.usage && (l.origin[name] == originDefault || strings.HasPrefix(l.origin[name], "--"))
		}
		found = append(found, p)
	}
	if len(found) > 0 {
		return found
	}
	if l.token = l.Token; l.TokenFile != "" {
		text, why := l.secretIn(l.TokenFile)
		var err error
		if l.token, err = token().parse(text); why == "" && (err != nil || l.token == "") {
			tokens, _ := findSetting("token")
			why = "what " + l.TokenFile + " holds is not " + tokens.allowed
		}
		if why != "" {
			found = append(found, l.blame("token_file", why))
		}
	}
	for i := range l.ICEServers {
		one := &l.ICEServers[i]
		for path, into := range map[string]*secret{one.SecretFile: &one.Secret, one.CredentialFile: &one.Credential} {
			if path == "" {
				continue
			}
			text, why := l.secretIn(path)
			if why == "" && (text == "" || !isPrintable(text)) {
				why = "what " + path + " holds is not one line of text"
			}
			if why != "" {
				found = append(found, l.blame("ice_servers", why))
			}
			*into = secret(text)
		}
	}
	return found
}

// blame makes a problem with the value of a setting.
func (l *loaded) blame(name, text string) problem {
	return problem{where: l.origin[name], text: name + ": " + text, usage: strings.HasPrefix(l.origin[name], "--")}
}

// secretIn returns the secret in a file, or why it cannot be used.
func (l *loaded) secretIn(path string) (text, why string) {
	data, warning, err := custody.Read(path, 4096, custody.Secret)
	switch {
	case errors.Is(err, custody.ErrExposed):
		return "", err.Error()
	case errors.Is(err, custody.ErrLarge):
		return "", err.Error()
	case err != nil:
		return "", path + ": " + reason(err)
	case warning != "":
		l.warnings = append(l.warnings, warning)
	}
	return strings.TrimSpace(string(data)), ""
}

// custodyOf reports whether the file at path is protected.
func custodyOf(path string, kind custody.Kind) (warning string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return custody.Check(f, path, kind)
}

// refuse makes a problem with a value of s.
func (s setting) refuse(t trouble) string {
	value, why := t.value, t.why
	if s.secret {
		value = "the value"
	}
	if why == "" {
		why = "is not " + s.allowed
	}
	return value + " " + why
}

// readLimited reads a file of at most maxConfig bytes.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("it is a folder")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && int64(len(data)) > maxConfig {
		err = fmt.Errorf("it is larger than %d bytes", maxConfig)
	}
	return data, err
}

// reason returns err without the path, which the message contains already.
func reason(err error) string {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Op + ": " + at.Err.Error()
	}
	return err.Error()
}
