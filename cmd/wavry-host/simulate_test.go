package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSimulate(t *testing.T) {
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	if err := os.WriteFile(trace, []byte("4\n8\n12\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("4\nfour\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args       []string
		code       int
		out, error string
	}{
		"list":         {[]string{"simulate"}, 0, "RFC 8867 5.1", ""},
		"one case":     {[]string{"simulate", "step", "--seeds", "8", "--svg", filepath.Join(dir, "svg")}, 0, "use", ""},
		"json":         {[]string{"simulate", "step", "--seeds", "8", "--json"}, 0, `"figure"`, ""},
		"trace":        {[]string{"simulate", "step", "--seeds", "1", "--trace", trace}, 0, "use", ""},
		"bad trace":    {[]string{"simulate", "step", "--seeds", "1", "--trace", bad}, exitFailure, "", "line 2"},
		"unknown case": {[]string{"simulate", "nothing"}, exitUsage, "", `"nothing"`},
		"bad first":    {[]string{"simulate", "step", "--from", "x"}, exitUsage, "", "random"},
		"a seed":       {[]string{"simulate", "step", "--seeds", "1", "--from", "77", "--json"}, 0, `"seed": 77`, ""},
		"random":       {[]string{"simulate", "outage", "--seeds", "1", "--from", "random"}, -1, "freezes", "seeds "},
		"against":      {[]string{"simulate", "step", "--seeds", "1", "--against", "googcc"}, -1, "GOOGCC", ""},
		"no seeds":     {[]string{"simulate", "step", "--seeds", "0"}, exitUsage, "", "between 1 and 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errors strings.Builder
			// With other seeds each time figures may be out of their bounds: -1 stands for any code.
			if got := run(t.Context(), c.args, nil, &out, &errors); got != c.code && c.code >= 0 {
				t.Fatalf("exit code %d; want %d: %s", got, c.code, errors.String())
			}
			if !strings.Contains(out.String(), c.out) || !strings.Contains(errors.String(), c.error) {
				t.Errorf("out %q, errors %q; want %q and %q in them", out.String(), errors.String(), c.out, c.error)
			}
			if name == "json" && !json.Valid([]byte(out.String())) {
				t.Errorf("%q is no JSON", out.String())
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "svg", "step.svg")); err != nil {
		t.Errorf("no drawing: %v", err)
	}
}
