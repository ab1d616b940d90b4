package child

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// running is the file of this program, even if its path has changed.
const running = "/proc/self/exe"

// isolate gives the child a process group of its own, so that the child's programs end with it. The kernel ends the
// child when the thread that started it is gone, so a killed daemon leaves no child behind.
func isolate(cmd *exec.Cmd, atOnce bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if atOnce {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
}

// detach gives the program a session of its own. No signal to the daemon's group or terminal reaches it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// seal keeps descriptors from children that libraries opened without close-on-exec. Go's own have it. Linux before 5.11
// cannot do this; there they stay open.
func seal() { _ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }

// enter moves this thread into a network namespace.
func enter(network *os.File) error {
	return os.NewSyscallError("setns", unix.Setns(int(network.Fd()), unix.CLONE_NEWNET))
}

// limit sets the limits of a new process.
func limit(pid int, l Limits) error {
	set := map[int]uint64{unix.RLIMIT_CORE: 0}
	for resource, most := range map[int]uint64{
		unix.RLIMIT_DATA: l.Memory, unix.RLIMIT_NOFILE: l.Files, unix.RLIMIT_CPU: uint64(l.Processor.Seconds()),
	} {
		if most > 0 {
			set[resource] = most
		}
	}
	for resource, most := range set {
		var is unix.Rlimit
		err := unix.Prlimit(pid, resource, nil, &is)
		if err == nil {
			most = min(most, is.Max) // only root can raise it
			err = unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil)
		}
		if err != nil && err != unix.ESRCH { // ESRCH: it has ended
			return fmt.Errorf("limit process: %w", err)
		}
	}
	if l.Expendable > 0 { // it can always be raised; a process that has ended needs none
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(l.Expendable)), 0)
	}
	return nil
}

func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
