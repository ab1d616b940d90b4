package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentsAreCurrent compares the generated parts of documents with the table of settings. A part stands between
// "<!-- NAME -->" and "<!-- /NAME -->".
func TestDocumentsAreCurrent(t *testing.T) {
	for path, parts := range map[string]map[string]func() string{
		"../../../docs/operate/settings.md":      {"settings": settingsInFull},
		"../../../docs/operate/configuration.md": {"example": settingsExample, "live": liveList},
	} {
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(old)
		for name, content := range parts {
			begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
			before, rest, ok := strings.Cut(text, begin)
			_, after, closed := strings.Cut(rest, end)
			if !ok || !closed {
				t.Fatalf("%s has no part between %q and %q", path, strings.TrimSpace(begin), end)
			}
			text = before + begin + content() + end + after
		}
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if text != string(old) {
			t.Errorf("%s differs from the code; rewrite it with: make generate", path)
		}
	}
}

// TestTableIsSound checks what the table promises of each setting.
func TestTableIsSound(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Settings() {
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		var c Config
		if trouble := s.field(&c).set(s.Default); trouble != nil {
			t.Errorf("%s: its default %q is refused: %+v", s.Name, s.Default, *trouble)
		}
		if s.Doc == "" || s.Allowed == "" || s.Type == "" || !strings.HasSuffix(s.Doc, ".") {
			t.Errorf("%s is not documented: %+v", s.Name, s)
		}
	}
}

func settingsInFull() string {
	var b strings.Builder
	for _, section := range Sections() {
		fmt.Fprintf(
			&b, "\n### %s\n\n| setting | type | default | allowed | |\n| --- | --- | --- | --- | --- |\n", section.Title,
		)
		for _, s := range section.Settings {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.Type, code(s.Default), cell(s.Allowed), cell(s.Doc))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// settingsExample is the file that the tests read, so it works.
func settingsExample() string {
	return "```yaml\n" + strings.TrimPrefix(full, "# a comment\n") + "```\n"
}

// cell makes text fit for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// liveList names the settings that a reload applies, in lines of at most 120 characters.
func liveList() string {
	var b strings.Builder
	width := 0
	for i, name := range Live() {
		word := code(name)
		if i > 0 {
			b.WriteString(",")
			width++
		}
		switch {
		case i > 0 && width+1+len(word)+1 > 120:
			b.WriteString("\n")
			width = 0
		case i > 0:
			b.WriteString(" ")
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String() + "\n"
}
