package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestVersionsAreCounted(t *testing.T) {
	env := []string{"STATE_DIRECTORY=" + t.TempDir()}
	log := slog.New(slog.DiscardHandler)
	for _, step := range []struct {
		version             string
		upgrades, rollbacks uint64
	}{
		{"v1.0.0", 0, 0},
		{"v1.0.0", 0, 0}, // a restart is no upgrade
		{"v1.1.0", 1, 0},
		{"v1.10.0", 2, 0},
		{"v1.2.0", 2, 1},
		{"v1.2.1-rc.1", 3, 1},
		{"v1.2.1", 4, 1},
		{"unknown", 4, 1},
		{"v1.2.1", 4, 1},
		{"v1.2.1+more", 4, 1},
		{"v0.0.0-20261128101010-0123456789ab", 4, 2},
		{"v0.0.0-20261129101010-0023456789ab", 5, 2},
	} {
		v := countVersion(env, step.version, log)
		if v.Upgrades != step.upgrades || v.Rollbacks != step.rollbacks {
			t.Errorf("%s: %d upgrades and %d rollbacks; want %d and %d", step.version, v.Upgrades, v.Rollbacks,
				step.upgrades, step.rollbacks)
		}
	}
}

// The daemon starts without a state folder, with a broken record, and with a record that cannot be written.
func TestVersionsThatAreNotCounted(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	if v := countVersion(nil, "v1.0.0", log); v != (versions{}) {
		t.Errorf("without a state folder: %+v", v)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, versionsFile)
	if err := os.WriteFile(path, []byte(`{"version": 3`), 0o600); err != nil {
		t.Fatal(err)
	}
	if v := countVersion([]string{"STATE_DIRECTORY=" + dir}, "v1.0.0", log); v != (versions{Version: "v1.0.0"}) {
		t.Errorf("with a broken record: %+v", v)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if v := countVersion([]string{"STATE_DIRECTORY=" + dir}, "v1.0.0", log); v != (versions{Version: "v1.0.0"}) {
		t.Errorf("with a folder in the place of the record: %+v", v)
	}
}
