//go:build integration

package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hostBinary is the daemon under test, built once.
var hostBinary string

func TestMain(m *testing.M) {
	if err := ownNamespaces(); err != nil {
		fmt.Fprintf(os.Stderr, "tests that need network namespaces will fail: %v\n", err)
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	// Orphaned grandchildren become children of this process, which can then wait for them; see kill.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "become the reaper of orphans:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "wavry-endtoend-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// A benchmark compares two builds by running with each binary in turn.
	if hostBinary = os.Getenv("WAVRY_BINARY"); hostBinary != "" {
		return m.Run()
	}
	hostBinary = filepath.Join(dir, "wavry-host")
	build := exec.Command("go", "build", "-o", hostBinary, "wavryhost/cmd/wavry-host")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "build the daemon: %v (run through scripts/go, which tells cgo where FFmpeg is)\n", err)
		return 1
	}
	return m.Run()
}

// patience is the longest wait for any condition. It is generous, since a busy machine delays everything, and costs
// nothing when the condition is met early.
const patience = 90 * time.Second

// output collects what a process prints. While reading is locked, nothing is read from the process.
type output struct {
	reading sync.Mutex

	mu   sync.Mutex
	data bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.reading.Lock()
	defer o.reading.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.String()
}

// process is a child that ends with the test at the latest, together with everything that it started.
type process struct {
	*exec.Cmd
	out  *output
	done chan struct{}
	err  error // valid once done is closed
}

// start runs a command in its own process group. Its output is logged when the test fails.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: cmd, out: new(output), done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.out
	}
	cmd.Stderr = p.out
	// If the tests themselves are killed, the kernel kills the process when the thread that started it ends. Hence this
	// goroutine keeps its thread and waits here.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s", strings.Join(cmd.Args, " "), tail(p.out.String(), 6000))
		}
	})
	return p
}

// kill ends the process and its group at once and waits for all of them: a dying process may still write to a folder
// that the test removes.
func (p *process) kill() {
	_ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
	<-p.done
	for {
		if _, err := syscall.Wait4(-p.Process.Pid, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return // none is left
		}
	}
}

// stop asks the process to end, and fails the test when it does not end in time.
func (p *process) stop(t testing.TB) {
	t.Helper()
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s still runs %v after SIGTERM", p.Path, patience)
	}
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}

// eventually calls check ten times a second until it returns nil. It fails the test with the last error after the given
// time.
func eventually(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit) // it may be called at the test's end
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
	}
}

// need fails the test when a program is missing, and says how to install it. It never skips: a missing program is a
// broken set-up.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is not installed; run 'make setup'", name)
		}
	}
}

var errNotYet = errors.New("not yet")
