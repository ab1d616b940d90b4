package docs_test

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"wavryhost/session/api/problem"
)

// Each runbook has the same parts, so that somebody who was woken finds them.
func TestRunbooksHaveTheSameParts(t *testing.T) {
	found := 0
	for page, text := range documents(t) {
		if path.Dir(page) != "docs/operate/runbooks" {
			continue
		}
		found++
		for _, part := range []string{"**Symptom.**", "**First two minutes", "**Decide", "**Verify.**"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s has no part %q", page, part)
			}
		}
		if !strings.Contains(text, "**Act") && !strings.Contains(text, "**Decide and act") {
			t.Errorf("%s does not say what to do", page)
		}
	}
	if found < 15 {
		t.Errorf("%d runbooks", found)
	}
}

// Each error code has a heading in a runbook, and each such heading is a code.
func TestErrorCodesHaveRunbooks(t *testing.T) {
	headings := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^### ([a-z_]+)$`).
		FindAllStringSubmatch(documents(t)["docs/operate/runbooks/errors.md"], -1) {
		headings[m[1]] = true
	}
	for _, c := range problem.Codes() {
		if !headings[string(c)] {
			t.Errorf("the error code %s has no heading in docs/operate/runbooks/errors.md", c)
		}
		delete(headings, string(c))
	}
	for h := range headings {
		t.Errorf("docs/operate/runbooks/errors.md: %s is no error code", h)
	}
}
