package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/service"

	"golang.org/x/term"
)

// The forms of the log.
const (
	logText    = "text"
	logJSON    = "json"
	logJournal = "journal"
)

// newLogger returns the configured log, its level, which can be changed later, and the queue before w, which the caller
// must close. If w is connected to journald, the log goes there with priorities and fields.
func newLogger(cfg *config.Config, env []string, w io.Writer) (*slog.Logger, *slog.LevelVar, *logQueue, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return nil, nil, nil, fmt.Errorf("log level: %w", err)
	}
	form, w := logForm(cfg, env, w)
	queue := newLogQueue(w, lostLines(form))
	return slog.New(newHandler(form, queue, level)), level, queue, nil
}

// logForm returns the form of the log, and where it goes.
func logForm(cfg *config.Config, env []string, w io.Writer) (string, io.Writer) {
	if cfg.Log.Format == logText || cfg.Log.Format == logJSON {
		return cfg.Log.Format, w
	}
	if f, ok := w.(*os.File); ok {
		if path := service.Journal(env, f); path != "" {
			return logJournal, &journalSender{path: path}
		}
	}
	if isTerminal(w) {
		return logText, w
	}
	return logJSON, w
}

// newHandler returns a handler for a form of the log.
func newHandler(form string, w io.Writer, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: inSeconds}
	switch form {
	case logJournal:
		return &journalHandler{w: w, level: level}
	case logText:
		return slog.NewTextHandler(w, options)
	default:
		return slog.NewJSONHandler(w, options)
	}
}

// inSeconds shows durations like all other times: in seconds, with the unit in the name. By default JSON has them in
// nanoseconds.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindDuration {
		return a
	}
	return slog.Float64(a.Key+"_seconds", a.Value.Duration().Seconds())
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
