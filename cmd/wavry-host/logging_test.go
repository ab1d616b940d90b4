package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"wavryhost/cmd/wavry-host/config"
)

// newTestLog logs to the test's output.
func newTestLog(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func TestLogFormAndLevel(t *testing.T) {
	for _, tc := range []struct{ format, level, want string }{
		{"auto", "info", `"level":"INFO","msg":"two"`}, // what is no terminal gets JSON
		{"json", "warn", `"level":"WARN","msg":"three"`},
		{"text", "debug", `level=DEBUG msg=one`},
		{"text", "error", `level=ERROR msg=four`},
	} {
		var b strings.Builder
		log, level, lines, err := newLogger(&config.Config{Log: config.Log{Format: tc.format, Level: tc.level}}, nil, &b)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("one")
		log.Info("two")
		log.Warn("three")
		log.Error("four")
		level.Set(slog.LevelError + 1)
		log.Error("five")
		lines.Close(patience)
		first, _, _ := strings.Cut(b.String(), "\n")
		if !strings.Contains(first, tc.want) {
			t.Errorf("%+v: first line %s", tc, first)
		}
		if strings.Contains(b.String(), "five") {
			t.Errorf("%+v: logged beyond the level that was set later: %s", tc, &b)
		}
	}
}

func TestDurationsAreLoggedInSeconds(t *testing.T) {
	for format, want := range map[string]string{"json": `"took_seconds":1.5`, "text": "took_seconds=1.5"} {
		var b strings.Builder
		log, _, lines, err := newLogger(&config.Config{Log: config.Log{Format: format, Level: "info"}}, nil, &b)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("done", "took", 1500*time.Millisecond)
		lines.Close(patience)
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s: %s has no %s", format, &b, want)
		}
	}
}
