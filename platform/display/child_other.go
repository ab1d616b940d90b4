//go:build !linux

package display

import "os/exec"

// isolate does nothing: process groups are used where Xvfb is.
func isolate(*exec.Cmd) {}

func terminate(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
