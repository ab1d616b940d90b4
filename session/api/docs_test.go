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
)

// docs/integrate/api.md names every route and every error code, and no other.
func TestDocsMatchTheCode(t *testing.T) {
	b, err := os.ReadFile("../../docs/integrate/api.md")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newServer(t, Config{}, healthy())

	var want []string
	for _, rt := range s.routes() {
		access := "token"
		if rt.open {
			access = "open"
		}
		var statuses []string
		for _, a := range rt.about.answers {
			if text := strconv.Itoa(a.status); !slices.Contains(statuses, text) {
				statuses = append(statuses, text)
			}
		}
		want = append(want, fmt.Sprintf("%s %s %s %s", rt.method, strings.TrimSuffix(rt.path, "{$}"), access, strings.Join(statuses, ", ")))
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+) (/[^`]*)` \\| (open|token) \\| ([0-9, ]+) \\|").FindAllStringSubmatch(string(b), -1) {
		got = append(got, strings.Join(m[1:], " "))
	}
	compare(t, "routes", got, want)

	want = nil
	for code, status := range statuses() {
		want = append(want, fmt.Sprintf("%s %d %s", code, status, meanings()[code]))
	}
	got = nil
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([0-9]{3}) \\| (.*) \\|").FindAllStringSubmatch(string(b), -1) {
		got = append(got, strings.Join(m[1:], " "))
	}
	compare(t, "error codes", got, want)

	want, got = nil, nil
	for _, k := range session.EventKinds() {
		want = append(want, k.String())
	}
	_, kinds, _ := strings.Cut(string(b), "\nKinds: ")
	kinds, _, _ = strings.Cut(kinds, ". A client")
	kinds = regexp.MustCompile(`\([^()]*(\([^()]*\)[^()]*)*\)`).ReplaceAllString(kinds, "") // what they mean
	for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(kinds, -1) {
		got = append(got, m[1])
	}
	compare(t, "kinds of events", got, want)
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s in docs/integrate/api.md:\ngot\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// The curl examples name paths and methods that exist.
func TestDocsExamplesExist(t *testing.T) {
	b, err := os.ReadFile("../../docs/integrate/api.md")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newServer(t, Config{}, healthy())
	examples := regexp.MustCompile(`(?m)^curl (.*?)\$HOST(/[^ "\n]*)`).FindAllStringSubmatch(string(b), -1)
	if len(examples) < 8 {
		t.Errorf("only %d examples", len(examples))
	}
	for _, e := range examples {
		method := http.MethodGet
		if m := regexp.MustCompile(`-X ([A-Z]+)`).FindStringSubmatch(e[1]); m != nil {
			method = m[1]
		}
		resp := ask{method: method, path: strings.ReplaceAll(e[2], "$ID", "s1")}.do(s.Handler())
		if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
			t.Errorf("curl %s$HOST%s: %d", e[1], e[2], resp.StatusCode)
		}
	}
}
