//go:build !linux

package child

import "os/exec"

// running is empty: the system has no name for the program that runs.
const running = ""

// isolate does nothing: process groups are used where Xvfb is.
func isolate(*exec.Cmd, bool) {}

func seal() {}

func limit(int, Limits) error { return nil }

func terminate(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
