package docs_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	incidentFolder = "docs/operate/incidents/"
	actionHead     = "| action | kind | owner | due | state |"
)

// actionFaults returns what is wrong with the actions of an incident.
func actionFaults(text string) (faults []string) {
	_, table, ok := strings.Cut(text, actionHead+"\n")
	if !ok {
		return []string{"it has no table of actions with the head " + actionHead}
	}
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) < 2 {
			break // the table ends
		}
		if strings.HasPrefix(strings.TrimSpace(cells[0]), "---") {
			continue
		}
		rows++
		if len(cells) != 5 {
			faults = append(faults, fmt.Sprintf("action %d has %d cells; want 5", rows, len(cells)))
			continue
		}
		owner, due, state := strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3]), strings.TrimSpace(cells[4])
		_, err := time.Parse(time.DateOnly, due)
		switch {
		case state != "open" && state != "done":
			faults = append(faults, fmt.Sprintf("action %d is %q; want open or done", rows, state))
		case state == "open" && owner == "":
			faults = append(faults, fmt.Sprintf("action %d is open and has no owner", rows))
		case state == "open" && err != nil:
			faults = append(faults, fmt.Sprintf("action %d is open and due on %q; want a date such as 2026-12-31", rows, due))
		}
	}
	if rows == 0 {
		faults = append(faults, "it has no action")
	}
	return faults
}

var incidentName = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}-[a-z0-9-]+\.md$`)

// Each open action of an incident has an owner and a date.
func TestActionsOfIncidentsHaveOwnersAndDates(t *testing.T) {
	found := false
	for page, text := range documents(t) {
		name, ok := strings.CutPrefix(page, incidentFolder)
		if !ok {
			continue
		}
		found = true
		if name != "template.md" && !incidentName.MatchString(name) {
			t.Errorf("%s: the name is not YYYY-MM-DD-name.md", page)
		}
		for _, fault := range actionFaults(text) {
			t.Errorf("%s: %s", page, fault)
		}
	}
	if !found {
		t.Error("there is no template")
	}
}

func TestFaultsOfActions(t *testing.T) {
	for row, want := range map[string]string{
		"| a | prevent | ann | 2026-12-31 | open |": "",
		"| a | prevent |  |  | done |":              "",
		"| a | prevent |  | 2026-12-31 | open |":    "no owner",
		"| a | prevent | ann | soon | open |":       `due on "soon"`,
		"| a | prevent | ann | 2026-12-31 | |":      "want open or done",
		"| a | ann | open |":                        "3 cells",
		"":                                          "no action",
	} {
		got := strings.Join(actionFaults(actionHead+"\n| --- | --- | --- | --- | --- |\n"+row+"\n"), "; ")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q; want %q", row, got, want)
		}
	}
	if len(actionFaults("# An incident\n")) == 0 {
		t.Error("an incident without actions passes")
	}
}
