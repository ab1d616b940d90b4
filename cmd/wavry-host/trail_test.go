package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTrailFollowsRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	tr, err := newTrail(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(s string) {
		t.Helper()
		tr.next = time.Time{}
		if _, err := tr.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	put("one\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want a file of mode 0600", info, err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	put("two\n")
	for file, want := range map[string]string{path: "two\n", path + ".1": "one\n"} {
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v; want %q", file, got, err, want)
		}
	}
	if _, err := newTrail(t.TempDir()); err == nil {
		t.Error("a folder is taken for a file")
	}
}

func TestTokenCommand(t *testing.T) {
	var out, stderr bytes.Buffer
	if code := run(t.Context(), []string{"token", "gateway", "operator"}, nil, &out, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	if s := out.String(); !strings.Contains(s, "gateway operator sha256:") || len(strings.Fields(strings.SplitN(s, "\n", 2)[0])[1]) != 32 {
		t.Errorf("printed %q", s)
	}
	if code := run(t.Context(), []string{"token", "gateway", "root"}, nil, &out, &stderr); code != exitUsage || !strings.Contains(stderr.String(), "root") {
		t.Errorf("an unknown role: exit code %d, %s", code, &stderr)
	}
}
