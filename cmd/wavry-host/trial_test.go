package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/encode"
	"wavryhost/platform/display"
	"wavryhost/session"
	"wavryhost/session/api"
)

// program writes a shell script as the installed program. Another process writes the file: a child that is started
// meanwhile would inherit the descriptor, and a file that is open for writing cannot be run (ETXTBSY).
func program(t *testing.T, script string) programFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wavry-host")
	install := exec.CommandContext(t.Context(), "install", "-m", "700", "/dev/stdin", path)
	install.Stdin = strings.NewReader("#!/bin/sh\n" + script + "\n")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return programFile{path: path}
}

// runTrials lets tr make trials until the test ends.
func runTrials(t *testing.T, tr *trier) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tr.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// tried returns the trial of a program by a daemon that has one encoder and one display.
func tried(t *testing.T, p programFile, limit time.Duration) *api.ProgramTrial {
	t.Helper()
	a := &app{args: []string{"--fps", "30"}, env: []string{"MARK=here", "NOTIFY_SOCKET=/run/notify"}}
	tr := newTrier(p, a, func() session.Host {
		return session.Host{
			Encoders: []session.EncoderInfo{{Name: "libx264", Usable: true}, {Name: "h264_vaapi"}},
			Displays: []session.DisplayInfo{
				{ID: "x11:0", State: "idle"}, {ID: "x11:1", State: "idle"}, {ID: "virtual", State: "live"},
			},
		}
	}, slog.New(slog.DiscardHandler))
	if tr.status() != nil {
		t.Error("a trial is known before the first one")
	}
	tr.limit = limit
	runTrials(t, tr)
	tr.ask()
	tr.ask() // one at a time
	for {
		s := tr.status()
		if s == nil {
			t.Fatal("no trial is known after the request")
		}
		if s.State != api.TrialRunning {
			return s
		}
		time.Sleep(time.Millisecond)
	}
}

func TestTrialOfThePrograms(t *testing.T) {
	const passes = `echo '{"version": "v2", "encoders": [{"name": "libx264", "usable": true}],
		"displays": [{"id": "x11:0", "state": "usable"}]}'`
	for name, one := range map[string]struct{ script, want string }{
		"passes": {passes, ""},
		"gets the settings, and no socket of the service manager": {
			`[ "$*" = "run --fps 30 --trial" ] && [ "$MARK" = here ] && [ -z "$NOTIFY_SOCKET" ] || exit 9; ` + passes, "",
		},
		"is busy": {
			`echo '{"encoders": [{"name": "libx264", "failure": "busy"}], "displays": [{"id": "x11:0"}]}'`, "",
		},
		"crashes":  {"kill -SEGV $$", "signal: segmentation fault"},
		"refuses":  {"echo wavry-host: displays.fps: 30 is too much >&2; exit 78", "displays.fps: 30 is too much"},
		"hangs":    {"sleep 600", "it does not end within"},
		"babbles":  {"echo hello", "its report is not understood"},
		"says why": {`echo '{"problems": ["state.json: unreadable"]}'`, "state.json: unreadable"},
		"lost an encoder": {
			`echo '{"encoders": [{"name": "libx264", "failure": "broken", "why": "bad pixels"}],
				"displays": [{"id": "x11:0"}]}'`,
			"encoder libx264: bad pixels",
		},
		"knows no encoder": {`echo '{"displays": [{"id": "x11:0"}]}'`, "encoder libx264: it does not know it"},
		"lost a display": {
			`echo '{"encoders": [{"name": "libx264", "usable": true}], 
				"displays": [{"id": "x11:0", "state": "unusable", "why": "no cookie"}]}'`,
			"display x11:0: no cookie",
		},
		"floods": {`i=0; while [ $i -lt 40 ]; do i=$((i+1)); l="$l,\"p$i\""; done; echo "{\"problems\": [\"p0\"$l]}"`, "p19"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := patience
			if name == "hangs" {
				limit = 100 * time.Millisecond
			}
			got := tried(t, program(t, one.script), limit)
			if one.want == "" && got.State != api.TrialPassed || one.want != "" && got.State != api.TrialFailed ||
				!strings.Contains(strings.Join(got.Problems, "; "), one.want) || len(got.Problems) > maxTrialProblems {
				t.Errorf("got %+v; want %q", got, one.want)
			}
		})
	}
}

func TestTrialOfAMissingProgram(t *testing.T) {
	got := tried(t, programFile{path: filepath.Join(t.TempDir(), "gone")}, patience)
	if got.State != api.TrialFailed || len(got.Problems) == 0 || !strings.Contains(got.Problems[0], "no such file") {
		t.Errorf("got %+v", got)
	}
}

// The result is of the file that was tried.
func TestTrialOfAProgramThatWasReplacedAgain(t *testing.T) {
	p := program(t, "exit 1")
	tr := newTrier(p, &app{}, func() session.Host { return session.Host{} }, slog.New(slog.DiscardHandler))
	runTrials(t, tr)
	tr.ask()
	for tr.status().State == api.TrialRunning {
		time.Sleep(time.Millisecond)
	}
	other := program(t, "exit 2")
	if err := os.Rename(other.path, p.path); err != nil {
		t.Fatal(err)
	}
	if s := tr.status(); s != nil {
		t.Errorf("another program has the result %+v", s)
	}
}

// A trial on this machine finds what a start finds, keeps the proofs, and reports state that it cannot read.
func TestTrialReports(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ordersFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(daemonEnv(), "STATE_DIRECTORY="+dir)
	got := try(t, env, "run", "--trial", "--display", "synthetic", "--encoder", "libx264")
	var r trialReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	if got.code != 0 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], ordersFile) {
		t.Errorf("exit code %d, problems %q", got.code, r.Problems)
	}
	if len(r.Encoders) != 1 || r.Encoders[0].Name != "libx264" || !r.Encoders[0].Usable {
		t.Errorf("encoders %+v", r.Encoders)
	}
	found := false
	for _, d := range r.Displays {
		found = found || d.ID == idSynthetic && d.State == display.Usable
	}
	if !found {
		t.Errorf("displays %+v", r.Displays)
	}
	k := newKeptProofs(env, ownProgram(), slog.New(slog.DiscardHandler))
	if known := k.recall(session.ExitClean); known == nil {
		t.Error("no proofs are kept for the start")
	} else if p, ok := known(encode.Profile{Name: "libx264"}); !ok || !p.Usable {
		t.Errorf("the proof for the start: %+v, %v", p, ok)
	}
}
