package display

import (
	"context"
	"sync"
	"time"

	"wavryhost/platform/child"
)

// defaultPrograms make a picture that moves a little on its own.
var defaultPrograms = [][]string{
	{
		"xterm", "-geometry", "92x28+40+40", "-fa", "DejaVu Sans Mono", "-fs", "11", "-bg", "#0e1a24", "-fg", "#d7e3ee",
		"-T", "wavry-host", "-e", "sh", "-c",
		// In secure mode, because top could otherwise kill any process of the daemon's user for the viewer with the keyboard.
		"if command -v top >/dev/null; then top -s -d 1; fi; while :; do date; sleep 1; done",
	},
	{"xclock", "-update", "1", "-geometry", "220x220-40+40", "-bg", "#d7e3ee"},
	{"xeyes", "-geometry", "220x150-40-40"},
}

const (
	// maxFiles bounds the open files of a program, and of the X server, whose clients are files.
	maxFiles = 4096
	// expendable makes the kernel kill a program before the X server when memory is short.
	expendable = 300
	// briefly is the time for a program that does one thing and ends, such as xsetroot.
	briefly = 2 * time.Second
	// The pauses before a program is restarted: first and longest.
	firstRestart, longestRestart = time.Second, 30 * time.Second
)

// populate keeps the installed programs running on the display until ctx ends.
func (v *Virtual) populate(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	alone := true
	for _, args := range v.cfg.Programs {
		if child.Find(args[0]) != nil {
			v.log.Debug("program for the virtual display is not installed", "program", args[0])
			continue
		}
		alone = false
		wg.Go(func() { v.keep(ctx, args) }) // unguarded: it starts a program and waits
	}
	if alone && len(v.cfg.Programs) > 0 {
		v.log.Warn("virtual display is empty: none of its programs is installed; install xterm, or start programs on it",
			"display", v.Address(), "authority", v.Authority())
	}
}

// keep runs a program again and again until ctx ends.
func (v *Virtual) keep(ctx context.Context, args []string) {
	log := v.log.With("program", args[0])
	for pause := firstRestart; ; pause = min(2*pause, longestRestart) {
		began := time.Now()
		output := &lineLogger{log: log}
		program, err := child.Start(child.Command{
			Program: args[0], Args: args[1:], Env: []string{"DISPLAY=" + v.Address(), "XAUTHORITY=" + v.Authority()},
			Stdout: output, Stderr: output, Limits: child.Limits{Files: maxFiles, Expendable: expendable},
		})
		if err != nil {
			log.Warn("program for the virtual display does not start", "err", err)
			return
		}
		select {
		case <-ctx.Done():
			program.Stop()
			return
		case <-program.Done:
		}
		lasted := time.Since(began)
		if program.Err() == nil && lasted < briefly {
			return
		}
		if lasted > longestRestart {
			pause = firstRestart
		}
		log.Debug("program on the virtual display ended", "err", program.Err(), "pause", pause)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// sleep waits, and reports whether ctx is still valid.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
