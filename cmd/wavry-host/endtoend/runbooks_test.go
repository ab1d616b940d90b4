//go:build integration

package endtoend

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The places of commands in the runbooks, and how the commands begin that are run. Others ask systemd, the journal or
// other programs of the machine.
var (
	shellBlocks = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")
	inlineCode  = regexp.MustCompile("`([^`\n]+)`")
	runsInTests = regexp.MustCompile(`^(?:sudo )?(?:wavry-host [a-z]|curl |promtool |amtool )`)
	// Placeholders, what changes the machine, and what needs a NATS server.
	leftAlone = regexp.MustCompile(`[A-Z]{3,}|wavry-host (?:service|run|upgrade|fleet)`)
)

// runbookCommands returns the commands of a runbook in their order.
func runbookCommands(text string) (list []string) {
	add := func(line string) {
		line = strings.TrimSpace(line)
		if runsInTests.MatchString(line) && !slices.Contains(list, line) {
			list = append(list, line)
		}
	}
	for _, m := range shellBlocks.FindAllStringSubmatch(text, -1) {
		for line := range strings.SplitSeq(strings.ReplaceAll(m[1], "\\\n", " "), "\n") {
			add(line)
		}
	}
	for _, m := range inlineCode.FindAllStringSubmatch(shellBlocks.ReplaceAllString(text, ""), -1) {
		if !leftAlone.MatchString(m[1]) {
			add(m[1])
		}
	}
	return list
}

// Every command of the runbooks works on a host with a viewer.
func TestCommandsOfRunbooksWork(t *testing.T) {
	t.Parallel()
	need(t, "promtool")
	need(t, "amtool")
	state := t.TempDir()
	h := startHost(t, hostOptions{
		args: []string{"--display", "synthetic", "--virtual-size", "320x240"}, env: []string{"XDG_RUNTIME_DIR=" + state},
	})
	a, _ := join(t, h)
	a.waitMedia(t)
	bin := t.TempDir()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"wavry-host": "exec " + hostBinary + ` "$@"`, "sudo": `exec "$@"`, "curl": "exec " + curl + ` --fail-with-body "$@"`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	work := t.TempDir() // for the files that commands write
	root, err := filepath.Abs("../../..")
	if err == nil {
		err = os.Symlink(filepath.Join(root, "deploy"), filepath.Join(work, "deploy"))
	}
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../../docs/operate/runbooks/*.md")
	if err != nil || len(pages) < 15 {
		t.Fatalf("%d runbooks, %v", len(pages), err)
	}
	ran := make(map[string]bool)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range runbookCommands(string(text)) {
			if ran[command] {
				continue
			}
			ran[command] = true
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			cmd := exec.CommandContext(ctx, "sh", "-c", command)
			cmd.Dir = work
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOST="+h.url,
				"AUTH=Authorization: Bearer "+h.token, "ID="+a.id(), "STATE_DIRECTORY="+h.state, "XDG_RUNTIME_DIR="+state)
			out, err := cmd.CombinedOutput()
			cancel()
			// The doctor fails on a machine that lacks what a host has. It must not fail to examine it.
			unwell := strings.HasSuffix(command, "wavry-host doctor") && cmd.ProcessState.ExitCode() == 5
			if err != nil && !unwell {
				t.Errorf("%s: %s: %v\n%s", filepath.Base(page), command, err, tail(string(out), 1000))
			}
		}
	}
	if len(ran) < 25 {
		t.Errorf("%d commands were found in the runbooks; the pattern does not fit", len(ran))
	}
	t.Logf("%d commands", len(ran))
}
