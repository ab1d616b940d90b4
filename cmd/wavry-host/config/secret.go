package config

import (
	"encoding"
	"log/slog"
)

// mask replaces a secret wherever one would be shown. It is refused as a secret, so that a printed configuration is
// never mistaken for the real one.
const mask = "(hidden)"

// Secret is text that is shown nowhere: not in a log, an error, or a printed configuration.
type Secret string

var (
	_ encoding.TextMarshaler = Secret("")
	_ slog.LogValuer         = Secret("")
)

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString keeps %#v from showing it.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue keeps log/slog from showing it.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps encoders from showing it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }
