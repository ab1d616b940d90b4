package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"wavryhost/encode"
	"wavryhost/platform/child"
	"wavryhost/platform/display"
	"wavryhost/session"
	"wavryhost/session/api"
	"wavryhost/session/api/problem"
	"wavryhost/session/pipeline"
)

// The daemon tries a program that an update has installed before it is restarted into it. The trial is a child
// process: "wavry-host run --trial" with the daemon's flags, environment and user. It reads the configuration and the
// state, tries the encoders, and looks for displays. The results for its encoders are kept, which shortens the start.

// trialReport is the output of a trial.
type trialReport struct {
	Version  string                `json:"version"`
	Problems []string              `json:"problems"`
	Encoders []session.EncoderInfo `json:"encoders"`
	Displays []candidate           `json:"displays"`
}

const (
	// trialTime bounds a trial. Encoders have limits of their own; all of them together take seconds.
	trialTime = time.Minute
	// maxTrialReport bounds the report, in bytes, and maxTrialErrors what the child writes to stderr.
	maxTrialReport, maxTrialErrors = 1 << 20, 4096
	// maxTrialProblems bounds the number of problems.
	maxTrialProblems = 20
)

// try is "run --trial": it does what a start does first, changes nothing that a running daemon uses, and reports.
func (c *runCmd) try(ctx context.Context, a *app, l *loaded) error {
	report := trialReport{Version: thisBuild().Version, Problems: []string{}, Displays: look(ctx, a, &l.Config)}
	if path := inState(ordersFile, a.env); path != "" {
		if _, err := readOrders(path); err != nil {
			report.Problems = append(report.Problems, err.Error())
		}
	}
	candidates, err := prove(ctx, &l.Config, nil)
	if err != nil {
		return err
	}
	report.Encoders = encoderInfo(candidates)
	newKeptProofs(a.env, ownProgram(), slog.New(slog.DiscardHandler)).keepForStart(candidates)
	return writeJSON(a.stdout, report)
}

// trier tries the installed program on request, one trial at a time.
type trier struct {
	program programFile
	args    []string // of this daemon
	env     []string
	// host returns what this daemon can do.
	host  func() session.Host
	limit time.Duration // of a trial
	log   *slog.Logger
	// asked has room for one request.
	asked chan struct{}

	mu    sync.Mutex
	tried fs.FileInfo // the file of the last trial; nil before the first one
	last  api.ProgramTrial
}

func newTrier(program programFile, a *app, host func() session.Host, log *slog.Logger) *trier {
	return &trier{
		program: program, args: withCommand(a.args), env: a.env, host: host, limit: trialTime, log: log,
		asked: make(chan struct{}, 1),
	}
}

// ask requests a trial, and returns at once.
func (t *trier) ask() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.State == api.TrialRunning {
		return
	}
	t.tried, _ = os.Stat(t.program.path) // a missing file fails in the trial
	t.last = api.ProgramTrial{State: api.TrialRunning, Problems: []string{}}
	t.asked <- struct{}{} // there is room: no trial is running or waiting
}

// status returns the last trial, or nil if the installed program was not tried.
func (t *trier) status() *api.ProgramTrial {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.State == "" {
		return nil
	}
	if t.last.State != api.TrialRunning {
		now, err := os.Stat(t.program.path)
		if err == nil && (t.tried == nil || !sameFile(t.tried, now)) {
			return nil // it was replaced again
		}
	}
	last := t.last
	return &last
}

// sameFile reports whether two descriptions are of one file with the same content, as far as they say.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// run makes the trials until ctx ends.
func (t *trier) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.asked:
		}
		done := t.try(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to stop; it did not fail
		}
		t.mu.Lock()
		t.last = done
		t.mu.Unlock()
		if done.State == api.TrialPassed {
			t.log.Info("installed program works here", "version", done.Version)
		} else {
			t.log.Error("installed program fails its trial", "version", done.Version,
				"problems", strings.Join(done.Problems, "; "),
				"remedy", "repair it or install the former one, before the daemon is restarted")
		}
	}
}

// try makes one trial.
func (t *trier) try(ctx context.Context) api.ProgramTrial {
	report, err := t.report(ctx)
	problems := report.Problems
	if err != nil {
		problems = append(problems, err.Error())
	} else {
		problems = append(problems, lost(t.host(), report)...)
	}
	done := api.ProgramTrial{State: api.TrialPassed, Version: report.Version, Problems: []string{}}
	for _, p := range problems[:min(len(problems), maxTrialProblems)] {
		done.State, done.Problems = api.TrialFailed, append(done.Problems, oneLine(p))
	}
	return done
}

// report runs the installed program, and returns what it reports.
func (t *trier) report(ctx context.Context) (r trialReport, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	stdout, stderr := &child.Output{Max: maxTrialReport}, &child.Output{Max: maxTrialErrors, Last: true}
	err = child.Run(ctx, child.Command{
		Program: t.program.path, Args: append(slices.Clone(t.args), "--trial"), Env: forTrial(t.env),
		Stdout: stdout, Stderr: stderr,
	})
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return r, fmt.Errorf("it does not end within %v", t.limit)
	case err != nil:
		return r, errors.Join(err, errors.New(strings.TrimSpace(string(stderr.Bytes()))))
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return r, fmt.Errorf("its report is not understood: %w", err)
	}
	return r, nil
}

// forTrial returns the environment of a daemon without what belongs to its process: sockets of the service manager.
func forTrial(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{
			"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
		}, name)
	})
}

// lost lists what this daemon can do and the installed program cannot. An encoder that is busy is in use by this one.
// Of the displays, the default and displays with viewers count: others come and go during a trial.
func lost(h session.Host, r trialReport) (problems []string) {
	for _, e := range h.Encoders {
		i := slices.IndexFunc(r.Encoders, func(c session.EncoderInfo) bool { return c.Name == e.Name })
		switch {
		case !e.Usable:
		case i < 0:
			problems = append(problems, "encoder "+e.Name+": it does not know it")
		case !r.Encoders[i].Usable && r.Encoders[i].Failure != string(encode.FailureBusy):
			problems = append(problems, "encoder "+e.Name+": "+r.Encoders[i].Why)
		}
	}
	for i, d := range h.Displays { // the default is first
		counts := d.State == pipeline.Live.String() || i == 0 && d.State == pipeline.Idle.String()
		if !counts || isVirtual(d.ID) || isSynthetic(d.ID) { // the daemon makes these itself
			continue
		}
		i := slices.IndexFunc(r.Displays, func(c candidate) bool { return c.ID == d.ID })
		switch {
		case i < 0:
			problems = append(problems, "display "+d.ID+": it does not find it")
		case r.Displays[i].State == display.Unusable:
			problems = append(problems, "display "+d.ID+": "+r.Displays[i].Why)
		}
	}
	return problems
}

// oneLine returns a text as one line of limited length.
func oneLine(text string) string { return problem.Shorten(strings.Join(strings.Fields(text), " ")) }
