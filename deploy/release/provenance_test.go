package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// The provenance names each file by its hash, the commit and each pinned input, and is the same each time.
func TestProvenance(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.deb", "b.rpm", manifestFile, sumsFile, "a.deb.minisig"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := provenanceCmd{
		Dir: dir, Version: "v1.2.0", Commit: "abc", Epoch: 1, Go: "go1.26.8", Source: "https://example.net/x",
		Lock: "inputs.lock",
	}
	var before string
	for range 2 { // the second time, the folder has the provenance
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "wavry-host_1.2.0_provenance.intoto.json"))
		if err != nil || before != "" && before != string(text) {
			t.Fatalf("it differs the second time, or %v", err)
		}
		before = string(text)
	}
	var s statement
	if err := json.Unmarshal([]byte(before), &s); err != nil {
		t.Fatal(err)
	}
	inputs, err := readLock("inputs.lock")
	if err != nil {
		t.Fatal(err)
	}
	const hash = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73" // of "content"
	used := s.Predicate.Build.Dependencies
	if len(s.Subject) != 2 || s.Subject[0].Name != "a.deb" || s.Subject[0].Digest["sha256"] != hash ||
		len(used) != len(inputs)+1 || used[0].Digest["gitCommit"] != "abc" || used[1].Digest["sha256"] != inputs[0].SHA256 ||
		s.PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("got %s", before)
	}
}
