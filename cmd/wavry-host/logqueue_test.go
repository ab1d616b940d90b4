package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// gatedWriter takes one line for each token in pass.
type gatedWriter struct {
	pass chan struct{}
	got  bytes.Buffer
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	<-w.pass
	return w.got.Write(p)
}

func notice(lost uint64) []byte { return fmt.Appendf(nil, "lost %d\n", lost) }

// A log that nobody reads blocks nobody: what does not fit is counted, and told where it is missing once there is room.
func TestLogQueueDropsWhatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gatedWriter{pass: make(chan struct{})}
		q := newLogQueue(w, notice)
		line := bytes.Repeat([]byte("x"), maxQueuedLog/8)
		line[len(line)-1] = '\n'
		for range 12 {
			if n, err := q.Write(line); n != len(line) || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
		}
		if lost := testutil.ToFloat64(q.lost); lost != 4 {
			t.Errorf("%v lines are lost; want 4", lost)
		}
		w.pass <- struct{}{}
		synctest.Wait()
		if _, err := io.WriteString(q, "after\n"); err != nil {
			t.Error(err)
		}
		go func() {
			for range 9 { // the other lines, the notice, and the last one
				w.pass <- struct{}{}
			}
		}()
		q.Close(time.Minute)
		got := strings.ReplaceAll(w.got.String(), string(line), "L")
		if want := "LLLLLLLLlost 4\nafter\n"; got != want {
			t.Errorf("written: %q; want %q", got, want)
		}
	})
}

// Lines that are missing at the very end are reported too.
func TestLogQueueTellsAtTheEndWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gatedWriter{pass: make(chan struct{}, 3)}
		q := newLogQueue(w, notice)
		for _, n := range []int{maxQueuedLog, 1} {
			if _, err := q.Write(make([]byte, n)); err != nil {
				t.Error(err)
			}
		}
		w.pass <- struct{}{}
		w.pass <- struct{}{}
		synctest.Wait()
		if got := w.got.Bytes()[maxQueuedLog:]; string(got) != "lost 1\n" {
			t.Errorf("got %q", got)
		}
		q.Close(time.Minute)
		if _, err := io.WriteString(q, "late"); err != nil || testutil.ToFloat64(q.lost) != 2 {
			t.Errorf("a late line: %v, %v are lost; want 2", err, testutil.ToFloat64(q.lost))
		}
	})
}

// The end does not wait for a reader who has stopped.
func TestLogQueueEndsWithoutItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		q := newLogQueue(w, notice)
		if _, err := io.WriteString(q, "unread"); err != nil {
			t.Error(err)
		}
		begun := time.Now()
		q.Close(lastWords)
		if took := time.Since(begun); took != lastWords {
			t.Errorf("it took %v; want %v", took, lastWords)
		}
		r.Close()
		<-q.ended
	})
}

// A reader who is gone costs lines, and nothing else.
func TestLogQueueOutlivesItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		r.CloseWithError(errors.New("gone"))
		q := newLogQueue(w, notice)
		for range 3 {
			if _, err := io.WriteString(q, "unread"); err != nil {
				t.Error(err)
			}
		}
		q.Close(time.Minute)
		if lost := testutil.ToFloat64(q.lost); lost != 3 {
			t.Errorf("%v lines are lost; want 3", lost)
		}
	})
}

// TestDaemonServesAndEndsWhileNobodyReadsItsLog stops reading its standard error, fills what lies between, and has it
// work on and end.
func TestDaemonServesAndEndsWhileNobodyReadsItsLog(t *testing.T) {
	env := append(daemonEnv(), "WAVRY_HOST_API__LIMITS__REQUESTS_PER_ADDRESS=100000/s",
		"WAVRY_HOST_API__LIMITS__REQUESTS=100000/s")
	d := startIn(t, env, io.Discard, "--display=synthetic", "--encoder=h264_vaapi", "--log-level=debug")
	d.hold()
	path := "/v1/sessions/" + strings.Repeat("x", 200)
	for n := 0; ; n++ {
		if n > 20_000 {
			t.Fatal("no line is lost")
		}
		if status, body := d.get(t, path); status != http.StatusNotFound {
			t.Fatalf("got %d %s", status, body)
		}
		if n%200 != 0 {
			continue
		}
		if _, body := d.get(t, "/metrics"); !strings.Contains(body, "wavry_host_log_lines_lost_total 0\n") {
			break
		}
	}
	d.end(t)
}
