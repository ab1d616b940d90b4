// Package child starts the daemon's child processes: the trial of an encoder, a virtual display and its programs, and
// the tools of the service manager. A child gets selected environment variables without secrets of the daemon,
// /dev/null as its input, no descriptor of the daemon, and limits. It has a process group of its own, which ends with
// the child and with the daemon.
package child

import (
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	// stopTime is the time in which a child must end when asked to.
	stopTime = 2 * time.Second
	// outputTime bounds the wait for a child's output after its end: a grandchild may keep the output open.
	outputTime = time.Second
)

// ErrNotInstalled means that the program does not exist.
var ErrNotInstalled = exec.ErrNotFound

// Find returns ErrNotInstalled if a program is not installed.
func Find(program string) error {
	_, err := exec.LookPath(program)
	return err
}

// Command is a program to start.
type Command struct {
	// Program is a path, or a name that is searched in PATH. Args follow it.
	Program string
	Args    []string
	// Env has further variables, as NAME=value. Keep names further variables to copy from the daemon's environment.
	Env, Keep []string
	// Files become the child's descriptors from 3 on.
	Files []*os.File
	// Stdout and Stderr get the child's output; nil discards it. They must not block.
	Stdout, Stderr io.Writer
	Limits         Limits
	// Network is the network namespace in which the child runs, nil for that of this process. Linux only.
	Network *os.File
}

// Limits bound what a child may use. Zero fields set no limit. They are set on Linux only. A child never leaves a core
// dump, which would contain pictures of the screen.
type Limits struct {
	// Memory bounds what it may allocate, in bytes (RLIMIT_DATA). Address space that is only reserved does not count:
	// drivers of graphics cards reserve more than the machine has.
	Memory uint64
	// Files bounds its open files.
	Files uint64
	// Processor is the processor time after which it is killed.
	Processor time.Duration
	// Expendable raises the score by which the kernel chooses a process to kill when memory is short, from 0 to 1000.
	Expendable int
}

// Process is a child process.
type Process struct {
	// Done is closed when it has ended.
	Done chan struct{}

	cmd *exec.Cmd
	err error // valid once Done is closed
}

// Start starts a child. The caller must call Stop, or wait for Done. The child is asked to end when the daemon is gone.
func Start(c Command) (*Process, error) { return start(c, false) }

// start starts a child that ends with the daemon: killed, or politely.
func start(c Command, atOnce bool) (*Process, error) {
	cmd := exec.Command(c.Program, c.Args...) //nolint:noctx // Stop ends the whole group, politely
	cmd.Env = append(environment(os.Environ(), c.Keep), c.Env...)
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = c.Files, c.Stdout, c.Stderr
	cmd.WaitDelay = outputTime
	isolate(cmd, atOnce)
	p := &Process{Done: make(chan struct{}), cmd: cmd}
	started := make(chan error, 1)
	go func() { // unguarded: it starts a process and waits
		// The kernel ends the child together with the thread that started it (isolate). So this thread must stay.
		runtime.LockOSThread()
		var err error
		if c.Network == nil {
			defer runtime.UnlockOSThread()
		} else { // the thread ends with this goroutine, because it is in another namespace
			err = enter(c.Network)
		}
		seal()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			if err = limit(cmd.Process.Pid, c.Limits); err != nil {
				kill(cmd)
				_ = cmd.Wait() // it was killed
			}
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		kill(cmd) // the rest of the child's group
		close(p.Done)
	}()
	return p, <-started
}

// Detach starts a program that outlives the daemon, in a session of its own. Its output goes to a file, and it gets
// neither the limits nor the files of c. Done is closed when it ends, if the daemon lives that long.
func Detach(c Command, output *os.File) (*Process, error) {
	cmd := exec.Command(c.Program, c.Args...) //nolint:noctx // it outlives the caller
	cmd.Env = append(environment(os.Environ(), c.Keep), c.Env...)
	cmd.Stdout, cmd.Stderr = output, output
	detach(cmd)
	seal()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{Done: make(chan struct{}), cmd: cmd}
	go func() { // unguarded: it waits for a process
		p.err = cmd.Wait()
		close(p.Done)
	}()
	return p, nil
}

// Run runs a child until it ends. When ctx ends, Run kills the child and its group. The error is the child's, or the
// error of its start.
func Run(ctx context.Context, c Command) error {
	p, err := start(c, true)
	if err != nil {
		return err
	}
	select {
	case <-p.Done:
	case <-ctx.Done():
		kill(p.cmd)
		<-p.Done
	}
	return p.err
}

// ID is the process ID.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Err returns the error of the child's end. It is valid once Done is closed.
func (p *Process) Err() error { return p.err }

// Stop ends the child and its group, politely at first, and waits for it.
func (p *Process) Stop() {
	select {
	case <-p.Done: // its ID may belong to another process by now
		return
	default:
	}
	terminate(p.cmd)
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-p.Done:
	case <-timer.C:
		kill(p.cmd)
		<-p.Done
	}
}

// Self is the path of the running program. Where the system has a name for the running file, it is this very file, even
// after an upgrade has replaced it.
func Self() (string, error) {
	if _, err := os.Stat(running); running != "" && err == nil {
		return running, nil
	}
	return os.Executable()
}

// environment returns the variables of a child: the usual ones, and the names in keep. None contains a secret.
func environment(all, keep []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "LANG", "LANGUAGE", "TMPDIR", "LD_LIBRARY_PATH":
			return false
		}
		return !strings.HasPrefix(name, "LC_") && !slices.Contains(keep, name)
	})
}
