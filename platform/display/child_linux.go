package display

import (
	"os/exec"
	"syscall"
)

// isolate gives the child a process group of its own, so that what it starts ends with it, and has the kernel end it when
// the thread that started it is gone: a killed daemon leaves no server behind.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
