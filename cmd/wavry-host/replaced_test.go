package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestProgramThatWasReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wavry-host")
	write := func(path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("program"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	p := programFile{path, info}
	if p.replaced() || testutil.ToFloat64(newRestartPending(p)) != 0 {
		t.Error("the same file counts as another one")
	}
	write(path + ".new")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if !p.replaced() || testutil.ToFloat64(newRestartPending(p)) != 1 {
		t.Error("a new file with the same content does not count")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if p.replaced() || (programFile{}).replaced() {
		t.Error("a removed program counts as replaced")
	}
	if own := ownProgram(); own.info == nil || own.replaced() {
		t.Errorf("this test: %+v", own)
	}
}
