package session

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/pion/logging"
)

// pionLog makes pion log to slog. What pion calls an error is trouble with one peer, so nothing is above Debug but its
// errors, and those are only as much as Warn; what they lead to is logged by the session itself.
type pionLog struct{ log *slog.Logger }

// NewLogger returns the logger for one part of pion.
func (p pionLog) NewLogger(scope string) logging.LeveledLogger {
	return pionScope{p.log.With("part", scope)}
}

type pionScope struct{ log *slog.Logger }

func (s pionScope) put(level slog.Level, text string) {
	if s.log.Enabled(context.Background(), level) {
		s.log.Log(context.Background(), level, "pion", "text", conceal(text))
	}
}

// secrets finds what pion says after the name of a secret: it logs the password of each ICE session.
var secrets = regexp.MustCompile(`(?i)(pwd|password|credential|secret)(: |:|=)("(?:[^"\\]|\\.)*"|[^\s,;]+)`)

// conceal takes the secrets out of what pion logs.
func conceal(text string) string { return secrets.ReplaceAllString(text, "$1$2(hidden)") }

func (s pionScope) putf(level slog.Level, format string, args ...any) {
	if s.log.Enabled(context.Background(), level) {
		s.put(level, fmt.Sprintf(format, args...))
	}
}

// pion traces each packet; that is of no use here.
func (s pionScope) Trace(string)                      {}
func (s pionScope) Tracef(string, ...any)             {}
func (s pionScope) Debug(text string)                 { s.put(slog.LevelDebug, text) }
func (s pionScope) Debugf(format string, args ...any) { s.putf(slog.LevelDebug, format, args...) }
func (s pionScope) Info(text string)                  { s.put(slog.LevelDebug, text) }
func (s pionScope) Infof(format string, args ...any)  { s.putf(slog.LevelDebug, format, args...) }
func (s pionScope) Warn(text string)                  { s.put(slog.LevelDebug, text) }
func (s pionScope) Warnf(format string, args ...any)  { s.putf(slog.LevelDebug, format, args...) }
func (s pionScope) Error(text string)                 { s.put(slog.LevelWarn, text) }
func (s pionScope) Errorf(format string, args ...any) { s.putf(slog.LevelWarn, format, args...) }
