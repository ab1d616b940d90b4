package api

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wavryhost/session"
	"wavryhost/session/api/problem"
)

// document returns a page of docs/integrate.
func document(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/integrate/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The documents list every route, error code and kind of event, and no other.
func TestDocsMatchTheCode(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	var (
		route = regexp.MustCompile("(?m)^\\| `([A-Z]+) (/[^`]*)` \\| (open|token) \\| ([0-9, ]+) \\|")
		code  = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([0-9]{3}) \\| (.*) \\|")
		kind  = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	)

	var want []string
	for _, rt := range s.routes(nil) {
		access := "token"
		if rt.Open {
			access = "open"
		}
		var statuses []string
		for _, a := range rt.Answers {
			if text := strconv.Itoa(a.Status); !slices.Contains(statuses, text) {
				statuses = append(statuses, text)
			}
		}
		path := strings.TrimSuffix(rt.Path, "{$}")
		want = append(want, fmt.Sprintf("%s %s %s %s", rt.Method, path, access, strings.Join(statuses, ", ")))
	}
	var got []string
	for _, m := range route.FindAllStringSubmatch(document(t, "api.md"), -1) {
		got = append(got, strings.Join(m[1:], " "))
	}
	compare(t, "routes", got, want)

	want = nil
	for _, c := range problem.Codes() {
		want = append(want, fmt.Sprintf("%s %d %s", c, c.Status(), c.Meaning()))
	}
	got = nil
	for _, m := range code.FindAllStringSubmatch(document(t, "errors.md"), -1) {
		got = append(got, strings.Join(m[1:], " "))
	}
	compare(t, "error codes", got, want)

	want, got = nil, nil
	for _, k := range session.EventKinds() {
		want = append(want, k.String())
	}
	for _, m := range kind.FindAllStringSubmatch(document(t, "events.md"), -1) {
		got = append(got, m[1])
	}
	compare(t, "kinds of events", got, want)
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s in docs/integrate:\ngot\n  %s\nwant\n  %s",
			what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// The curl examples name paths and methods that exist.
func TestDocsExamplesExist(t *testing.T) {
	var pages string
	for _, name := range []string{"api.md", "whep.md", "events.md"} {
		pages += document(t, name)
	}
	s, _ := newServer(t, Config{}, healthy())
	examples := regexp.MustCompile(`(?m)^curl ((?:[^\n]|\\\n)*?)\$HOST(/[^ "\n]*)`).FindAllStringSubmatch(pages, -1)
	if len(examples) < 8 {
		t.Errorf("only %d examples", len(examples))
	}
	for _, e := range examples {
		method := http.MethodGet
		if m := regexp.MustCompile(`-X ([A-Z]+)`).FindStringSubmatch(e[1]); m != nil {
			method = m[1]
		}
		if method == http.MethodGet {
			method = http.MethodHead // a stream of events has no end
		}
		resp := ask{method: method, path: strings.ReplaceAll(e[2], "$ID", "s1")}.do(s.Handler())
		if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
			t.Errorf("curl %s$HOST%s: %d", e[1], e[2], resp.StatusCode)
		}
	}
}
