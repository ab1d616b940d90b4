package display

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program puts a program of a test's own in front of all others of its name.
func program(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(
		filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700,
	); err != nil { //nolint:gosec // it is to run
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// Each failure is an error that says what to do, and leaves nothing behind.
func TestVirtualDisplayThatCannotBeMade(t *testing.T) {
	for name, c := range map[string]struct{ script, tmp, want string }{
		"no room for files":  {"exit 0", "missing", "TMPDIR"},
		"a server that ends": {"echo 'no screens found' >&2; exit 1", "", "no screens found"},
		"an odd answer":      {"echo x >&3; exec sleep 60", "", `it has display "x" instead of`},
	} {
		t.Run(name, func(t *testing.T) {
			program(t, "Xvfb", c.script)
			tmp := t.TempDir()
			t.Setenv("TMPDIR", filepath.Join(tmp, c.tmp))
			v, err := StartVirtual(t.Context(), VirtualConfig{}, slog.New(slog.DiscardHandler))
			if v != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want an error that says %q", v, err, c.want)
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// The numbers of the machine's own servers and of ssh stay free.
func TestVirtualDisplayTakesAHighNumber(t *testing.T) {
	program(t, "Xvfb", "echo \"${1#:}\" >&3; exec sleep 60")
	v, err := StartVirtual(t.Context(), VirtualConfig{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.number < firstNumber {
		t.Errorf("got display %d; want one from %d on", v.number, firstNumber)
	}
}
