package audit

import (
	"bytes"
	"encoding/json"
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
