package api

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"wavryhost/session"
	"wavryhost/session/api/problem"
)

// wordsContract has what clients decide by: error codes and events.
const wordsContract = "../../testdata/contracts/words.json"

// contractWords are error codes with their status, and the kinds of events with their fields and reasons.
type contractWords struct {
	Errors map[string]int           `json:"errors"`
	Events map[string]contractEvent `json:"events"`
}

type contractEvent struct {
	Required []string `json:"required,omitempty"`
	Optional []string `json:"optional,omitempty"`
	Reasons  []string `json:"reasons,omitempty"`
}

// wordsNow are the words of this program, as they read from a file.
func wordsNow(t *testing.T) contractWords {
	t.Helper()
	now := contractWords{map[string]int{}, map[string]contractEvent{}}
	for _, c := range problem.Codes() {
		now.Errors[string(c)] = c.Status()
	}
	for kind, s := range session.EventShapes() {
		e := contractEvent{slices.Clone(s.Required), slices.Clone(s.Optional), slices.Clone(s.Reasons)}
		for _, list := range [][]string{e.Required, e.Optional, e.Reasons} {
			slices.Sort(list)
		}
		now.Events[kind.String()] = e
	}
	text, err := json.Marshal(now)
	if err == nil {
		now = contractWords{}
		err = json.Unmarshal(text, &now)
	}
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// TestWordsContract compares error codes and events with the recorded ones. What was added is recorded by make
// generate.
func TestWordsContract(t *testing.T) {
	now := wordsNow(t)
	var recorded contractWords
	text, err := os.ReadFile(wordsContract)
	if err == nil {
		err = json.Unmarshal(text, &recorded)
	}
	if err != nil && !*accept {
		t.Fatal(err)
	}
	found := wordsBreaks(recorded, now)
	switch {
	case len(found) > 0 && !*accept:
		t.Fatalf("%s\n%s", strings.Join(found, "\n"),
			strings.Replace(howToAccept, "TestDocumentIsCompatible", "TestWordsContract", 1))
	case *accept || *update:
		text, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		// Everybody may read it.
		if err := os.WriteFile(wordsContract, append(text, '\n'), 0o644); err != nil { //nolint:gosec // clients read it
			t.Fatal(err)
		}
	case !reflect.DeepEqual(recorded, now):
		t.Errorf("there are words that %s lacks: run make generate", wordsContract)
	}
}

// wordsBreaks returns what clients cannot rely on any more.
func wordsBreaks(before, now contractWords) []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for code, status := range before.Errors {
		if now.Errors[code] != status {
			add("the error %s has the status %d, not %d", code, now.Errors[code], status)
		}
	}
	for kind, old := range before.Events {
		e, ok := now.Events[kind]
		if !ok {
			add("the event %s is gone", kind)
			continue
		}
		for _, field := range old.Required {
			if !slices.Contains(e.Required, field) {
				add("events %s need not have %s any more", kind, field)
			}
		}
		for _, field := range old.Optional {
			if !slices.Contains(e.Optional, field) && !slices.Contains(e.Required, field) {
				add("events %s have no %s any more", kind, field)
			}
		}
		for _, reason := range old.Reasons {
			if !slices.Contains(e.Reasons, reason) {
				add("events %s have no reason %s any more", kind, reason)
			}
		}
	}
	slices.Sort(found)
	return found
}

// The comparison finds every kind of change that breaks clients, and lets additions pass.
func TestWordsContractBreaks(t *testing.T) {
	change := func(kind string, f func(*contractEvent)) func(*contractWords) {
		return func(c *contractWords) {
			e := c.Events[kind]
			f(&e)
			c.Events[kind] = e
		}
	}
	for want, f := range map[string]func(*contractWords){
		"the error full has the status 0, not 503": func(c *contractWords) {
			c.Errors["no_room"] = c.Errors["full"]
			delete(c.Errors, "full")
		},
		"the error full has the status 429, not 503": func(c *contractWords) { c.Errors["full"] = 429 },
		"the event drained is gone": func(c *contractWords) {
			c.Events["emptied"] = c.Events["drained"]
			delete(c.Events, "drained")
		},
		"events relay_up need not have server any more": change("relay_up", func(e *contractEvent) {
			e.Required, e.Optional = nil, []string{"server"}
		}),
		"events cordon have no owner any more": change("cordon",
			func(e *contractEvent) { e.Optional = []string{"note"} }),
		"events uncordon have no reason expired any more": change("uncordon", func(e *contractEvent) {
			e.Reasons = []string{"requested", "late"}
		}),
		"": func(c *contractWords) {
			c.Errors["more"], c.Events["more"] = 400, contractEvent{}
			change("cordon", func(e *contractEvent) { e.Optional = append(e.Optional, "more") })(c)
			change("cordon", func(e *contractEvent) { e.Required, e.Optional = []string{"owner"}, []string{"note"} })(c)
			change("uncordon", func(e *contractEvent) { e.Reasons = append(e.Reasons, "more") })(c)
		},
	} {
		before, now := wordsNow(t), wordsNow(t)
		f(&now)
		got := wordsBreaks(before, now)
		if want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}
