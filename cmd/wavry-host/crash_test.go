package main

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wavryhost/platform/service"
)

// TestServiceIsStartedAgainAfterACrash crashes a Go program and compares its exit code with those after which the
// service manager gives up.
func TestServiceIsStartedAgainAfterACrash(t *testing.T) {
	const asked = "WAVRY_TEST_CRASH"
	switch os.Getenv(asked) {
	case "panic":
		done := make(chan struct{})
		go func() { defer close(done); panic("on purpose") }()
		<-done
	case "fatal":
		var m map[string]int
		done := make(chan struct{})
		go func() { defer close(done); m["nil"]++ }()
		<-done
	}
	final := finalCodes(t)
	if want := []string{strconv.Itoa(exitUsage), strconv.Itoa(exitConfig)}; !slices.Equal(final, want) {
		t.Errorf("the unit is final after %v; want %v", final, want)
	}
	for _, kind := range []string{"panic", "fatal"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), asked+"="+kind)
		out, err := cmd.CombinedOutput()
		ended, ok := errors.AsType[*exec.ExitError](err)
		if !ok || !strings.Contains(string(out), "goroutine ") {
			t.Fatalf("%s: got %v; want a crash\n%s", kind, err, out)
		}
		if code := ended.ExitCode(); code != exitCrash || slices.Contains(final, strconv.Itoa(code)) {
			t.Errorf("%s: exit code %d; want %d, which is not among %v", kind, code, exitCrash, final)
		}
	}
	if slices.Contains(final, strconv.Itoa(exitFailure)) {
		t.Error("a failure that may pass is final")
	}
}

// finalCodes returns the exit codes after which systemd does not start the daemon again.
func finalCodes(t *testing.T) []string {
	t.Helper()
	unit, err := service.Unit(service.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(unit) {
		if codes, ok := strings.CutPrefix(line, "RestartPreventExitStatus="); ok {
			return strings.Fields(codes)
		}
	}
	t.Fatal("the unit has no RestartPreventExitStatus")
	return nil
}
