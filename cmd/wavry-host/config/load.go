package config

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

// DefaultPath is read if it exists and no other file is named.
const DefaultPath = "/etc/wavry-host/config.yaml"

// MaxSize bounds the file, in bytes.
const MaxSize = 1 << 20

// Sources are the sources of settings, in rising precedence.
type Sources struct {
	// Path is the file named by --config, empty for the default one.
	Path string
	// Fallback is the file that is read if it exists and no other is named.
	Fallback string
	// Env is the environment, as os.Environ gives it.
	Env []string
	// Flags has the values of the given flags, by setting.
	Flags map[string]string
	// Check returns conflicts of settings that only other packages know. It may be nil.
	Check func(*Config) []Conflict
}

// Loaded is a consistent configuration.
type Loaded struct {
	Config
	// Origin has the origin of each setting's value.
	Origin map[string]string
	// SharedToken is the token that clients must show, from token or token_file.
	SharedToken Secret
	// Path is the file that was read, empty for none.
	Path string
	// Warnings lists what works but is inadvisable.
	Warnings []string
}

// Problem is one problem of a configuration.
type Problem struct {
	Where string // file and line, variable or flag
	Text  string
	Usage bool // the problem is on the command line
}

func (p Problem) String() string { return p.Where + ": " + p.Text }

// Error has all problems of a configuration.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// IsUsage reports whether only the command line is to blame.
func (e *Error) IsUsage() bool {
	return !slices.ContainsFunc(e.Problems, func(p Problem) bool { return !p.Usage })
}

const originDefault = "default"

// Load reads the configuration. The error is a *Error.
func Load(src Sources) (*Loaded, error) {
	l := &Loaded{Origin: make(map[string]string)}
	for _, s := range Settings() {
		if t := s.field(&l.Config).set(s.Default); t != nil {
			return nil, fmt.Errorf("setting %s: its default %q is refused", s.Name, s.Default)
		}
		l.Origin[s.Name] = originDefault
	}
	found := l.readFile(src)
	found = append(found, l.readEnv(src.Env)...)
	found = append(found, l.readFlags(src.Flags)...)
	if len(found) == 0 {
		found = l.settle(src.Check)
	}
	if len(found) > 0 {
		return nil, &Error{found}
	}
	return l, nil
}

// variable is the environment variable that names the file.
const variable = "WAVRY_HOST_CONFIG"

func (l *Loaded) readFile(src Sources) []Problem {
	path, must := src.Fallback, false
	for _, e := range src.Env {
		if value, ok := strings.CutPrefix(e, variable+"="); ok && value != "" {
			path, must = value, true
		}
	}
	if src.Path != "" {
		path, must = src.Path, true
	}
	if path == "" {
		return nil
	}
	data, err := ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !must:
		return nil
	case err != nil:
		return []Problem{{Where: path, Text: Reason(err)}}
	}
	l.Path = path
	inline := false
	found := decodeFile(path, data, func(s Setting, n *yaml.Node, where string) []Problem {
		l.Origin[s.Name] = where
		var bad []Problem
		for _, t := range s.field(&l.Config).decode(n) {
			bad = append(bad, Problem{Where: fmt.Sprintf("%s:%d", path, t.at.Line), Text: s.Name + t.in + ": " + s.refuse(t)})
		}
		inline = inline || s.Secret
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
		l.Warnings = append(l.Warnings, "the configuration holds secrets, and "+err.Error())
	case err != nil:
		l.Warnings = append(l.Warnings, "the configuration is exposed: "+err.Error())
	case warning != "":
		l.Warnings = append(l.Warnings, warning)
	}
	return found
}

func (l *Loaded) readEnv(env []string) []Problem {
	var found []Problem
	known := map[string]Setting{variable: {}}
	names := []string{variable}
	for _, s := range Settings() {
		known[s.Env()] = s
		names = append(names, s.Env())
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
			found = append(found, Problem{Where: name, Text: "unknown variable" + suggest(name, names...)})
			continue
		case s.Name == "", value == "": // an empty variable is an unset one
			continue
		}
		if t := s.field(&l.Config).set(value); t != nil {
			found = append(found, Problem{Where: name + t.in, Text: s.refuse(*t)})
		}
		l.Origin[s.Name] = name
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

func (l *Loaded) readFlags(flags map[string]string) []Problem {
	var found []Problem
	for _, s := range Settings() {
		value, ok := flags[s.Name]
		if !ok {
			continue
		}
		if t := s.field(&l.Config).set(value); t != nil {
			found = append(found, Problem{Where: s.Flag() + t.in, Text: s.refuse(*t), Usage: true})
		}
		l.Origin[s.Name] = s.Flag()
	}
	return found
}

// settle checks the whole configuration, and reads the token.
func (l *Loaded) settle(check func(*Config) []Conflict) []Problem {
	var found []Problem
	all := l.conflicts()
	if check != nil {
		all = append(all, check(&l.Config)...)
	}
	for _, c := range all {
		p := Problem{Where: l.Origin[c.Names[0]], Text: c.Names[0] + ": " + c.Text, Usage: true}
		for _, name := range c.Names {
			// The configured value is to blame, not the default that conflicts with it.
			if p.Where == originDefault {
				p.Where = l.Origin[name]
			}
			p.Usage = p.Usage && (l.Origin[name] == originDefault || strings.HasPrefix(l.Origin[name], "--"))
		}
		found = append(found, p)
	}
	if len(found) > 0 {
		return found
	}
	if l.SharedToken = l.Token; l.TokenFile != "" {
		text, why := l.SecretIn(l.TokenFile)
		var err error
		if l.SharedToken, err = token().parse(text); why == "" && (err != nil || l.SharedToken == "") {
			tokens, _ := Find("token")
			why = "what " + l.TokenFile + " holds is not " + tokens.Allowed
		}
		if why != "" {
			found = append(found, l.Blame("token_file", why))
		}
	}
	for i := range l.ICEServers {
		one := &l.ICEServers[i]
		for path, into := range map[string]*Secret{one.SecretFile: &one.Secret, one.CredentialFile: &one.Credential} {
			if path == "" {
				continue
			}
			text, why := l.SecretIn(path)
			if why == "" && (text == "" || !isPrintable(text)) {
				why = "what " + path + " holds is not one line of text"
			}
			if why != "" {
				found = append(found, l.Blame("ice_servers", why))
			}
			*into = Secret(text)
		}
	}
	return found
}

// Blame makes a problem with the value of a setting.
func (l *Loaded) Blame(name, text string) Problem {
	return Problem{Where: l.Origin[name], Text: name + ": " + text, Usage: strings.HasPrefix(l.Origin[name], "--")}
}

// SecretIn returns the secret in a file, or why it cannot be used.
func (l *Loaded) SecretIn(path string) (text, why string) {
	data, warning, err := custody.Read(path, 4096, custody.Secret)
	switch {
	case errors.Is(err, custody.ErrExposed):
		return "", err.Error()
	case errors.Is(err, custody.ErrLarge):
		return "", err.Error()
	case err != nil:
		return "", path + ": " + Reason(err)
	case warning != "":
		l.Warnings = append(l.Warnings, warning)
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
func (s Setting) refuse(t trouble) string {
	value, why := t.value, t.why
	if s.Secret {
		value = "the value"
	}
	if why == "" {
		why = "is not " + s.Allowed
	}
	return value + " " + why
}

// ReadFile reads a file of at most MaxSize bytes.
func ReadFile(path string) ([]byte, error) {
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
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err == nil && int64(len(data)) > MaxSize {
		err = fmt.Errorf("it is larger than %d bytes", MaxSize)
	}
	return data, err
}

// Reason returns err without the path, which the message contains already.
func Reason(err error) string {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Op + ": " + at.Err.Error()
	}
	return err.Error()
}
