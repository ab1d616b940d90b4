package peer

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/pion/logging"
)

// loggerFactory makes pion log to slog. An error of pion concerns one peer only, and the session logs its
// consequences. So pion's errors have level Warn, and everything else has level Debug.
type loggerFactory struct{ log *slog.Logger }

// NewLoggerFactory returns a LoggerFactory for pion that logs to log.
func NewLoggerFactory(log *slog.Logger) logging.LoggerFactory { return loggerFactory{log} }

// NewLogger returns the logger for a part of pion.
func (f loggerFactory) NewLogger(scope string) logging.LeveledLogger {
	return pionLogger{f.log.With("part", scope)}
}

type pionLogger struct{ log *slog.Logger }

func (l pionLogger) put(level slog.Level, text string) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "pion", "text", conceal(text))
	}
}

func (l pionLogger) putf(level slog.Level, format string, args ...any) {
	if l.log.Enabled(context.Background(), level) {
		l.put(level, fmt.Sprintf(format, args...))
	}
}

// secrets matches a secret and its name in what pion logs, for example the password of an ICE session.
var secrets = regexp.MustCompile(`(?i)(pwd|password|credential|secret)(: |:|=)("(?:[^"\\]|\\.)*"|[^\s,;]+)`)

// conceal removes the secrets from what pion logs.
func conceal(text string) string { return secrets.ReplaceAllString(text, "$1$2(hidden)") }

// pion traces each packet, so traces are dropped.
func (l pionLogger) Trace(string)                      {}
func (l pionLogger) Tracef(string, ...any)             {}
func (l pionLogger) Debug(text string)                 { l.put(slog.LevelDebug, text) }
func (l pionLogger) Debugf(format string, args ...any) { l.putf(slog.LevelDebug, format, args...) }
func (l pionLogger) Info(text string)                  { l.put(slog.LevelDebug, text) }
func (l pionLogger) Infof(format string, args ...any)  { l.putf(slog.LevelDebug, format, args...) }
func (l pionLogger) Warn(text string)                  { l.put(slog.LevelDebug, text) }
func (l pionLogger) Warnf(format string, args ...any)  { l.putf(slog.LevelDebug, format, args...) }
func (l pionLogger) Error(text string)                 { l.put(slog.LevelWarn, text) }
func (l pionLogger) Errorf(format string, args ...any) { l.putf(slog.LevelWarn, format, args...) }
