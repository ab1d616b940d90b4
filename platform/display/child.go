package display

import (
	"bytes"
	"log/slog"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// stopTime is how long a child may take to end when asked to.
	stopTime = 2 * time.Second
	// tailLines is how much of what a child printed last is kept to explain its end, and lineLength bounds each line.
	tailLines, lineLength = 3, 1024
)

// child is a process with a group of its own, and the goroutine that reaps it.
type child struct {
	cmd    *exec.Cmd
	output lineLogger
	done   chan struct{}
	err    error // valid once done is closed
}

// startChild starts a process, whose output is logged.
func startChild(cmd *exec.Cmd, log *slog.Logger) (*child, error) {
	isolate(cmd)
	c := &child{cmd: cmd, output: lineLogger{log: log}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &c.output, &c.output
	cmd.WaitDelay = stopTime // a grandchild may hold the output open
	started := make(chan error, 1)
	go func() {
		// The kernel ends the child with the thread that started it (isolate), so that thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		kill(cmd) // what the child left of its group
		close(c.done)
	}()
	return c, <-started
}

// stop ends the process and its group, politely at first, and waits for it.
func (c *child) stop() {
	select {
	case <-c.done: // its number may be another process's by now
		return
	default:
	}
	terminate(c.cmd)
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		kill(c.cmd)
		<-c.done
	}
}

// clean returns the variables of an environment that programs need, and none that may hold a secret.
func clean(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "LANG", "LANGUAGE", "TMPDIR", "LD_LIBRARY_PATH":
			return false
		}
		return !strings.HasPrefix(name, "LC_")
	})
}

// lineLogger logs what a child prints, a line a record, and keeps the last ones.
type lineLogger struct {
	log *slog.Logger

	mu    sync.Mutex
	rest  []byte
	lines []string
}

func (l *lineLogger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) > lineLength { // a line that never ends
			end = lineLength
		}
		if end < 0 {
			return len(p), nil
		}
		line := strings.TrimSpace(strings.ToValidUTF8(string(l.rest[:end]), "?"))
		l.rest = slices.Delete(l.rest, 0, min(end+1, len(l.rest)))
		if line == "" {
			continue
		}
		l.log.Debug("program printed", "line", line)
		l.lines = append(l.lines, line)
		if len(l.lines) > tailLines {
			l.lines = slices.Delete(l.lines, 0, 1)
		}
	}
}

// tail returns the last lines, as one.
func (l *lineLogger) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "; ")
}
