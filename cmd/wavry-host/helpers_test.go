package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// nested turns lines such as "displays.fps: 30" into a file with sections.
func nested(text string) string {
	var b strings.Builder
	var open []string
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.SortStableFunc(lines, func(a, c string) int { return strings.Compare(section(a), section(c)) })
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		keys := strings.Split(name, ".")
		for i, key := range keys[:len(keys)-1] {
			if i < len(open) && open[i] == key {
				continue
			}
			open = append(open[:min(i, len(open))], key)
			b.WriteString(strings.Repeat("  ", i) + key + ":\n")
		}
		open = open[:len(keys)-1]
		b.WriteString(strings.Repeat("  ", len(keys)-1) + keys[len(keys)-1] + ": " + value + "\n")
	}
	return b.String()
}

// section returns the section of a setting.
func section(line string) string {
	name, _, _ := strings.Cut(line, ": ")
	return name[:max(0, strings.LastIndex(name, "."))]
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
