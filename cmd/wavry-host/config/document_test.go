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
		"../../../docs/operate/configuration.md": {"example": settingsExample},
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

// settingsInFull has a table for each section. The last column but one shows the settings that a reload applies.
func settingsInFull() string {
	var b strings.Builder
	for _, section := range Sections() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", section.Name, section.Doc)
		b.WriteString("| setting | type | default | allowed | reload | |\n| --- | --- | --- | --- | --- | --- |\n")
		for _, s := range section.Settings {
			reload, flag := "restart", ""
			if s.Live {
				reload = "yes"
			}
			if s.Flag() != "" {
				flag = " Flag: " + code(s.Flag()) + "."
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s%s |\n", s.Name, s.Type, code(s.Default), cell(s.Allowed), reload,
				cell(s.Doc), flag)
		}
	}
	b.WriteString("\n")
	return b.String()
}

// settingsExample is the file that the tests read, so it works.
func settingsExample() string {
	return "```yaml\n" + full + "```\n"
}

// cell makes text fit for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
