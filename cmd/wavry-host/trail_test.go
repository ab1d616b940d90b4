package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
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
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v; want a file of mode 0640", info, err)
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
	if s := out.String(); !strings.Contains(s, "gateway operator sha256:") ||
		len(strings.Fields(strings.SplitN(s, "\n", 2)[0])[1]) != 32 {
		t.Errorf("printed %q", s)
	}
	if code := run(
		t.Context(), []string{"token", "gateway", "root"}, nil, &out, &stderr,
	); code != exitUsage ||
		!strings.Contains(stderr.String(), "root") {
		t.Errorf("an unknown role: exit code %d, %s", code, &stderr)
	}
}

// A file that was there keeps no access of others. Half a line of another program does not spoil the next one.
func TestTrailOfAFileThatIsThere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode says nothing on Windows")
	}
	for was, want := range map[os.FileMode]os.FileMode{
		0o644: 0o640, 0o666: 0o640, 0o640: 0o640, 0o600: 0o600,
		0o622: 0o600,
	} {
		path := write(t, "audit", `{"half`)
		if err := os.Chmod(path, was); err != nil {
			t.Fatal(err)
		}
		tr, err := newTrail(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"one\n", "two\n"} {
			if _, err := tr.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		info, err := os.Stat(path)
		text, err2 := os.ReadFile(path)
		if err != nil || err2 != nil || info.Mode().Perm() != want || string(text) != "{\"half\none\ntwo\n" {
			t.Errorf("mode %04o became %v with %q: %v %v; want %04o", was, info.Mode(), text, err, err2, want)
		}
	}
}
