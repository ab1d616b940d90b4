//go:build unix

package config

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe would block a reload, and be empty at the next one.
func TestFilesThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	pipe, unreadable, large := filepath.Join(folder, "pipe"), filepath.Join(folder, "unreadable"),
		filepath.Join(folder, "large")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unreadable, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, make([]byte, MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		pipe:       "it is not a regular file",
		large:      "it is larger than 1048576 bytes",
		unreadable: "open: permission denied",
	} {
		if path == unreadable && os.Geteuid() == 0 {
			continue // root may read everything
		}
		if _, err := Load(Sources{Path: path}); err == nil || err.Error() != path+": "+want {
			t.Errorf("got %v; want %s", err, want)
		}
	}
}
