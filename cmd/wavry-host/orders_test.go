package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/session/hoststate"
)

// The file keeps a cordon and a drain for the next daemon. A missing file is no error.
func TestOrdersAreKeptInAFile(t *testing.T) {
	env := []string{"STATE_DIRECTORY=" + filepath.Join(t.TempDir(), "made")}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelError}))
	s, keep := ordersOf(env, log)
	if s.Cordon != nil || s.Drain != nil {
		t.Errorf("got %+v", s)
	}
	at := time.Now().Round(time.Second)
	want := hoststate.Orders{
		Cordon: &hoststate.CordonStatus{Owner: "ann", Note: "fan", Begun: at, Until: at.Add(time.Hour)},
		Drain:  &hoststate.DrainStatus{Policy: "move", Begun: at, Note: "update"},
	}
	if err := keep(want); err != nil {
		t.Fatal(err)
	}
	got, keep := ordersOf(env, log)
	if got.Cordon == nil || got.Cordon.Note != "fan" || !got.Cordon.Until.Equal(at.Add(time.Hour)) || got.Drain == nil ||
		got.Drain.Policy != "move" {
		t.Errorf("got %+v", got)
	}
	if err := keep(hoststate.Orders{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := ordersOf(env, log); got.Cordon != nil || got.Drain != nil {
		t.Errorf("got %+v", got)
	}
}

// testWriter fails the test: nothing is to be logged.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Errorf("logged %s", p)
	return len(p), nil
}

// A broken file is one error in the log, with its path and a remedy. The daemon continues, and the next order replaces
// the file. Where nothing can be kept, the order says so.
func TestOrdersThatAreBroken(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "{", "another policy": `{"drain": {"policy": "now", "begun": "2026-11-29T10:00:00Z"}}`,
		"no beginning": `{"cordon": {"note": "x"}}`, "large": strings.Repeat(" ", maxStateFile+1),
		"another type": `{"cordon": "yes"}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, ordersFile)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			s, keep := ordersOf([]string{"STATE_DIRECTORY=" + dir}, slog.New(slog.NewTextHandler(&said, nil)))
			if s.Cordon != nil || s.Drain != nil || strings.Count(said.String(), "\n") != 1 ||
				!strings.Contains(said.String(), path) || !strings.Contains(said.String(), "remedy=") {
				t.Errorf("got %+v, log %q", s, said.String())
			}
			if err := keep(hoststate.Orders{}); err != nil {
				t.Error(err)
			}
		})
	}
	file := write(t, "file", "")
	for _, env := range [][]string{nil, {"STATE_DIRECTORY=" + file}} {
		_, keep := ordersOf(env, slog.New(slog.DiscardHandler))
		if err := keep(hoststate.Orders{}); err == nil {
			t.Errorf("%v: an order that cannot be kept is not refused", env)
		}
	}
}
