package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"wavryhost/cmd/wavry-host/config"
)

var update = flag.Bool("update", false, "rewrite generated documents and golden files")

// write puts a file into a folder of the test's own, readable by its owner alone.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load reads a configuration as the commands do.
func load(src config.Sources) (*loaded, error) {
	src.Check = conflicts
	l, err := config.Load(src)
	if err != nil {
		return nil, err
	}
	return &loaded{Loaded: l}, nil
}

// everything is a file that sets every setting.
func everything(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("config/testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
