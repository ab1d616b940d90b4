package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wavryhost/session/api/audit"
)

// trailVariable has the path of the audit log that a child of the test writes, and trailLimit the size of its disk.
const trailVariable, trailLimit = "WAVRY_TEST_TRAIL", 5000

// writeTrail writes the audit log until the process is killed. It first fills the disk, which the limit on the size of
// files stands for, and then gets space again.
func writeTrail(t *testing.T, path string) {
	t.Helper()
	tr, err := newTrail(path)
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	limit := func(size uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	limit(uint64(info.Size()) + trailLimit)
	log, failures := audit.New(tr), 0
	for n := 0; ; n++ {
		_, err := log.Record(audit.Line{
			Time: time.Now().Add(time.Duration(n) * time.Second), Who: "ann", Role: "operator", Method: "DELETE",
			Route: "/v1/sessions/{id}", Object: strings.Repeat("x", n%97), Status: 204,
		})
		if err != nil {
			failures++
		}
		if failures == 3 {
			limit(was.Cur)
		}
	}
}

// After a full disk and kill -9, again and again, the audit log has one complete record a line, and says what it lacks.
func TestTrailAfterFailures(t *testing.T) {
	if path := os.Getenv(trailVariable); path != "" {
		writeTrail(t, path)
	}
	path := filepath.Join(t.TempDir(), "audit")
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), trailVariable+"="+path)
		var before int64
		if info, err := os.Stat(path); err == nil {
			before = info.Size()
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			if info, err := os.Stat(path); err == nil && info.Size() > before+3*trailLimit {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the log does not grow")
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if round == 2 { // as a crash of the machine may leave it
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(`{"time":"2026-11-29T12:00:00Z","who":"bo`); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
	}
	tr, err := newTrail(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.New(tr).Record(audit.Line{Time: time.Now(), Who: "last", Role: "operator"}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var one audit.Line
	lost, n := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		one = audit.Line{}
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil || one.Time.IsZero() {
			t.Fatalf("line %d is %q: %v", n+1, lines.Text(), err)
		}
		if one.Event == audit.EventLost {
			lost += one.Count
		}
	}
	if lost != 4*3 || one.Who != "last" {
		t.Errorf("of %d lines, %d are counted as lost; want 3 in each of 4 rounds. The last is %+v", n, lost, one)
	}
}
