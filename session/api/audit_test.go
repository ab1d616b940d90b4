package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/audit"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/whep"

	"github.com/prometheus/client_golang/prometheus"
)

// A flood of requests, from unknown or known clients, leaves a few lines and one sum per second.
func TestAuditSumsUpFloods(t *testing.T) {
	for _, c := range []struct {
		who            string
		shown          map[string]string
		burst, further int // lines at the start, and in each second after it
		role           string
	}{
		{who: "strangers", burst: 100, further: 2},
		{who: "the operator", shown: bearer(token), burst: 1000, further: 20, role: "operator"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			s, _ := newServer(t, Config{Token: token, Audit: &log, Limits: edge.Limits{
				PerAddress: 100_000,
				InAll:      100_000, Attempts: 1,
			}}, healthy())
			// More than either burst. Thirty seconds took as long under the race detector.
			const each, seconds = 2000, 5
			for range seconds {
				for range each {
					_ = ask{
						method: "POST", path: "/v1/sessions/nope/keyframe", remote: "192.0.2.1:1",
						header: c.shown,
					}.do(s.handler)
				}
				time.Sleep(time.Second)
			}
			s.flushAudit(time.Now(), true)
			lines, sums, counted := 0, 0, 0
			for line := range strings.Lines(log.String()) {
				var l audit.Line
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

// Events without a request are in the log, too, with their principal. Requests have the ID that their answers have.
func TestAuditOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		file, of := tokens(t)
		m := healthy()
		s, _ := newServer(t, Config{Token: token, TokensFile: file, Audit: &log}, m)
		go s.watch(t.Context())
		header := bearer(of["controller"])
		header["Content-Type"] = whep.TypeSDP
		made := ask{method: "POST", path: "/whep/x11:0", header: header, body: "v=0"}.do(s.Handler())
		m.tell(session.EventRecord{Kind: "control_changed", Display: "x11:0", To: "s1", Reason: "input"})
		m.tell(session.EventRecord{Kind: "quality_changed", Session: "s1"})
		m.tell(session.EventRecord{Kind: "configuration", Reason: "applied"})
		time.Sleep(sweepInterval + time.Millisecond)
		if err := os.WriteFile(file, []byte("# nobody\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		m.tell(session.EventRecord{Kind: "session_ended", Session: "s1", Display: "x11:0", Reason: "revoked"})
		m.tell(session.EventRecord{Kind: "session_ended", Session: "s2", Display: "x11:0", Reason: "viewer_gone"})
		s.Note(Note{Event: "gateway_offer", Owner: session.Owner{
			Credential: session.CredentialGateway,
			Issuer:     "g", Name: "ann",
		}, Role: "viewer", Made: "/whep/sessions/s3"})
		time.Sleep(sweepInterval)
		close(s.stopping)
		synctest.Wait()
		var got []string
		for line := range strings.Lines(log.String()) {
			var l audit.Line
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if l.Method != "" && (l.Request == "" || l.Request != made.Header.Get("X-Request-Id")) {
				t.Errorf("request %q in the log, %q in the answer", l.Request, made.Header.Get("X-Request-Id"))
			}
			got = append(got, strings.Join([]string{
				l.Event, l.Credential, l.Issuer, l.Who, l.Role, l.Method,
				l.Object, l.Made, l.Reason,
			}, " "))
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

// The daemon's log has the error of a line that could not be written.
func TestAuditErrorHasItsCause(t *testing.T) {
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	s, err := New(Config{Token: token, Audit: brokenWriter{}}, healthy(), reg, NewMetrics(reg),
		slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ask{method: "DELETE", path: "/v1/sessions/s1", header: bearer(token)}.do(s.Handler())
	if _, cause := (brokenWriter{}).Write(nil); !strings.Contains(log.String(), cause.Error()) {
		t.Errorf("the log: %s", &log)
	}
}
