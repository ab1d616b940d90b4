package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/problem"

	"github.com/prometheus/client_golang/prometheus"
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
			_, _ = a.record(auditLine{Time: time.Now(), Who: fmt.Sprint(n), Role: "viewer", Status: http.StatusForbidden})
		}
		if len(a.sums) > maxSums+1 {
			t.Errorf("%d sums at a time", len(a.sums))
		}
		_ = a.sum(time.Now(), true)
		if n := strings.Count(log.String(), "\n"); n > knownBurst+maxSums+1 {
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

// What a refused flood adds up to is written while it goes on, and when the server stops.
func TestAuditSumIsWrittenInTheEnd(t *testing.T) {
	var log bytes.Buffer
	a := audit{w: &log}
	now := time.Now()
	for n := range 7 {
		if summed, err := a.record(auditLine{Time: now.Add(time.Duration(n) * time.Millisecond), Status: http.StatusTooManyRequests, Code: string(problem.TooManyRequests)}); err != nil || !summed {
			t.Fatal("a refused flood has lines of its own")
		}
	}
	if log.Len() != 0 && !strings.Contains(log.String(), `"count":1`) {
		t.Errorf("written at once: %s", log.String())
	}
	_ = a.sum(now.Add(sumEvery), false)
	_ = a.sum(now.Add(sumEvery), true)
	total := 0
	for line := range strings.Lines(log.String()) {
		var l auditLine
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

// What is done by no request is in the log, too, with whom it concerns; requests have the id that their answers have.
func TestAuditOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		file, of := tokens(t)
		m := healthy()
		s, _ := newServer(t, Config{Token: token, TokensFile: file, Audit: &log}, m)
		go s.watch(t.Context())
		header := bearer(of["controller"])
		header["Content-Type"] = typeSDP
		made := ask{method: "POST", path: "/whep/x11:0", header: header, body: "v=0"}.do(s.Handler())
		m.tell(session.EventRecord{Kind: "control_changed", Display: "x11:0", To: "s1", Reason: "input"})
		m.tell(session.EventRecord{Kind: "quality_changed", Session: "s1"})
		m.tell(session.EventRecord{Kind: "configuration", Reason: "applied"})
		time.Sleep(sweepEvery + time.Millisecond)
		if err := os.WriteFile(file, []byte("# nobody\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		m.tell(session.EventRecord{Kind: "session_ended", Session: "s1", Display: "x11:0", Reason: "revoked"})
		m.tell(session.EventRecord{Kind: "session_ended", Session: "s2", Display: "x11:0", Reason: "viewer_gone"})
		s.Note(Note{Event: "gateway_offer", Owner: session.Owner{Credential: session.CredentialGateway, Issuer: "g", Name: "ann"}, Role: "viewer", Made: "/whep/sessions/s3"})
		time.Sleep(sweepEvery)
		close(s.stopping)
		synctest.Wait()
		var got []string
		for line := range strings.Lines(log.String()) {
			var l auditLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if l.Method != "" && (l.Request == "" || l.Request != made.Header.Get("X-Request-Id")) {
				t.Errorf("request %q in the log, %q in the answer", l.Request, made.Header.Get("X-Request-Id"))
			}
			got = append(got, strings.Join([]string{l.Event, l.Credential, l.Issuer, l.Who, l.Role, l.Method, l.Object, l.Made, l.Reason}, " "))
		}
		want := []string{
			" token  my-controller controller POST x11:0 /whep/sessions/s1 ",
			"control_changed token  my-controller controller  x11:0 /whep/sessions/s1 input",
			"configuration        applied",
			"gateway_offer gateway g ann viewer   /whep/sessions/s3 ",
			"session_ended token  my-controller controller  x11:0 /whep/sessions/s1 revoked",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Why a line was not written is in the daemon's log.
func TestAuditErrorHasItsCause(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s, err := New(Config{Token: token, Audit: brokenWriter{}}, healthy(), reg, NewMetrics(reg), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ask{method: "DELETE", path: "/v1/sessions/s1", header: bearer(token)}.do(s.Handler())
	if _, cause := (brokenWriter{}).Write(nil); !strings.Contains(log.String(), cause.Error()) {
		t.Errorf("the log: %s", &log)
	}
}
