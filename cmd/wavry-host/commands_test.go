package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/session/api"
)

// startOnSocket starts a daemon with a socket, and returns the environment in which its commands find it.
func startOnSocket(t *testing.T) (*daemon, []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "w") // the path of a socket has at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	env := []string{"XDG_RUNTIME_DIR=" + dir}
	d := startIn(t, append(daemonEnv(), env...), io.Discard, "--display=synthetic", "--encoder=h264_vaapi")
	path := filepath.Join(dir, "wavry-host", "api.sock")
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := new(net.Dialer).DialContext(t.Context(), "unix", path)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	return d, env
}

// The commands ask the running daemon over its socket, without a token.
func TestCommandsAskTheRunningDaemon(t *testing.T) {
	_, env := startOnSocket(t)
	for _, c := range []struct {
		command string
		code    int
		want    string // in what is printed or said
	}{
		{"status", 0, "state:        active"},
		{"sessions", 0, "SESSION  DISPLAY"},
		{"displays", 0, "synthetic  yes"},
		{"encoders", 0, "h264_vaapi  /nonexistent  H264   no"},
		{"drain --status", exitFailure, "not_draining"},
		{"cordon --note=fan --for=8h", 0, "state:        cordoned"},
		{"status", 0, ": fan"},
		{"drain --status", exitFailure, "not_draining"},
		{"uncordon", 0, "state:        active"},
		{"cordon --for=-1h", exitFailure, "(400 Bad Request"},
		{"drain --note=update", 0, ": update"},
		{"drain --status", 0, "sessions:  0 left of 0"},
		{"uncordon", 0, "state:        draining"},
		{"drain --cancel", 0, "state:        active"},
		{"drain --policy=end --deadline=1m", 0, "drain ends:"},
		{"drain --cancel", 0, "state:        active"},
		{"drain --cancel --status", exitUsage, "exclude each other"},
		{"drain --policy=now", exitUsage, "--policy must be one of"},
		{"drain --deadline=9999h", exitFailure, "(400 Bad Request"},
		{"displays --probe --display=synthetic", 0, "synthetic"},
	} {
		got := try(t, env, strings.Fields(c.command)...)
		if got.code != c.code || !strings.Contains(got.out+got.errout, c.want) {
			t.Errorf("%s: got %+v; want %q (%d)", c.command, got, c.want, c.code)
		}
	}
	for command, key := range map[string]string{
		"status --json": "version", "sessions --json": "sessions", "cordon --json": "state", "uncordon --json": "state",
	} {
		var v map[string]any
		got := try(t, env, strings.Fields(command)...)
		if err := json.Unmarshal([]byte(got.out), &v); err != nil || v[key] == nil {
			t.Errorf("%s: %v, %+v", command, err, got)
		}
	}
	for _, command := range []string{"displays --json", "encoders --json"} {
		var v []map[string]any
		got := try(t, env, strings.Fields(command)...)
		if err := json.Unmarshal([]byte(got.out), &v); err != nil || len(v) == 0 {
			t.Errorf("%s: %v, %+v", command, err, got)
		}
	}
}

// syncWriter passes on lines as they are written.
type syncWriter chan string

func (w syncWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

func TestEventsAreFollowed(t *testing.T) {
	_, env := startOnSocket(t)
	ctx, cancel := context.WithCancel(t.Context())
	lines, code := make(syncWriter, 100), make(chan int, 1)
	go func() { code <- run(ctx, []string{"events", "--after=1"}, env, lines, io.Discard) }()
	time.AfterFunc(200*time.Millisecond, func() { run(ctx, []string{"cordon"}, env, io.Discard, io.Discard) })
	for seen := false; !seen; {
		select {
		case line := <-lines:
			seen = strings.Contains(line, "to=cordoned")
		case <-time.After(patience):
			t.Fatal("no event of the cordon")
		}
	}
	cancel()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d", c)
	}
}

// A command that cannot reach a daemon says where it looked, and has a code of its own.
func TestCommandsWithoutADaemon(t *testing.T) {
	dir := t.TempDir()
	env := []string{"XDG_RUNTIME_DIR=" + dir}
	open := write(t, "open", "0123456789abcdef")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command string
		code    int
		want    string
	}{
		{"status", exitUnreachable, dir + "/wavry-host/api.sock: no such file or directory"},
		{"status --socket=/nonexistent/s", exitUnreachable, "/nonexistent/s: no such file or directory"},
		{"status --url=host7", exitUsage, `"host7" is not an address`},
		{"status --url=https://h:1", exitUsage, "--url requires --token-file"},
		{"status --url=http://h:1 --token-file=" + open, exitUsage, "in clear text"},
		{"status --url=https://h:1 --token-file=/nonexistent/t", exitUsage, "/nonexistent/t: open: no such file"},
		{"status --url=https://h:1 --token-file=" + open, exitUsage, "every user can read"},
		{"status --token-file=" + open, exitUsage, "--token-file is for --url"},
		{"displays --socket=/nonexistent/s --display=synthetic", exitUsage, "--socket asks the running daemon"},
	} {
		got := try(t, env, strings.Fields(c.command)...)
		if got.code != c.code || !strings.Contains(got.errout, c.want) {
			t.Errorf("%s: got %+v; want %q (%d)", c.command, got, c.want, c.code)
		}
	}
}

// The address is that of the running daemon, whatever the configuration says.
func TestURLOfTheRunningDaemon(t *testing.T) {
	d, env := startOnSocket(t)
	file := write(t, "token", daemonToken)
	got := try(t, env, "url", "--token-file", file, "--listen", "127.0.0.1:1")
	if want := d.url + "/#token=" + url.QueryEscape(daemonToken) + "\n"; got.code != 0 || got.out != want {
		t.Errorf("got %+v; want %s", got, want)
	}
	env = append(env, "WAVRY_HOST_API__SOCKET=none")
	got = try(t, env, "url", "--token-file", file, "--listen", "127.0.0.1:1")
	if got.code != 0 || !strings.HasPrefix(got.out, "http://127.0.0.1:1/#") {
		t.Errorf("without a socket: %+v; want the configured address", got)
	}
}

func TestCommandsWithAURL(t *testing.T) {
	d, _ := startOnSocket(t)
	good, wrong := write(t, "good", daemonToken), write(t, "wrong", "wrong-wrong-wrong-wrong")
	if got := try(t, nil, "status", "--url", d.url, "--token-file", good); got.code != 0 ||
		!strings.Contains(got.out, "active") {
		t.Errorf("got %+v", got)
	}
	got := try(t, nil, "status", "--url", d.url, "--token-file", wrong)
	if got.code != exitFailure || !strings.Contains(got.errout, "401") || strings.Contains(got.errout, "wrong-wrong") {
		t.Errorf("got %+v", got)
	}
}

// A socket that a dead daemon left is replaced; that of a living one, and what is no socket, stay.
func TestSocketThatIsThere(t *testing.T) {
	dir, err := os.MkdirTemp("", "w")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &localAPI{path: filepath.Join(dir, "s"), log: newTestLog(t)}
	first, err := l.listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.listen(t.Context()); err == nil || !strings.Contains(err.Error(), "another daemon uses it") {
		t.Errorf("a second daemon: %v", err)
	}
	left, ok := first.(peers).Listener.(*net.UnixListener)
	if !ok {
		t.Fatal("not a Unix socket")
	}
	left.SetUnlinkOnClose(false)
	first.Close()
	again, err := l.listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if err := os.WriteFile(l.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.listen(t.Context()); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file: %v", err)
	}
}

func TestCompletionScripts(t *testing.T) {
	for shell, want := range map[string]string{
		"bash": "'config check') COMPREPLY=($(compgen -W '--config --deep",
		"zsh":  "bashcompinit",
		"fish": "complete -c wavry-host -n '__fish_use_subcommand' -a drain",
	} {
		got := try(t, nil, "completion", shell)
		if got.code != 0 || !strings.Contains(got.out, want) || strings.Contains(got.out, "prove-encoder") {
			t.Errorf("%s: got %+v", shell, got)
		}
	}
	if got := try(t, nil, "completion", "tcsh"); got.code != exitUsage {
		t.Errorf("tcsh: %+v", got)
	}
}

// The status shows what an upgrade has come to.
func TestStatusOfAnUpgrade(t *testing.T) {
	var out strings.Builder
	h := hostStatus{
		RestartPending: true, Former: &api.FormerDaemon{Sessions: 2},
		Trial:    &api.ProgramTrial{State: api.TrialFailed, Problems: []string{"no encoder", "no display"}},
		Handover: &api.Handover{State: api.HandoverFailed, Problem: "it crashed"},
	}
	h.show(&out)
	for _, want := range []string{
		"update:\tinstalled; run wavry-host upgrade", "trial of it:\tfailed; no encoder; no display",
		"former daemon:\t2 sessions left", "handover:\tfailed it crashed",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	(&hostStatus{}).show(&out)
	if got := out.String(); strings.Contains(got, "former") || strings.Contains(got, "handover") {
		t.Errorf("without one:\n%s", got)
	}
}
