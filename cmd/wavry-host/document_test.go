package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentsAreCurrent compares the generated parts of documents with the table of settings and the list of exit
// codes. A part stands between "<!-- NAME -->" and "<!-- /NAME -->".
func TestDocumentsAreCurrent(t *testing.T) {
	for path, parts := range map[string]map[string]func() string{
		"../../docs/operate/settings.md": {"settings": settingsInFull},
		"../../docs/operate/configuration.md": {
			"example": settingsExample, "exit codes": exitTable, "live": liveList,
		},
	} {
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(old)
		for name, content := range parts {
			if text, err = replacePart(text, name, content()); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		if *update && !t.Failed() {
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

// liveList names the settings that a reload applies, in lines of at most 120 characters.
func liveList() string {
	var b strings.Builder
	width := 0
	for i, name := range liveSettings() {
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

func settingsInFull() string {
	var b strings.Builder
	for _, section := range sections() {
		fmt.Fprintf(
			&b, "\n### %s\n\n| setting | type | default | allowed | |\n| --- | --- | --- | --- | --- |\n", section.title,
		)
		for _, s := range section.settings {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.name, s.word, code(s.initial), cell(s.allowed), cell(s.doc))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// settingsExample is the file that the tests read, so it works.
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
