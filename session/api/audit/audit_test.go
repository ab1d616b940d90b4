package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/api/problem"
)

func TestAuditOfManyKindsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := New(&log)
		for n := range 10_000 {
			_, _ = a.Record(Line{Time: time.Now(), Who: fmt.Sprint(n), Role: "viewer", Status: http.StatusForbidden})
		}
		if len(a.sums) > maxSums+1 {
			t.Errorf("%d sums at a time", len(a.sums))
		}
		_ = a.Flush(time.Now(), true)
		if n := strings.Count(log.String(), "\n"); n > knownRate.Burst+maxSums+1 {
			t.Errorf("%d lines", n)
		}
		if n := strings.Count(log.String(), `"first":`); n != maxSums+1 {
			t.Errorf("%d sums have the time of their first request", n)
		}
		if n := strings.Count(log.String(), `"count":`); n != maxSums+1 {
			t.Errorf("%d sums; want %d", n, maxSums+1)
		}
	})
}

// jammed is a writer that fails while it is jammed.
type jammed struct {
	bytes.Buffer
	on bool
}

func (j *jammed) Write(line []byte) (int, error) {
	if j.on {
		return 0, errors.New("no space left on device")
	}
	return j.Buffer.Write(line)
}

// A log that could not be written for a while says how many lines it lacks.
func TestLostLinesAreCounted(t *testing.T) {
	var w jammed
	a, at := New(&w), time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	put := func(who string, second int) error {
		_, err := a.Record(Line{
			Time: at.Add(time.Duration(second) * time.Second), Who: who, Role: "operator",
			Status: 200,
		})
		return err
	}
	for second, who := range []string{"ann", "bob", "cid", "dan", "eve"} {
		w.on = second > 0 && second < 4
		if err := put(who, second); (err != nil) != w.on {
			t.Errorf("%s: %v", who, err)
		}
	}
	const lost = `{"time":"2026-11-29T12:00:04Z","event":"lines_lost","who":"","count":3,` +
		`"first":"2026-11-29T12:00:01Z","last":"2026-11-29T12:00:03Z"}`
	lines := strings.Split(strings.TrimSpace(w.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"ann"`) || lines[1] != lost ||
		!strings.Contains(lines[2], `"eve"`) {
		t.Errorf("the log has %q", lines)
	}
}

// The sum of a refused flood is written during the flood, and when the server stops.
func TestAuditSumIsWrittenInTheEnd(t *testing.T) {
	var log bytes.Buffer
	a := New(&log)
	now := time.Now()
	for n := range 7 {
		if summed, err := a.Record(Line{
			Time:   now.Add(time.Duration(n) * time.Millisecond),
			Status: http.StatusTooManyRequests, Code: string(problem.TooManyRequests),
		}); err != nil || !summed {
			t.Fatal("a refused flood has lines of its own")
		}
	}
	if log.Len() != 0 && !strings.Contains(log.String(), `"count":1`) {
		t.Errorf("written at once: %s", log.String())
	}
	_ = a.Flush(now.Add(sumInterval), false)
	_ = a.Flush(now.Add(sumInterval), true)
	total := 0
	for line := range strings.Lines(log.String()) {
		var l Line
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		total += l.Count
		if !l.First.Equal(now) || !l.Last.Equal(now.Add(6*time.Millisecond)) {
			t.Errorf("a sum from %v to %v; want from %v for 6 ms", l.First, l.Last, now)
		}
	}
	if total != 7 {
		t.Errorf("%d requests are in the log; there were 7: %s", total, log.String())
	}
}
