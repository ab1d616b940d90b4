package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/develop/constants.md; the results of the sweep stay")

// The document has the constants of the code: each name, value, unit and source, in order.
func TestDocumentHasTheConstants(t *testing.T) {
	const name = "../../../docs/develop/constants.md"
	table, err := readTable("../../tuning")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := readDocument(name)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "constants.md")
	if *update {
		out = name
	}
	if err := doc.write(out, table); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if line, differs := firstDifference(string(got), string(want)); differs {
		t.Errorf("constants.md differs from adapt/tuning; run make generate, and make sweep for the figures: %s", line)
	}
}

// firstDifference returns the first line of want that got does not have in its place.
func firstDifference(got, want string) (line string, differs bool) {
	have := strings.Split(got, "\n")
	for i, line := range strings.Split(want, "\n") {
		if i >= len(have) || have[i] != line {
			return line, true
		}
	}
	return "the document is longer", got != want
}

// A constant that has another name, value or unit than the document is found.
func TestDocumentMissesAChange(t *testing.T) {
	table := table{constants: []constant{{name: "Wait", value: 25, unit: "time.Millisecond", source: "measured"}}}
	dir := t.TempDir()
	write := func(name string) string {
		doc := document{rows: map[string]row{"Wait": {"1", "2", "late"}}}
		path := filepath.Join(dir, name)
		if err := doc.write(path, &table); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := write("before")
	if line, differs := firstDifference(before, write("same")); differs {
		t.Errorf("without a change %q differs", line)
	}
	for what, change := range map[string]func(*constant){
		"name":   func(c *constant) { c.name = "Waits" },
		"value":  func(c *constant) { c.value = 26 },
		"unit":   func(c *constant) { c.unit = "time.Second" },
		"source": func(c *constant) { c.source = "arithmetic" },
	} {
		kept := table.constants[0]
		change(&table.constants[0])
		if _, differs := firstDifference(before, write(what)); !differs {
			t.Errorf("another %s is not found", what)
		}
		table.constants[0] = kept
	}
}
