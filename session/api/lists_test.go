package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/problem"
)

// crowded is a host with ten sessions: s0 to s9, of which each third is of ann.
func crowded() *fakeManager {
	m := healthy()
	first := m.list[0]
	m.list = nil
	for i := range 10 {
		one := first
		one.ID, one.Created = fmt.Sprintf("s%d", i), time.Unix(int64(i), 0)
		one.Subject = []string{"ann", "bob", "eve"}[i%3]
		one.Labels = map[string]string{"team": []string{"cad", "web"}[i%2]}
		m.list = append(m.list, one)
	}
	m.list[4].ExternalID, m.list[5].Display, m.list[6].State = "job-4", "synthetic", "disconnected"
	return m
}

// ids returns the IDs of a page of sessions, and the token of the next page.
func ids(t *testing.T, h http.Handler, query string) (list []string, next string) {
	t.Helper()
	page := decode(t, ask{method: "GET", path: "/v1/sessions" + query}.do(h), http.StatusOK)
	for _, one := range page["sessions"].([]any) {
		list = append(list, one.(map[string]any)["id"].(string))
	}
	next, _ = page["next_page_token"].(string)
	return list, next
}

func TestListsAreFiltered(t *testing.T) {
	s, _ := newServer(t, Config{}, crowded())
	for query, want := range map[string]string{
		"":                          "s0 s1 s2 s3 s4 s5 s6 s7 s8 s9",
		"?owner=ann":                "s0 s3 s6 s9",
		"?owner=ann&label=team=cad": "s0 s6",
		"?label=team=cad&label=x=y": "",
		"?display=synthetic":        "s5",
		"?state=disconnected":       "s6",
		"?external_id=job-4":        "s4",
		"?owner=nobody":             "",
	} {
		if got, next := ids(t, s.Handler(), query); strings.Join(got, " ") != want || next != "" {
			t.Errorf("%s: %v, %q; want %s", query, got, next, want)
		}
	}
	for _, query := range []string{
		"?oner=ann", "?page_size=0", "?page_size=1001", "?page_size=x", "?page_token=%21", "?label=team", "?owner=a&owner=b",
		"?page_token=", "?a=%zz", "?fields=id,nothing", "?fields=", "?fields=id,", "?page_size=1.5", "?page_size=-1",
	} {
		for _, list := range []string{"/v1/sessions", "/v1/reservations"} {
			if got := refusal(t, ask{method: "GET", path: list + query}.do(s.Handler())); got != problem.BadRequest {
				t.Errorf("%s%s: %s", list, query, got)
			}
		}
	}
	asleep := ask{method: "GET", path: "/v1/sessions?state=asleep"}
	if got := refusal(t, asleep.do(s.Handler())); got != problem.BadRequest {
		t.Errorf("a state that does not exist: %s", got)
	}
}

// Pages have every session once, although sessions end between them.
func TestListsHavePages(t *testing.T) {
	m := crowded()
	s, _ := newServer(t, Config{}, m)
	var all []string
	token := ""
	for {
		query := "?page_size=3"
		if token != "" {
			query += "&page_token=" + url.QueryEscape(token)
		}
		page, next := ids(t, s.Handler(), query)
		all = append(all, page...)
		if next == "" {
			break
		}
		token = next
		m.list = slices.DeleteFunc(m.list, func(one session.Snapshot) bool { return one.ID == page[0] })
	}
	if got := strings.Join(all, " "); got != "s0 s1 s2 s3 s4 s5 s6 s7 s8 s9" {
		t.Errorf("the pages have %s", got)
	}
}

func TestListsSelectFields(t *testing.T) {
	s, _ := newServer(t, Config{}, crowded())
	r := ask{method: "GET", path: "/v1/sessions?owner=eve&page_size=1&fields=state,labels"}.do(s.Handler())
	if want := `"sessions":[{"id":"s2","labels":{"team":"cad"},"state":"connected"}]`; !strings.Contains(r.body, want) {
		t.Errorf("got %s; want %s", r.body, want)
	}
}

// A client that has the current list gets 304.
func TestListsHaveETags(t *testing.T) {
	m := crowded()
	s, _ := newServer(t, Config{}, m)
	for _, path := range []string{"/v1/sessions", "/v1/reservations", "/v1/displays"} {
		tag := ask{method: "GET", path: path}.do(s.Handler()).Header.Get("ETag")
		for known, want := range map[string]int{
			tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, `"x"`: 200, "": 200,
		} {
			r := ask{method: "GET", path: path, header: map[string]string{"If-None-Match": known}}.do(s.Handler())
			if r.StatusCode != want || r.Header.Get("ETag") != tag {
				t.Errorf("%s with %s: %d, %s", path, known, r.StatusCode, r.Header.Get("ETag"))
			}
		}
	}
	before := ask{method: "GET", path: "/v1/sessions"}.do(s.Handler()).Header.Get("ETag")
	m.list[0].State = "disconnected"
	if after := (ask{method: "GET", path: "/v1/sessions"}).do(s.Handler()).Header.Get("ETag"); after == before {
		t.Error("a change does not change the tag")
	}
}

// External IDs and labels reach the session, and an audit record names them.
func TestLabelsOfSessions(t *testing.T) {
	m := healthy()
	var trail strings.Builder
	s, _ := newServer(t, Config{Audit: &trail}, m)
	body := `{"external_id": "job-4", "labels": {"team": "cad"}%s}`
	decode(t, ask{
		method: "POST", path: "/v1/sessions", header: typed(), body: fmt.Sprintf(body, `, "sdp": "v=0"`),
	}.do(s.Handler()), http.StatusCreated)
	decode(t, ask{
		method: "POST", path: "/v1/reservations", header: typed(), body: fmt.Sprintf(body, ""),
	}.do(s.Handler()), http.StatusCreated)
	labels, err := admission.ParseLabels(map[string]string{"team": "cad"})
	if err != nil {
		t.Fatal(err)
	}
	if o := m.offers[0]; o.ExternalID != "job-4" || o.Labels != labels {
		t.Errorf("the offer is %+v", o)
	}
	if q := m.asked[0]; q.ExternalID != "job-4" || q.Labels != labels {
		t.Errorf("the reservation is asked for with %+v", q)
	}
	if n := strings.Count(trail.String(), `"object":"external_id job-4, label team=cad"`); n != 2 {
		t.Errorf("ID and label are in %d audit records: %s", n, trail.String())
	}
	d := problemOf(t, ask{
		method: "POST", path: "/v1/reservations", header: typed(), body: `{"labels": {"a b": "c"}}`,
	}.do(s.Handler()))
	if len(d.Errors) != 1 || d.Errors[0].Pointer != "#/labels" {
		t.Errorf("bad labels: %+v", d)
	}
}
