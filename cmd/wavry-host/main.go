// Wavry-host captures the displays of a machine and streams them to browsers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal, the next one ends the process as usual.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit codes besides 0; exits explains them. Failures that another attempt cannot cure have codes of sysexits.h,
// which mean nothing else: after these the service manager does not restart the daemon.
const (
	exitFailure     = 1
	exitCrash       = 2 // of the Go runtime, after a panic or a fatal error; never returned from here
	exitStopped     = 3
	exitAbsent      = 4
	exitUnwell      = 5
	exitWorse       = 6
	exitUndecided   = 7
	exitBusy        = 8
	exitUsage       = service.ExitUsage  // EX_USAGE
	exitUnreachable = 68                 // EX_NOHOST of sysexits.h
	exitUnavailable = 69                 // EX_UNAVAILABLE of sysexits.h
	exitPermission  = 77                 // EX_NOPERM
	exitConfig      = service.ExitConfig // EX_CONFIG
)

// exit is an exit code and its meaning.
type exit struct {
	code    int
	meaning string
}

// exits lists the exit codes, for help and documentation.
func exits() []exit {
	return []exit{
		{0, "success, or ended by SIGTERM or SIGINT"},
		{exitFailure, "it failed at run time; another attempt may help"},
		{exitCrash, "it crashed; the stacks of its goroutines are on stderr"},
		{exitStopped, "service status: installed, not running"},
		{exitAbsent, "service status: not installed"},
		{exitUnwell, "doctor: a check failed"},
		{exitWorse, "compare: the canary is worse than the baseline"},
		{exitUndecided, "compare: too few sessions to judge the canary"},
		{exitBusy, "lab: the machine was too busy to judge a network"},
		{exitUsage, "unknown command or flag, or a flag's value is refused"},
		{exitUnreachable, "no daemon answers"},
		{exitUnavailable, "service: no service manager runs here; install printed the description instead"},
		{exitPermission, "service: not permitted"},
		{exitConfig, "the configuration is refused"},
	}
}

// coded is an error with an exit code.
type coded struct {
	code int
	err  error // nil prints nothing more
}

func (e *coded) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *coded) Unwrap() error { return e.err }

// errHelp ends the parsing of a command line that requested help. The help is printed by then.
var errHelp = errors.New("help was asked for")

// run executes a command line and returns the exit code. env is the environment as os.Environ gives it.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	err := command(ctx, args, &app{args: args, env: env, stdout: stdout, stderr: stderr})
	if err == nil || errors.Is(err, errHelp) {
		return 0
	}
	code := exitCode(err)
	var quiet *coded
	if !errors.As(err, &quiet) || quiet.err != nil {
		for line := range strings.Lines(err.Error()) {
			sayWithin(lastWords, stderr, "wavry-host: %s\n", strings.TrimRight(line, "\n"))
		}
	}
	if code == exitUsage {
		say(stderr, "Try: wavry-host --help\n")
	}
	return code
}

func command(ctx context.Context, args []string, a *app) error {
	var grammar cli
	parser, err := newParser(&grammar, a)
	if err != nil {
		return err
	}
	selected, err := parser.Parse(withCommand(args))
	if err != nil {
		return err
	}
	selected.BindTo(ctx, (*context.Context)(nil))
	return selected.Run(a)
}

func exitCode(err error) int {
	var (
		code    *coded
		refused *config.Error
		parse   *kong.ParseError
	)
	switch {
	case errors.As(err, &code):
		return code.code
	case errors.As(err, &refused) && !refused.IsUsage():
		return exitConfig
	case errors.As(err, &refused), errors.As(err, &parse):
		return exitUsage
	case errors.Is(err, service.ErrPermission):
		return exitPermission
	case errors.Is(err, service.ErrNotRunning), errors.Is(err, service.ErrUnsupported):
		return exitUnavailable
	default:
		return exitFailure
	}
}

// say prints for people. A closed output is no reason to fail.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// sayWithin is say for a daemon: a reader that has stopped blocks it only for a limited time. The rest of the text is
// then not printed.
func sayWithin(most time.Duration, w io.Writer, format string, args ...any) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		say(w, format, args...)
	}()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-said:
	case <-timer.C:
	}
}

// surviveReaders keeps the process alive when the reader of its standard output or error goes away: Go ends a process
// that writes to such a pipe unless it listens for SIGPIPE. It returns a function that undoes this. Child processes are
// not affected, as they would be if the signal were ignored.
func surviveReaders() (undo func()) {
	gone := make(chan os.Signal, 1) // never read: the failed write reports it
	signal.Notify(gone, syscall.SIGPIPE)
	return func() { signal.Stop(gone) }
}
