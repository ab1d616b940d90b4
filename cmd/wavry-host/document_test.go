package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentsAreCurrent compares the generated parts of documents with the lists in the code. A part stands between
// "<!-- NAME -->" and "<!-- /NAME -->".
func TestDocumentsAreCurrent(t *testing.T) {
	for path, parts := range map[string]map[string]func() string{
		"../../docs/operate/configuration.md": {"exit codes": exitTable},
		"../../docs/operate/doctor.md":        {"checks": func() string { return checkTable(t) }},
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

func exitTable() string {
	var b strings.Builder
	b.WriteString("| code | meaning |\n| --- | --- |\n")
	for _, e := range exits() {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.meaning)
	}
	return b.String()
}

func checkTable(t *testing.T) string {
	t.Helper()
	p := healthy(t)
	p.examine()
	var b strings.Builder
	b.WriteString("| check | what it looks at |\n| --- | --- |\n")
	for _, c := range p.checks() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.ID, cell(c.Title))
	}
	return b.String()
}

// cell makes text fit for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func code(s string) string { return "`" + s + "`" }
