package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// TestDocumentsAreCurrent holds the parts of the documents that are made from the table of settings and the list of exit codes
// against them. A part stands between "<!-- NAME -->" and "<!-- /NAME -->".
func TestDocumentsAreCurrent(t *testing.T) {
	for _, doc := range []struct {
		path     string
		optional bool
		parts    map[string]func() string
	}{
		{"../../docs/operate/configuration.md", false, map[string]func() string{
			"settings": settingsInFull, "example": settingsExample, "exit codes": exitTable, "live": func() string { return "`" + strings.Join(liveSettings(), "`, `") + "`\n" },
		}},
		{"../../README.md", true, map[string]func() string{"settings": settingsInBrief}},
	} {
		old, err := os.ReadFile(doc.path)
		if errors.Is(err, fs.ErrNotExist) && doc.optional {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		text := string(old)
		if doc.optional && !strings.Contains(text, "<!-- settings -->") {
			continue // it carries no table that could be behind
		}
		for name, content := range doc.parts {
			if text, err = replacePart(text, name, content()); err != nil {
				t.Errorf("%s: %v", doc.path, err)
			}
		}
		if *update && !t.Failed() {
			if err := os.WriteFile(doc.path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if text != string(old) {
			t.Errorf("%s is behind the table of settings; rewrite it with: make generate", doc.path)
		}
	}
}

// replacePart puts content between the markers of that name.
func replacePart(text, name, content string) (string, error) {
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return text, fmt.Errorf("it has no part between %q and %q", strings.TrimSpace(begin), end)
	}
	return before + begin + content + end + after, nil
}

func TestReplacePart(t *testing.T) {
	got, err := replacePart("a\n<!-- x -->\nold\n<!-- /x -->\nb", "x", "new\n")
	if want := "a\n<!-- x -->\nnew\n<!-- /x -->\nb"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := replacePart("<!-- x -->\nold\n", "x", "new"); err == nil {
		t.Error("a part without an end was replaced")
	}
}

// cell makes text fit for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func settingsInBrief() string {
	var b strings.Builder
	b.WriteString("| setting | default | |\n| --- | --- | --- |\n")
	for _, s := range settings() {
		first, _, _ := strings.Cut(s.doc, ". ")
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, code(s.initial), cell(strings.TrimSuffix(first, ".")))
	}
	return b.String()
}

func settingsInFull() string {
	var b strings.Builder
	for _, section := range sections() {
		fmt.Fprintf(&b, "\n### %s\n\n| setting | type | default | allowed | |\n| --- | --- | --- | --- | --- |\n", section.title)
		for _, s := range section.settings {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.name, s.word, code(s.initial), cell(s.allowed), cell(s.doc))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// settingsExample is the file that the tests read; so it is one that works.
func settingsExample() string {
	return "```yaml\n" + strings.TrimPrefix(full, "# a comment\n") + "```\n"
}

func exitTable() string {
	var b strings.Builder
	b.WriteString("| code | meaning |\n| --- | --- |\n")
	for _, e := range exits() {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.meaning)
	}
	return b.String()
}

// TestTableIsSound checks what the table promises of each setting.
func TestTableIsSound(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range settings() {
		if seen[s.name] {
			t.Errorf("%s is there twice", s.name)
		}
		seen[s.name] = true
		var c Config
		if trouble := s.field(&c).set(s.initial); trouble != nil {
			t.Errorf("%s: its default %q is refused: %+v", s.name, s.initial, *trouble)
		}
		if s.doc == "" || s.allowed == "" || s.word == "" || !strings.HasSuffix(s.doc, ".") {
			t.Errorf("%s is not documented: %+v", s.name, s)
		}
	}
}
