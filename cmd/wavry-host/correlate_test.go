package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
)

func TestHashOfTheConfiguration(t *testing.T) {
	load := func(env ...string) string {
		t.Helper()
		l, err := config.Load(config.Sources{Env: env})
		if err != nil {
			t.Fatal(err)
		}
		return configHash(&l.Config)
	}
	same := load()
	if again := load(); again != same || len(same) != hashLength {
		t.Errorf("hashes %s and %s of the same settings", same, again)
	}
	if other := load("WAVRY_HOST_DISPLAYS__FPS=30"); other == same {
		t.Error("another frame rate has the same hash")
	}
	const relay = `WAVRY_HOST_ICE__SERVERS=[{urls: ["turn:t"], username: a, credential: %s}]`
	one := load("WAVRY_HOST_AUTH__TOKEN=0123456789abcdef0123", fmt.Sprintf(relay, "b"))
	two := load("WAVRY_HOST_AUTH__TOKEN=fedcba9876543210fedc", fmt.Sprintf(relay, "c"))
	if one != two {
		t.Error("the hash depends on a secret")
	}
}

func TestHowTheDaemonEndedBefore(t *testing.T) {
	dir := t.TempDir()
	env := []string{"STATE_DIRECTORY=" + dir}
	start := func(want string) *lastExit {
		t.Helper()
		l, before := newLastExit(env, slog.New(slog.DiscardHandler))
		if before != want {
			t.Errorf("the previous end was %s; want %s", before, want)
		}
		return l
	}
	start(session.ExitUnknown).end(nil)
	start(session.ExitClean).end(errors.New("no display"))
	start(session.ExitFailed) // and nothing recorded
	start(session.ExitKilled)
	if err := os.WriteFile(filepath.Join(dir, "last_exit"), []byte("\x00garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(session.ExitUnknown).end(nil)
	start(session.ExitClean)
	if l, before := newLastExit(nil, slog.New(slog.DiscardHandler)); before != session.ExitUnknown || l.path != "" {
		t.Errorf("without a state folder: %s, %q", before, l.path)
	}
}
