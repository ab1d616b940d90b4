package session

import (
	"context"
	"fmt"
	"log/slog"

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
	s.log.Log(context.Background(), level, "pion", "text", text)
}

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
