package main

import (
	"encoding"
	"log/slog"
)

// mask replaces a secret wherever one would be shown. It is refused as a secret, so that a printed configuration is
// never mistaken for the real one.
const mask = "(hidden)"

// secret is text that is shown nowhere: not in a log, an error, or a printed configuration.
type secret string

var (
	_ encoding.TextMarshaler = secret("")
	_ slog.LogValuer         = secret("")
)

func (s secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString keeps %#v from showing it.
func (s secret) GoString() string { return `"` + s.String() + `"` }

// LogValue keeps log/slog from showing it.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps encoders from showing it.
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the text itself.
func (s secret) Reveal() string { return string(s) }
