package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// The pages name every command, flag and setting, and groff finds no fault in them.
func TestManualPages(t *testing.T) {
	var grammar cli
	parser, err := newParser(&grammar, &app{})
	if err != nil {
		t.Fatal(err)
	}
	for page, want := range map[string][]string{
		"wavry-host":      {"WAVRY-HOST(1)", "verify-encoders", "--deadline=DURATION", "service install"},
		"wavry-host.yaml": {"WAVRY-HOST.YAML(5)", "displays.fps", "auth.tokens_file"},
	} {
		got := try(t, nil, "man", page)
		if got.code != 0 {
			t.Fatalf("%s: %+v", page, got)
		}
		text := got.out
		if _, err := exec.LookPath("groff"); err == nil {
			cmd := exec.CommandContext(t.Context(), "groff", "-man", "-Tutf8", "-ww", "-P-c", "-P-b", "-P-u")
			cmd.Stdin = strings.NewReader(got.out)
			var faults bytes.Buffer
			cmd.Stderr = &faults
			out, err := cmd.Output()
			if err != nil || faults.Len() > 0 {
				t.Errorf("%s: %v: %.500s", page, err, faults.String())
			}
			text = string(out)
		} else {
			text = strings.NewReplacer(`\-`, "-", `TH WAVRY\-HOST 1`, "WAVRY-HOST(1)",
				`TH WAVRY\-HOST.YAML 5`, "WAVRY-HOST.YAML(5)").Replace(text)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("the page %s lacks %q", page, w)
			}
		}
	}
	all := try(t, nil, "man").out
	for _, leaf := range parser.Model.Leaves(true) {
		if !strings.Contains(all, roff(leaf.Help)) {
			t.Errorf("the page lacks %s", leaf.FullPath())
		}
	}
}
