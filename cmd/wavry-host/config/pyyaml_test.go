//go:build integration

package config

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// PyYAML, which Ansible and Salt use, reads printed configurations as the daemon does, although its YAML is version
// 1.1: what it writes again means the same.
func TestPyYAMLReadsConfigurations(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "python3", "-c", "import yaml").Run(); err != nil {
		t.Fatal("python3 with yaml is missing: scripts/setup test installs it")
	}
	noSecrets := strings.NewReplacer(
		"token: 0123456789abcdef\n", "token_file: "+write(t, "token", "0123456789abcdef")+"\n", "turn:", "stun:",
		"turns:", "stuns:", "      username: ann\n      credential: fedcba9876543210\n", "",
	).Replace(full)
	for name, content := range map[string]string{
		"defaults": "", "everything": noSecrets,
		"words": "input: {from: none}\nsessions: {max_uplink: unlimited}\nhost: {id: \"0x10\", labels: [a=on, no=yes]}\n" +
			"auth: {certificates: {mode: none}}\nmedia: {tcp: {port: none}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			first, err := Load(Sources{Path: write(t, "config.yaml", content)})
			if err != nil {
				t.Fatal(err)
			}
			var printed strings.Builder
			if err := first.Print(&printed); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "python3", "-c",
				"import sys, yaml; yaml.safe_dump(yaml.safe_load(sys.stdin), sys.stdout)")
			cmd.Stdin = strings.NewReader(printed.String())
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			again, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s\n%s", err, stderr.String(), printed.String())
			}
			second, err := Load(Sources{Path: write(t, "again.yaml", string(again))})
			if err != nil {
				t.Fatalf("%v\n%s", err, again)
			}
			for _, s := range Settings() {
				if !same(s.Value(&first.Config), s.Value(&second.Config)) {
					t.Errorf("%s: got %v; want %v", s.Name, s.Value(&second.Config), s.Value(&first.Config))
				}
			}
		})
	}
}
