package config

import (
	"slices"
	"strings"
)

// Setting is one setting of an operator. The table of settings drives reading, printing, help and documentation.
type Setting struct {
	// Name is the path of keys in the file, separated by dots. The variable follows from it.
	Name string
	// Default is the default, as text. It is empty for an empty list.
	Default string
	// Allowed describes the allowed values, to be read after "is not", and Type is the name of their type for people.
	Allowed, Type string
	// Doc is a sentence or two for help and documentation.
	Doc string
	// Secret keeps the value out of messages.
	Secret bool
	// Live reports whether a reload applies a change. Other changes require a restart.
	Live bool
	// Former is the name in files of one level, which Migrate reads.
	Former string
	// flag is the name of its flag, without dashes. Most settings have none.
	flag string
	// field is where the value is stored.
	field func(*Config) target
}

// Section is the part of the table with one first key.
type Section struct {
	Name, Doc string
	Settings  []Setting
}

// Env returns the environment variable that sets it.
func (s Setting) Env() string {
	return prefix + strings.ToUpper(strings.ReplaceAll(s.Name, ".", "__"))
}

// Flag returns the flag that sets it, or nothing if it has none.
func (s Setting) Flag() string {
	if s.flag == "" {
		return ""
	}
	return "--" + s.flag
}

// Help is its line in the help.
func (s Setting) Help() string {
	if s.Default == "" {
		return s.Doc
	}
	return s.Doc + " Default: " + s.Default + "."
}

// Value returns the current value, for comparison.
func (s Setting) Value(c *Config) any { return s.field(c).value() }

// Schema returns the JSON Schema of its values.
func (s Setting) Schema() map[string]any { return s.field(new(Config)).shape() }

// one makes a setting of a single value.
func one[T any](name, initial string, k kind[T], field func(*Config) *T, doc string) Setting {
	return Setting{
		Name: name, Default: initial, Allowed: k.allowed, Type: k.word, Doc: doc,
		field: func(c *Config) target { return scalar[T]{k, field(c)} },
	}
}

// many makes a setting of a list of texts.
func many(name, allowed string, ok func(string) bool, field func(*Config) *[]string, doc string) Setting {
	return of(name, func(c *Config) target { return list{field(c), ok, allowed} }, doc)
}

// of makes a setting of a list.
func of(name string, field func(*Config) target, doc string) Setting {
	s := Setting{Name: name, Doc: doc, field: field}
	s.Allowed, s.Type = field(new(Config)).allows()
	return s
}

func (s Setting) was(former string) Setting {
	s.Former = former
	return s
}

func (s Setting) withFlag(name string) Setting {
	s.flag = name
	return s
}

func (s Setting) live() Setting {
	s.Live = true
	return s
}

func (s Setting) hidden() Setting {
	s.Secret = true
	return s
}

// Sections returns the table of settings.
func Sections() []Section {
	return []Section{
		{"host", "This host, for gateways and tools.", hostTable()},
		{"api", "The HTTP server: viewer page, WHEP and control API.", apiTable()},
		{"auth", "Credentials of clients, and what they allow.", authTable()},
		{"displays", "Displays and their pictures.", displayTable()},
		{"encoding", "Encoders.", encodingTable()},
		{"input", "Mouse and keyboard of viewers.", inputTable()},
		{"sessions", "Limits on sessions.", sessionTable()},
		{"timeouts", "Limits on waiting.", timeoutTable()},
		{"media", "The network for media.", mediaTable()},
		{"ice", "STUN and TURN servers.", iceTable()},
		{"gateway", "A signaling gateway.", gatewayTable()},
		{"fleet", "A fleet of hosts on NATS.", fleetTable()},
		{"webhook", "Delivery of events to a program.", webhookTable()},
		{"tracing", "Traces for an OpenTelemetry collector.", tracingTable()},
		{"log", "The log.", logTable()},
	}
}

// Settings returns all settings.
func Settings() []Setting {
	var all []Setting
	for _, s := range Sections() {
		all = append(all, s.Settings...)
	}
	return all
}

// Find returns the setting with a name.
func Find(name string) (Setting, bool) {
	all := Settings()
	if i := slices.IndexFunc(all, func(s Setting) bool { return s.Name == name }); i >= 0 {
		return all[i], true
	}
	return Setting{}, false
}
