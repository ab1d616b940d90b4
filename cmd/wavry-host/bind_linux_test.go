package main

import (
	"os"
	"os/exec"
	"testing"
)

// Hardened builds (-z now) and LD_BIND_NOW look for every symbol of the program when it starts. A symbol that only
// machines with some driver have would keep the daemon from starting on all others.
func TestItStartsWithAllSymbolsBound(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "LD_BIND_NOW=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
