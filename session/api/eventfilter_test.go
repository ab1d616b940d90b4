package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
)

// story is a list of events of two sessions, a reservation and the host.
func story() *fakeManager {
	m := healthy()
	cad := map[string]string{"team": "cad", "site": "b/2"}
	for _, e := range []session.EventRecord{
		{Kind: "session_created", Session: "s1", Display: "x11:0", Subject: "ann", ExternalID: "job-4", Labels: cad},
		{
			Kind: "session_created", Session: "s2", Display: "x11:1", Subject: "bob",
			Labels: map[string]string{"team": "web"},
		},
		{Kind: "reserved", Reservation: "r1", Display: "x11:1", Subject: "ann", Labels: cad},
		{Kind: "control_changed", Session: "s2", Display: "x11:1", From: "s1", To: "s2"},
		{Kind: "drain", Owner: "ann"},
		{Kind: "relay_down", Server: "turn:t.example"},
		{Kind: "session_ended", Session: "s1", Display: "x11:0", Subject: "ann", ExternalID: "job-4", Labels: cad},
	} {
		m.tell(e)
	}
	return m
}

func TestEventsAreFiltered(t *testing.T) {
	for query, want := range map[string]string{
		"":                                       "1 2 3 4 5 6 7",
		"kind=session_created":                   "1 2",
		"kind=session_created&kind=drain":        "1 2 5",
		"session=s1":                             "1 4 7",
		"session=s1&kind=session_ended":          "7",
		"display=x11:1":                          "2 3 4",
		"owner=ann":                              "1 3 7", // not the operator of the drain
		"external_id=job-4":                      "1 7",
		"label=team%3Dcad":                       "1 3 7",
		"label=team%3Dcad&label=site%3Db%2F2":    "1 3 7",
		"label=team%3Dcad&label=site%3Da":        "",
		"label=team%3Dweb&display=x11:1":         "2",
		"server=turn:t.example":                  "6",
		"owner=":                                 "4 5 6", // of nobody
		"kind=host_state":                        "",
		"session=s2&owner=bob&kind=session_move": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			m := story()
			s, _ := newServer(t, Config{}, m)
			ctx, cancel := context.WithCancel(t.Context())
			ln, ended := newPipes(), make(chan error, 1)
			go func() { ended <- s.serve(ctx, ln) }()
			f := follow(t, ln.client(t), "http://localhost/v1/events?after=0&"+query, "")
			synctest.Wait()
			var got []string
			last := ""
			for len(f.lines) > 0 {
				line := <-f.lines
				if id, ok := strings.CutPrefix(line, `data: {"id":`); ok {
					id, _, _ = strings.Cut(id, ",")
					got = append(got, id)
				}
				if id, ok := strings.CutPrefix(line, "id: "); ok {
					last = id
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: got the events %v; want %s", query, got, want)
			}
			// A client without the newest events still learns their number, at once or with the next comment.
			time.Sleep(keepAliveInterval + time.Second)
			for len(f.lines) > 0 {
				last = strings.TrimPrefix(<-f.lines, "id: ")
			}
			if last != "7" {
				t.Errorf("%s: the client would continue after %q; want 7", query, last)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// A client whose events are rare continues after the events that it did not get, however many they were.
func TestFilteredEventsAreResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := story()
		s, _ := newServer(t, Config{}, m)
		ctx, cancel := context.WithCancel(t.Context())
		ln, ended := newPipes(), make(chan error, 1)
		go func() { ended <- s.serve(ctx, ln) }()
		const url = "http://localhost/v1/events?kind=drained"
		f := follow(t, ln.client(t), url, "")
		f.expect(t, "id: 7")
		for range 3 {
			m.happen("quality_changed")
		}
		time.Sleep(keepAliveInterval + time.Second)
		f.expect(t, "id: 10")
		time.Sleep(10 * keepAliveInterval)
		if len(f.lines) > 0 {
			t.Errorf("nothing happens, and the client gets %q", <-f.lines)
		}
		f.end()
		m.happen("drained")
		m.happen("quality_changed")
		f = follow(t, ln.client(t), url, "10")
		f.expect(t, "id: 11", "event: drained", `data: {"id":11`, "id: 12")
		again := follow(t, ln.client(t), url, "4711") // of an earlier run
		again.expect(t, "event: gap", `data: {"after":4711,"next":1}`, "id: 11", "event: drained", "data: ", "id: 12")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestBadFiltersOfEvents(t *testing.T) {
	s, _ := newServer(t, Config{}, story())
	for query, detail := range map[string]string{
		"kind=session_begun":      "it must be one of session_created",
		"kind=":                   "it must be one of",
		"label=team":              "it must be of the form of team=cad",
		"owner=ann&owner=bob":     "owner appears twice",
		"subject=ann":             "this operation has after, kind, session",
		"kind=x&label=y&owners=z": "there is no parameter",
	} {
		got := decode(t, ask{method: "GET", path: "/v1/events?" + query}.do(s.Handler()), http.StatusBadRequest)
		if text := fmt.Sprint(got["errors"], got["detail"]); !strings.Contains(text, detail) {
			t.Errorf("%s: %s; want %q in it", query, text, detail)
		}
	}
	got := decode(t, ask{method: "GET", path: "/v1/sessions/s1/timeline?kind=session_ended"}.do(s.Handler()),
		http.StatusOK)
	if list, _ := got["events"].([]any); len(list) != 1 || got["complete"] != true {
		t.Errorf("the end alone is %v", got)
	}
}
