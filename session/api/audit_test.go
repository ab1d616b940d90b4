package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A flood of requests, from strangers or somebody who is known, leaves some lines, and a sum each second.
func TestAuditSumsUpFloods(t *testing.T) {
	for _, c := range []struct {
		who            string
		shown          map[string]string
		burst, further int // lines at the start, and in each second after it
		role           string
	}{
		{who: "strangers", burst: strangerBurst, further: 2},
		{who: "the operator", shown: bearer(token), burst: knownBurst, further: 20, role: "operator"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			s, _ := newServer(t, Config{Token: token, Audit: &log, Limits: Limits{PerAddress: 100_000, InAll: 100_000, Attempts: 1}}, healthy())
			const each, seconds = 2000, 5 // more than either burst, for a while; thirty seconds of it took as long under the race detector
			for range seconds {
				for range each {
					_ = ask{method: "POST", path: "/v1/sessions/nope/keyframe", remote: "192.0.2.1:1", header: c.shown}.do(s.handler)
				}
				time.Sleep(time.Second)
			}
			s.sumUp(time.Now(), true)
			lines, sums, counted := 0, 0, 0
			for line := range strings.Lines(log.String()) {
				var l auditLine
				if err := json.Unmarshal([]byte(line), &l); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				if l.Role != c.role {
					t.Fatalf("%s: %s", c.who, line)
				}
				if l.Count == 0 {
					lines++
					continue
				}
				sums++
				counted += l.Count
			}
			if most := c.burst + c.further*seconds + seconds; lines < c.burst || lines > most || sums > seconds+2 {
				t.Errorf("%s: %d lines, %d sums; want %d and %d at most", c.who, lines, sums, most, seconds+2)
			}
			if lines+counted != each*seconds {
				t.Errorf("%s: %d requests are in the log; there were %d", c.who, lines+counted, each*seconds)
			}
		})
	}
}

func TestAuditOfManyKindsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := audit{w: &log}
		for n := range 10_000 {
			a.record(auditLine{Time: time.Now(), Who: fmt.Sprint(n), Role: "viewer", Status: http.StatusForbidden})
		}
		if len(a.sums) > maxSums+1 {
			t.Errorf("%d sums at a time", len(a.sums))
		}
		a.sum(time.Now(), true)
		if n := strings.Count(log.String(), "\n"); n > knownBurst+maxSums+1 {
			t.Errorf("%d lines", n)
		}
		if n := strings.Count(log.String(), `"count":`); n != maxSums+1 {
			t.Errorf("%d sums; want %d", n, maxSums+1)
		}
	})
}

// What a refused flood adds up to is written while it goes on, and when the server stops.
func TestAuditSumIsWrittenInTheEnd(t *testing.T) {
	var log bytes.Buffer
	a := audit{w: &log}
	now := time.Now()
	for range 7 {
		if summed, ok := a.record(auditLine{Time: now, Status: http.StatusTooManyRequests, Code: string(CodeTooManyRequests)}); !ok || !summed {
			t.Fatal("a refused flood has lines of its own")
		}
	}
	if log.Len() != 0 && !strings.Contains(log.String(), `"count":1`) {
		t.Errorf("written at once: %s", log.String())
	}
	a.sum(now.Add(sumEvery), false)
	a.sum(now.Add(sumEvery), true)
	total := 0
	for line := range strings.Lines(log.String()) {
		var l auditLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		total += l.Count
	}
	if total != 7 {
		t.Errorf("%d requests are in the log; there were 7: %s", total, log.String())
	}
}
