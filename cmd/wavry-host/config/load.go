package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	// SharedToken is the token that clients must show, from auth.token or auth.token_file.
	SharedToken Secret
	// Files are the files that were read, in their order.
	Files []string
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
	l, t := &Loaded{Origin: make(map[string]string)}, newTable()
	for _, s := range t.settings {
		if refused := s.field(&l.Config).set(s.Default); refused != nil {
			return nil, fmt.Errorf("setting %s: its default %q is refused", s.Name, s.Default)
		}
		l.Origin[s.Name] = originDefault
	}
	found := l.readFiles(t, src)
	found = append(found, l.readEnv(t, src.Env)...)
	found = append(found, l.readFlags(t, src.Flags)...)
	if len(found) == 0 {
		found = l.settle(src.Check)
	}
	if len(found) > 0 {
		return nil, &Error{found}
	}
	return l, nil
}

// prefix begins the names of all environment variables. variable names the file.
const (
	prefix   = "WAVRY_HOST_"
	variable = prefix + "CONFIG"
)

// readFiles reads the file and its drop-ins, which override it in the order of their names.
func (l *Loaded) readFiles(t *table, src Sources) []Problem {
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
	found := l.readFile(t, path, must)
	more, warnings, err := dropIns(path)
	if err != nil {
		return append(found, *err)
	}
	l.Warnings = append(l.Warnings, warnings...)
	for _, file := range more {
		found = append(found, l.readFile(t, file, true)...)
	}
	return found
}

// DropInFolder is a folder next to the configuration file. Its files override that file.
const DropInFolder = "conf.d"

// dropIns lists the files in the folder of drop-ins for the file at path.
func dropIns(path string) (files, warnings []string, problem *Problem) {
	folder := filepath.Join(filepath.Dir(path), DropInFolder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, nil
		}
		return nil, nil, &Problem{Where: folder, Text: Reason(err)}
	}
	for _, e := range entries { // in the order of their names
		name := filepath.Join(folder, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."): // of editors, and of volumes of Kubernetes
		case strings.HasSuffix(name, ".yaml"):
			files = append(files, name)
		case strings.HasSuffix(name, ".yml"):
			warnings = append(warnings, name+" is ignored: its name does not end in .yaml")
		}
	}
	return files, warnings, nil
}

// readFile reads one file. It may be missing unless it must be there.
func (l *Loaded) readFile(t *table, path string, must bool) []Problem {
	data, err := ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !must:
		return nil
	case err != nil:
		return []Problem{{Where: path, Text: Reason(err)}}
	}
	l.Files = append(l.Files, path)
	inline := false
	found := t.decodeFile(path, data, func(s Setting, n *yaml.Node, where string) []Problem {
		l.Origin[s.Name] = where
		var bad []Problem
		for _, t := range s.field(&l.Config).decode(n) {
			bad = append(bad, Problem{Where: fmt.Sprintf("%s:%d", path, t.at.Line), Text: s.Name + t.in + ": " +
				"" + s.refuse(t)})
		}
		inline = inline || s.Secret
		return bad
	})
	for _, one := range l.ICE.Servers {
		inline = inline || one.Credential != "" || one.Secret != ""
	}
	l.checkCustody(path, inline)
	return found
}

// checkCustody warns if others can read or write a file. The file decides who gets in, and may contain secrets. It is
// used all the same: otherwise nothing would run that could report this.
func (l *Loaded) checkCustody(path string, secrets bool) {
	kind := custody.Decisive
	if secrets {
		kind = custody.Secret
	}
	switch warning, err := custodyOf(path, kind); {
	case err != nil && secrets:
		l.Warnings = append(l.Warnings, "the configuration holds secrets, and "+err.Error())
	case err != nil:
		l.Warnings = append(l.Warnings, "the configuration is exposed: "+err.Error())
	case warning != "":
		l.Warnings = append(l.Warnings, warning)
	}
}

func (l *Loaded) readEnv(t *table, env []string) []Problem {
	var (
		found   []Problem
		foreign []string
	)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		s, known := t.byEnv[name]
		switch {
		case !strings.HasPrefix(name, prefix) || name == variable:
		case !known && injected.MatchString(name) && !strings.Contains(name, "__"):
			foreign = append(foreign, name)
		case !known:
			found = append(found, Problem{Where: name, Text: "unknown variable" + t.suggestEnv(name)})
		case value == "": // an empty variable is an unset one
		default:
			if t := s.field(&l.Config).set(value); t != nil {
				found = append(found, Problem{Where: name + t.in, Text: s.refuse(*t)})
			}
			l.Origin[s.Name] = name
		}
	}
	if len(foreign) > 0 {
		slices.Sort(foreign)
		l.Warnings = append(l.Warnings, fmt.Sprintf("variables that Kubernetes sets for services are ignored: %s",
			strings.Join(foreign, " ")))
	}
	return found
}

// injected matches the variables that Kubernetes and Docker links set in every container for a service with the name
// wavry-host, or with a name that begins so.
var injected = regexp.MustCompile(`^WAVRY_HOST_(?:[A-Z0-9_]+_)?` +
	`(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?|` +
	`NAME|ENV_[A-Z0-9_]+)$`)

func (l *Loaded) readFlags(t *table, flags map[string]string) []Problem {
	var found []Problem
	for _, s := range t.settings {
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
	if l.SharedToken = l.Auth.Token; l.Auth.TokenFile != "" {
		text, why := l.SecretIn(l.Auth.TokenFile)
		var ok bool
		if l.SharedToken, ok = ParseToken(text); why == "" && !ok {
			why = "what " + l.Auth.TokenFile + " holds is not " + token().allowed
		}
		if why != "" {
			found = append(found, l.Blame("auth.token_file", why))
		}
	}
	for i := range l.ICE.Servers {
		one := &l.ICE.Servers[i]
		for path, into := range map[string]*Secret{one.SecretFile: &one.Secret, one.CredentialFile: &one.Credential} {
			if path == "" {
				continue
			}
			text, why := l.SecretIn(path)
			if why == "" && (text == "" || !isPrintable(text)) {
				why = "what " + path + " holds is not one line of text"
			}
			if why != "" {
				found = append(found, l.Blame("ice.servers", why))
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

// refuse describes a refused value of s.
func (s Setting) refuse(t trouble) string {
	if s.Secret && t.value != "there" {
		t.value = "the value"
	}
	return t.value + " " + t.why
}

// ReadFile reads a file of at most MaxSize bytes.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a folder")
	case !info.Mode().IsRegular(): // a pipe would block, and be empty at the next reload
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
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
