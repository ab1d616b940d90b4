package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestFilesAreReplacedAndAppendedTo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	if err := Append(path, []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("appended to a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte("a long text of old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Replace(path, []byte("new\n")), Append(path, []byte("more\n"))); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "new\nmore\n" {
		t.Errorf("it has %q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info, err)
	}

	if err := Publish(path, []byte("for all\n")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("others may not read what is published: %v, %v", info, err)
	}

	// What cannot be replaced stays, and nothing is left lying about.
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(folder, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if err := Replace(filepath.Join(dir, "none", "list"), []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file in a folder that is not there: %v", err)
	}
	names := func() (n int) {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if n := names(); n != 2 {
		t.Errorf("%d files are left", n)
	}
	if err := os.WriteFile(path+newSuffix+"17", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if Tidy(path); names() != 2 {
		t.Error("what a crash left is still there")
	}
}
