// Package child starts the daemon's child processes: the trial of an encoder, a virtual display and what is on it,
// the tools of the service manager. Each gets named variables of the environment and none of the daemon's secrets,
// /dev/null as its input, no descriptor of the daemon's, limits, and a process group that ends with it and with the
// daemon.
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
	// stopTime is how long a child may take to end when asked to.
	stopTime = 2 * time.Second
	// outputTime is how long the output of a child is awaited after its end: a grandchild may hold it open.
	outputTime = time.Second
)

// ErrNotInstalled means that there is no such program.
var ErrNotInstalled = exec.ErrNotFound

// Find reports whether a program is installed, by ErrNotInstalled if not.
func Find(program string) error {
	_, err := exec.LookPath(program)
	return err
}

// Command is a program to start.
type Command struct {
	// Program is a path, or a name to be found in PATH; Args follow it.
	Program string
	Args    []string
	// Env are further variables, as NAME=value. Keep names further variables to copy from the daemon's environment.
	Env, Keep []string
	// Files become its descriptors from 3 on.
	Files []*os.File
	// Stdout and Stderr get its output; nil discards it. They must not block.
	Stdout, Stderr io.Writer
	Limits         Limits
}

// Limits bound what a child takes of the machine; zero fields do not. They are set on Linux alone. No child leaves a
// core dump, which would hold pictures of the screen.
type Limits struct {
	// Memory is what it may allocate, in bytes (RLIMIT_DATA). Address space that is only reserved is not counted:
	// drivers of graphics cards reserve more than the machine has.
	Memory uint64
	// Files are its open files.
	Files uint64
	// Processor is the processor time after which it is killed.
	Processor time.Duration
}

// Process is a child that was started.
type Process struct {
	// Done is closed when it has ended.
	Done chan struct{}

	cmd *exec.Cmd
	err error // valid once Done is closed
}

// Start starts a child. The caller must call Stop, or wait for Done. It is asked to end when the daemon is gone.
func Start(c Command) (*Process, error) { return start(c, false) }

// start starts a child that is to end with the daemon, at once or politely.
func start(c Command, atOnce bool) (*Process, error) {
	cmd := exec.Command(c.Program, c.Args...) //nolint:noctx // Stop ends the whole group, politely
	cmd.Env = append(environment(os.Environ(), c.Keep), c.Env...)
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = c.Files, c.Stdout, c.Stderr
	cmd.WaitDelay = outputTime
	isolate(cmd, atOnce)
	p := &Process{Done: make(chan struct{}), cmd: cmd}
	started := make(chan error, 1)
	go func() { // unguarded: it starts a process and waits
		// The kernel ends the child with the thread that started it (isolate), so that thread must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		seal()
		err := cmd.Start()
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
		kill(cmd) // what the child left of its group
		close(p.Done)
	}()
	return p, <-started
}

// Run runs a child until it ends, or ctx does, which kills it and its group. The error is that of its end, or of its
// start.
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

// ID is the number of the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Err returns the error of the child's end. It is valid once Done is closed.
func (p *Process) Err() error { return p.err }

// Stop ends the child and its group, politely at first, and waits for it.
func (p *Process) Stop() {
	select {
	case <-p.Done: // its number may be another process's by now
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

// Self is the path of the running program: of this very file, where the system has a name for it, also after an
// upgrade has put another one in its place.
func Self() (string, error) {
	if _, err := os.Stat(running); running != "" && err == nil {
		return running, nil
	}
	return os.Executable()
}

// environment returns the variables that a child gets: what programs need in general, and the names in keep. None of
// them holds a secret.
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
