//go:build !linux

package child

import (
	"errors"
	"os"
	"os/exec"
)

// running is empty: the system has no name for the running program.
const running = ""

// isolate does nothing. Process groups are needed only where Xvfb is used.
func isolate(*exec.Cmd, bool) {}

func detach(*exec.Cmd) {}

func seal() {}

func enter(*os.File) error { return errors.ErrUnsupported }

func limit(int, Limits) error { return nil }

func terminate(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
