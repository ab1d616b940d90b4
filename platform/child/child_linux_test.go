package child

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this program stand for the daemon and for its children.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "as-") {
		os.Exit(stand(os.Args[1]))
	}
	os.Exit(m.Run())
}

// say writes a line to the standard output, as a child does.
func say(words ...any) { _, _ = fmt.Fprintln(os.Stdout, words...) }

func stand(as string) int {
	switch as {
	case "as-reporter": // what it was given
		for _, entry := range os.Environ() {
			say("env", entry)
		}
		files, _ := os.ReadDir("/proc/self/fd")
		for _, f := range files {
			if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil {
				say("file", f.Name(), to)
			}
		}
		n, err := os.Stdin.Read(make([]byte, 1))
		say("stdin", n, err)
		limits, _ := os.ReadFile("/proc/self/limits")
		say(string(limits))
	case "as-sleeper": // with a child of its own, which has its output
		say(os.Getpid())
		_, _ = Start(Command{Program: "sleep", Args: []string{"60"}, Stdout: os.Stdout})
		select {}
	case "as-spinner":
		for {
			_ = os.Getpid()
		}
	case "as-eater":
		all := make([][]byte, 0, 1024)
		for range cap(all) {
			all = append(all, bytes.Repeat([]byte{1}, 1<<20))
		}
		say("ate", len(all))
	case "as-daemon": // whose child outlives it, if it can
		_ = Run(context.Background(), Command{Program: os.Args[0], Args: []string{"as-sleeper"}, Stdout: os.Stdout})
	case "as-upgraded": // another program is put in its place
		path, err := os.Executable()
		if err == nil {
			err = os.Remove(path)
		}
		if err == nil {
			err = os.WriteFile(path, []byte("#!/bin/sh\necho another\n"), 0o700)
		}
		self, err2 := Self()
		if err != nil || err2 != nil {
			say(err, err2)
			return 1
		}
		c := Command{Program: self, Args: []string{"as-itself"}, Stdout: os.Stdout}
		if err := Run(context.Background(), c); err != nil {
			say(err)
			return 1
		}
	case "as-supervisor": // of a shell that leaves a program behind
		if err := Adopt(); err != nil {
			say(err)
			return 1
		}
		var pid bytes.Buffer
		// The shell ends once its output is closed by the program: by then, the program is out of the shell's group.
		script := `echo $(setsid sh -c 'echo $$; exec sleep 60 >/dev/null 2>&1' &)`
		shell := Command{Program: "sh", Args: []string{"-c", script}, Env: []string{"MARK=own"}, Stdout: &pid}
		if err := Run(context.Background(), shell); err != nil {
			say(err)
			return 1
		}
		if len(os.Args) > 2 {
			say("ended", EndWith("MARK=none"), EndWith("MARK=own"), strings.TrimSpace(pid.String()))
			return 0
		}
		say("ended", EndDescendants(), strings.TrimSpace(pid.String()))
	case "as-launcher":
		out, err := os.OpenFile(os.Args[2], os.O_WRONLY, 0)
		if err == nil {
			_, err = Detach(Command{Program: "sh", Args: []string{"-c", "echo $$; exec sleep 60"}}, out)
		}
		if err != nil {
			return 1
		}
		select {}
	case "as-itself":
		say("the same")
	}
	return 0
}

// within returns a context for what ends soon unless it is broken.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestChildGetsNothingOfTheDaemon(t *testing.T) {
	t.Setenv("WAVRY_HOST_AUTH__TOKEN", "s3cret-s3cret-s3cret")
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	t.Setenv("LIBVA_DRIVER_NAME", "iHD")
	open, err := os.Create(filepath.Join(t.TempDir(), "private"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	leaky, err := syscall.Dup(int(open.Fd())) // without close-on-exec, as libraries open theirs
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leaky)
	var out bytes.Buffer
	err = Run(within(t), Command{
		Program: os.Args[0], Args: []string{"as-reporter"}, Stdout: &out,
		Env: []string{"DISPLAY=:7"}, Keep: []string{"LIBVA_DRIVER_NAME"},
		Limits: Limits{Memory: 1 << 30, Files: 64, Processor: 20 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, secret := range []string{"s3cret", "NOTIFY_SOCKET", "private"} {
		if strings.Contains(text, secret) {
			t.Errorf("the child has %s:\n%s", secret, text)
		}
	}
	for _, want := range []string{
		"env DISPLAY=:7\n", "env LIBVA_DRIVER_NAME=iHD\n", "env PATH=", "file 0 /dev/null\n", "stdin 0 EOF\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the child lacks %q:\n%s", want, text)
		}
	}
	limits := make(map[string][]string)
	for line := range strings.Lines(text) {
		if name, values, ok := strings.Cut(line, "  "); ok {
			limits[name] = strings.Fields(values)
		}
	}
	for name, want := range map[string]string{
		"Max data size": "1073741824", "Max open files": "64", "Max cpu time": "20", "Max core file size": "0",
	} {
		if v := limits[name]; len(v) < 2 || v[0] != want || v[1] != want {
			t.Errorf("%s is %v; want %s", name, v, want)
		}
	}
}

func TestLimitsEndAChild(t *testing.T) {
	var out bytes.Buffer
	spinner := Command{Program: os.Args[0], Args: []string{"as-spinner"}, Limits: Limits{Processor: time.Second}}
	if err := Run(within(t), spinner); err == nil || !strings.Contains(err.Error(), "signal: ") {
		t.Errorf("one that spins: %v", err)
	}
	eater := Command{Program: os.Args[0], Args: []string{"as-eater"}, Stdout: &out, Limits: Limits{Memory: 256 << 20}}
	if err := Run(within(t), eater); err == nil || out.Len() > 0 {
		t.Errorf("one that eats memory: %v, %s", err, &out)
	}
}

// gone waits until a process has ended; who adopts it need not have asked how.
func gone(t *testing.T, pid string) {
	t.Helper()
	for ctx := within(t); ; {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if _, state, _ := strings.Cut(string(stat), ") "); err != nil || strings.HasPrefix(state, "Z") {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("process %s goes on: %s", pid, stat)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// lines hands on the first line written to it.
type lines struct{ first chan string }

func (l lines) Write(p []byte) (int, error) {
	select {
	case l.first <- strings.TrimSpace(string(p)):
	default:
	}
	return len(p), nil
}

func TestGroupOfAChildEndsWithIt(t *testing.T) {
	ctx, cancel := context.WithCancel(within(t))
	l := lines{make(chan string, 1)}
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Command{Program: os.Args[0], Args: []string{"as-sleeper"}, Stdout: l})
	}()
	pid := <-l.first
	cancel()
	if err := <-done; err == nil {
		t.Error("a child that was killed ended well")
	}
	gone(t, pid)
	if left := group(t, pid); left != nil {
		t.Errorf("processes %v of its group go on", left)
	}
}

// group returns the processes of a group that go on.
func group(t *testing.T, id string) (members []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		stat, _ := os.ReadFile(path) // it may have ended by now
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 2 && f[2] == id && !slices.Contains([]string{"Z", "X"}, f[0]) {
			members = append(members, path)
		}
	}
	return members
}

func TestChildEndsWithTheDaemon(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	daemon, err := Start(Command{Program: os.Args[0], Args: []string{"as-daemon"}, Stdout: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Stop()
	_ = r.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 16)
	n, err := r.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(daemon.ID(), syscall.SIGKILL); err != nil { // it cleans up nothing
		t.Fatal(err)
	}
	gone(t, strings.TrimSpace(string(buf[:n])))
}

func TestProgramThatWasReplacedRunsItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon")
	if err := copyFile(path, os.Args[0]); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := Run(within(t), Command{Program: path, Args: []string{"as-upgraded"}, Stdout: &out})
	if err != nil || out.String() != "the same\n" {
		t.Errorf("%v, and it printed %q; want the program that runs, not the one in its place", err, out.String())
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if e := out.Close(); err == nil {
		err = e
	}
	return err
}

// A program that its parent left in the background ends with the desktop.
func TestDescendantsEnd(t *testing.T) {
	for args, want := range map[string]string{"as-supervisor": "ended 1 ", "as-supervisor by-mark": "ended 0 1 "} {
		var out bytes.Buffer
		err := Run(within(t), Command{Program: os.Args[0], Args: strings.Fields(args), Stdout: &out})
		pid, ok := strings.CutPrefix(strings.TrimSpace(out.String()), want)
		if err != nil || !ok {
			t.Fatalf("%s: %v: %s", args, err, &out)
		}
		gone(t, pid)
	}
}

// A supervisor that is detached is in a session of its own.
func TestDetachedOutlivesTheDaemon(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	daemon, err := Start(Command{Program: os.Args[0], Args: []string{"as-launcher", file.Name()}})
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Stop()
	var pid int
	for ctx := within(t); ; {
		text, _ := os.ReadFile(file.Name())
		if _, err := fmt.Sscan(string(text), &pid); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatal("it does not start")
		case <-time.After(10 * time.Millisecond):
		}
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	if err := syscall.Kill(-daemon.ID(), syscall.SIGKILL); err != nil { // its whole group
		t.Fatal(err)
	}
	<-daemon.Done
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(stat), ") Z ") {
		t.Errorf("the detached program has ended with the daemon: %v, %s", err, stat)
	}
}
