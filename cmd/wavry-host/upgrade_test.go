package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fakeDaemon answers as a host does, and notes what changes it.
type fakeDaemon struct {
	host    map[string]any
	changes []string
	asked   int
	empties int // the number of questions after which no session is left; 0 is never
	away    int // the number of refused connections
	// trial is the result of the trial: an error, or empty if it is passed. It takes three questions.
	trial string
	old   bool
	// handover is what a handover comes to: an error, "over" when another daemon takes over, or empty if it is not
	// possible.
	handover string
	since    int // the number of questions when the trial began
}

func (d *fakeDaemon) call(_ context.Context, method, path string, _, out any, _ io.Writer) error {
	if method == "POST" && path == "/v1/trial" {
		if d.old {
			return &refusalError{404, "no such path"}
		}
		d.since += d.asked
		d.host["trial"] = map[string]any{"state": "running"}
		return nil
	}
	if method == "POST" && path == "/v1/handover" {
		switch d.handover {
		case "":
			d.host["handover"] = map[string]any{"state": "impossible", "problem": "no systemd"}
		case "over":
			d.changes = append(d.changes, "handover")
			d.host = map[string]any{"version": "v2", "boot_id": "b", "former": map[string]any{"sessions": 2}}
		default:
			d.host["handover"] = map[string]any{"state": "failed", "problem": d.handover}
		}
		return nil
	}
	if method == "GET" {
		d.asked++
		if d.host["trial"] != nil && d.asked > d.since+3 {
			d.host["trial"] = map[string]any{"state": "passed"}
			if d.trial != "" {
				d.host["trial"] = map[string]any{"state": "failed", "problems": []string{d.trial}}
			}
		}
		if d.empties > 0 && d.asked > d.empties {
			d.host["sessions"] = 0
		}
	} else {
		d.changes = append(d.changes, method+" "+path)
	}
	text, err := json.Marshal(d.host)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}

func TestUpgrade(t *testing.T) {
	const drain, undrain, restart = "PUT /v1/drain", "DELETE /v1/drain", "restart"
	drained := map[string]any{"owner": "somebody"}
	for name, one := range map[string]struct {
		daemon  fakeDaemon
		u       upgrade
		cancel  time.Duration
		want    string // what is done, in order
		says    string
		isError bool
	}{
		"nothing to do": {
			fakeDaemon{host: map[string]any{"sessions": 2, "version": "v1"}}, upgrade{}, 0, "", "nothing to do", false,
		},
		"no session": {
			fakeDaemon{host: map[string]any{"restart_pending": true}},
			upgrade{ifIdle: true},
			0,
			drain + "; " + restart + "; " + undrain, "the daemon runs v2", false,
		},
		"sessions stay": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "sessions": 2}},
			upgrade{ifIdle: true},
			0,
			drain + "; " + undrain, "a restart is pending: 2 sessions", false,
		},
		"sessions end": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "sessions": 2}, empties: 7},
			upgrade{},
			0,
			drain + "; " + restart + "; " + undrain, "waiting for 2 sessions", false,
		},
		"drained by somebody else": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "drain": drained}},
			upgrade{},
			0, restart,
			"the daemon runs v2", false,
		},
		"interrupted": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "sessions": 1}},
			upgrade{},
			time.Minute,
			drain + "; " + undrain, "waiting for 1 session", true,
		},
		"handed over": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "sessions": 2}, handover: "over"},
			upgrade{},
			0, "handover",
			"the daemon runs v2", false,
		},
		"handover fails": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "sessions": 2}, handover: "no display"},
			upgrade{},
			0, "",
			"it works here", true,
		},
		"handover fails, and is forced": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, handover: "no display"},
			upgrade{force: true},
			0, drain + "; " + restart + "; " + undrain,
			"started all the same: no display", false,
		},
		"waits although a handover is possible": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "sessions": 2}, handover: "over"},
			upgrade{ifIdle: true},
			0,
			drain + "; " + undrain, "a restart is pending: 2 sessions", false,
		},
		"slow to come back": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, away: 20},
			upgrade{},
			0,
			drain + "; " + restart + "; " + undrain, "the daemon runs v2", false,
		},
		"fails its trial": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, trial: "encoder libx264: crashed"},
			upgrade{},
			0, "",
			"trying", true,
		},
		"fails its trial, and is forced": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, trial: "encoder libx264: crashed"},
			upgrade{force: true},
			0, drain + "; " + restart + "; " + undrain,
			"started all the same: encoder libx264: crashed", false,
		},
		"by a daemon that tries nothing": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, old: true},
			upgrade{},
			0, drain + "; " + restart + "; " + undrain,
			"too old to try it", false,
		},
		"never finishes its trial": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, since: 1000},
			upgrade{},
			0, "",
			"trying", true,
		},
		"does not come back": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, away: 1000},
			upgrade{},
			0, drain + "; " + restart,
			"restarting", true,
		},
		"forced": {
			fakeDaemon{host: map[string]any{}},
			upgrade{force: true},
			0, drain + "; " + restart + "; " + undrain,
			"restarting", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if one.cancel > 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, one.cancel)
					defer stop()
				}
				d, u := one.daemon, one.u
				var said strings.Builder
				restarted := false
				u.poll = time.Second
				u.say = func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }
				u.restart = func(context.Context) error {
					restarted = true
					d.changes = append(d.changes, restart)
					d.host = map[string]any{"version": "v2", "state": "draining", "drain": drained}
					return nil
				}
				u.connect = func() (caller, error) {
					if restarted && d.away > 0 {
						d.away--
						return nil, errors.New("nobody there")
					}
					return &d, nil
				}
				err := u.run(ctx)
				if (err != nil) != one.isError || !strings.Contains(said.String(), one.says) {
					t.Errorf("got %v, %q; want %q", err, said.String(), one.says)
				}
				if got := strings.Join(slices.Clone(d.changes), "; "); got != one.want {
					t.Errorf("got %q; want %q", got, one.want)
				}
			})
		})
	}
}

// A running daemon is drained, asked, and accepts sessions again.
func TestUpgradeAsksTheRunningDaemon(t *testing.T) {
	_, env := startOnSocket(t)
	a := &app{env: env}
	restarted := false
	u := upgrade{
		say: func(string, ...any) {}, poll: 50 * time.Millisecond, force: true,
		connect: func() (caller, error) { return clientFlags{}.connect(a) },
	}
	u.restart = func(ctx context.Context) error {
		restarted = true
		c, err := u.connect()
		if err != nil {
			return err
		}
		var h hostStatus
		if err := c.call(ctx, "GET", "/v1/host", nil, &h, nil); err != nil || h.State != "draining" {
			t.Errorf("it is restarted as %q, %v", h.State, err)
		}
		return nil
	}
	if err := u.run(t.Context()); err != nil || !restarted {
		t.Errorf("restarted: %v, %v", restarted, err)
	}
	if got := try(t, env, "status"); !strings.Contains(got.out, "state:        active") {
		t.Errorf("left as %q", got.out)
	}
}

// An upgrade whose program does not work ends with the former program in its place, running.
func TestUpgradeGoesBack(t *testing.T) {
	able := map[string]any{
		"version": "v1", "restart_pending": true, "boot_id": "a",
		"encoders":   []map[string]any{{"name": "libx264", "usable": true}},
		"displays":   []map[string]any{{"id": "x11:0", "state": "idle"}},
		"self_probe": map[string]any{"state": "passed"},
	}
	with := func(key string, value any) map[string]any {
		h := maps.Clone(able)
		h["version"], h["restart_pending"] = "v2", false
		h[key] = value
		return h
	}
	broken := []map[string]any{{"name": "libx264", "failure": "broken", "why": "crashed"}}
	for name, one := range map[string]struct {
		// new returns the host at so many seconds after the restart into the new program; nil if it does not answer.
		new     func(seconds int) map[string]any
		refused bool // the service manager refuses to start it
		noWatch bool
		beside  bool   // it takes over from the former daemon, and lets that take over again
		unable  string // why it does not take over
		want    string // in the error; empty if the new program stays
	}{
		"works":         {new: func(int) map[string]any { return with("boot_id", "b") }},
		"starts slowly": {new: func(s int) map[string]any { return onlyIf(s > 40, with("boot_id", "b")) }},
		"shortly silent": {
			new: func(s int) map[string]any { return onlyIf(s < 3 || s > 10, with("boot_id", "b")) },
		},
		"does not start":  {refused: true, new: func(int) map[string]any { return nil }, want: "start-limit-hit"},
		"never answers":   {new: func(int) map[string]any { return nil }, want: "does not answer"},
		"falls silent":    {new: func(s int) map[string]any { return onlyIf(s < 5, with("boot_id", "b")) }, want: "answer"},
		"crashes":         {new: func(s int) map[string]any { return with("boot_id", s/15) }, want: "was started again"},
		"lost an encoder": {new: func(int) map[string]any { return with("encoders", broken) }, want: "libx264: crashed"},
		"lost a display":  {new: func(int) map[string]any { return with("displays", nil) }, want: "x11:0"},
		"finds the display late": {new: func(s int) map[string]any {
			if s < 20 {
				return with("displays", nil)
			}
			return with("boot_id", "b")
		}},
		"shows another picture": {
			new: func(int) map[string]any {
				return with("self_probe", map[string]any{"state": "failed", "problem": "another picture"})
			}, want: "no viewer of the new daemon sees the display: another picture",
		},
		"knows no self-probe": {new: func(int) map[string]any { return with("self_probe", nil) }},
		"makes no self-probe": {
			new: func(int) map[string]any { return with("self_probe", map[string]any{"state": "skipped"}) },
		},
		"does not take over": {unable: "it crashed", want: "does not take over, so the former one continues: it crashed"},
		"takes over":         {new: func(int) map[string]any { return with("boot_id", "b") }, beside: true},
		"takes over, and crashes": {
			new: func(s int) map[string]any { return with("boot_id", s/15) }, beside: true, want: "again",
		},
		"takes over, and shows another picture": {
			new: func(int) map[string]any {
				return with("self_probe", map[string]any{"state": "failed", "problem": "another picture"})
			}, beside: true, want: "sees the display: another picture",
		},
		"without a watch": {new: func(s int) map[string]any { return with("boot_id", s) }, noWatch: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				installed := filepath.Join(t.TempDir(), "wavry-host")
				put := func(text string) {
					if err := os.WriteFile(installed, []byte(text), 0o700); err != nil { //nolint:gosec // a program
						t.Fatal(err)
					}
				}
				put("v2")
				var (
					began    time.Time // of the new program
					running  = "v1"
					restarts []string
					drained  bool
					said     strings.Builder
				)
				u := upgrade{poll: time.Second, watch: 20 * time.Second}
				if one.noWatch {
					u.watch = 0
				}
				u.say = func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }
				u.keep = func(context.Context) (*formerProgram, error) {
					f := &formerProgram{installed: installed}
					return f, f.keep(strings.NewReader("v1"), 0o755)
				}
				u.restart = func(context.Context) error {
					text, err := os.ReadFile(installed)
					if err != nil {
						return err
					}
					running, began = string(text), time.Now()
					restarts = append(restarts, running)
					if running == "v2" && one.refused {
						return errors.New("start-limit-hit")
					}
					return nil
				}
				u.connect = func() (caller, error) {
					h := maps.Clone(able)
					if len(restarts) > 0 {
						h["restart_pending"] = false
					}
					if running == "v2" {
						if h = one.new(int(time.Since(began).Seconds())); h == nil {
							return nil, errors.New("nobody there")
						}
					}
					if h["boot_id"] != "a" {
						h["boot_id"] = fmt.Sprint(h["boot_id"])
					}
					d := &drainable{fakeDaemon{host: h}, &drained, nil}
					switch {
					case one.unable != "":
						h["handover"] = map[string]any{"state": "failed", "problem": one.unable}
					case !one.beside:
						h["handover"] = map[string]any{"state": "impossible", "problem": "no systemd"}
					default:
						if running == "v2" && h["boot_id"] == "a" {
							h["boot_id"] = "b"
						}
						d.over = func() { _ = u.restart(t.Context()) }
					}
					return d, nil
				}
				err := u.run(t.Context())
				want := []string{"v2"}
				if one.want != "" {
					want = append(want, "v1")
				}
				if (err != nil) != (one.want != "") || err != nil && !strings.Contains(err.Error(), one.want) {
					t.Errorf("got %v, %q; want an error with %q", err, said.String(), one.want)
				}
				if one.unable != "" {
					want = nil
				}
				if !slices.Equal(restarts, want) || one.unable == "" && running != want[len(want)-1] {
					t.Errorf("it was restarted into %q, and %s runs; want %q", restarts, running, want)
				}
				if drained {
					t.Errorf("the host is left in a drain: %s", said.String())
				}
				left, err := os.ReadDir(filepath.Dir(installed))
				if err != nil || len(left) != 1 {
					t.Errorf("%v beside the program, %v", left, err)
				}
				text, err := os.ReadFile(installed)
				if err != nil || (string(text) == "v1") != (one.want != "") {
					t.Errorf("installed is %s, %v", text, err)
				}
			})
		})
	}
}

// drainable is a daemon whose drain outlives it.
type drainable struct {
	fakeDaemon
	drained *bool
	over    func() // starts another daemon, which takes over; nil if that is not possible
}

func (d *drainable) call(ctx context.Context, method, path string, in, out any, raw io.Writer) error {
	if path == "/v1/drain" {
		*d.drained = method == "PUT"
	}
	if path == "/v1/handover" && d.over != nil {
		d.over()
		return nil
	}
	if path == "/v1/self-probe" && d.host["self_probe"] == nil {
		return &refusalError{404, "no such path"}
	}
	delete(d.host, "drain")
	if *d.drained {
		d.host["drain"] = map[string]any{"owner": "ann"}
	}
	return d.fakeDaemon.call(ctx, method, path, in, out, raw)
}

func onlyIf(answers bool, h map[string]any) map[string]any {
	if answers {
		return h
	}
	return nil
}

// A program that cannot be kept stops the upgrade before anything has changed, unless the operator does without.
func TestUpgradeKeepsTheFormerProgram(t *testing.T) {
	full := errors.New("no space left on device")
	for _, one := range []struct {
		err   error
		force bool
		want  string
	}{
		{full, false, "keep the former program, so that there is a way back: no space left on device"},
		{full, true, ""},
		{errors.ErrUnsupported, false, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := fakeDaemon{host: map[string]any{"restart_pending": true}}
			u := upgrade{
				say: func(string, ...any) {}, poll: time.Second, watch: time.Second, force: one.force,
				connect: func() (caller, error) { return &d, nil },
				keep:    func(context.Context) (*formerProgram, error) { return nil, one.err },
			}
			u.restart = func(context.Context) error {
				d.host = map[string]any{"version": "v2"}
				return nil
			}
			switch err := u.run(t.Context()); {
			case one.want == "" && err != nil:
				t.Errorf("%v, force %v: got %v", one.err, one.force, err)
			case one.want != "" && (err == nil || !strings.Contains(err.Error(), one.want) || len(d.changes) > 0):
				t.Errorf("%v: got %v after %q; want %q and no change", one.err, err, d.changes, one.want)
			}
		})
	}
}

// The program of a process is kept, also when its file was replaced, and put back with the mode of the new one.
func TestKeepFormer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not keep replaced programs")
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	installed := filepath.Join(dir, "sleep")
	run := func(name string, args ...string) { // another process writes the program: see the helper program
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	run("install", "-m", "755", sleep, installed)
	cmd := exec.CommandContext(t.Context(), installed, "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	pid := cmd.Process.Pid
	run("install", "-m", "755", "/dev/null", installed+".next")
	run("mv", installed+".next", installed)
	f, err := keepFormer(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.restore(); err != nil {
		t.Fatal(err)
	}
	f.forget()
	got, err := os.ReadFile(installed)
	info, statErr := os.Stat(installed)
	if err != nil || statErr != nil || !bytes.Equal(got, program) || info.Mode().Perm() != 0o755 {
		t.Errorf("put back were %d bytes with mode %v: %v, %v", len(got), info.Mode(), err, statErr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
	for _, missing := range []int{0, 1 << 30} {
		if f, err := keepFormer(missing); err == nil {
			t.Errorf("process %d: %v, %v", missing, f, err)
		}
	}
}
