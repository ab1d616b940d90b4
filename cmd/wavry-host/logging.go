package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"wavryhost/cmd/wavry-host/config"

	"golang.org/x/term"
)

// newLogger returns the configured log, its level, which can be changed later, and the queue before w, which the caller
// must close.
func newLogger(cfg *config.Config, w io.Writer) (*slog.Logger, *slog.LevelVar, *logQueue, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return nil, nil, nil, fmt.Errorf("log level: %w", err)
	}
	terminal := isTerminal(w)
	queue := newLogQueue(w, lostLines(cfg, terminal))
	return slog.New(newHandler(cfg, queue, terminal, level)), level, queue, nil
}

// newHandler returns a handler for the configured form of the log.
func newHandler(cfg *config.Config, w io.Writer, terminal bool, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: inSeconds}
	if cfg.Log.Format == "text" || cfg.Log.Format == "auto" && terminal {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
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
