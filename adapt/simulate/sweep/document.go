package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// row is what a sweep found of a constant: the figures that leave their range with 30 % less and 30 % more, and the
// cases that they are of.
type row struct {
	less, more, pins string
}

// document is docs/develop/constants.md.
type document struct {
	cases   string
	figures int
	rows    map[string]row
}

// played finds the number of figures in the heading.
var played = regexp.MustCompile(`^These cases were played, with (\d+) figures:`)

// readDocument reads a document that was written before; it is empty where there is none.
func readDocument(name string) (*document, error) {
	d := document{rows: map[string]row{}}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if cases, ok := strings.CutPrefix(line, "> "); ok {
			d.cases = strings.TrimSpace(cases)
		}
		if found := played.FindStringSubmatch(line); found != nil {
			if d.figures, err = strconv.Atoi(found[1]); err != nil {
				return nil, fmt.Errorf("%s: number of figures: %w", name, err)
			}
		}
		cells := strings.Split(line, "|")
		if len(cells) != 8 || !strings.Contains(cells[1], "`") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		d.rows[strings.Trim(cells[1], "`")] = row{cells[4], cells[5], cells[6]}
	}
	return &d, nil
}

const heading = `# Constants

You want to change a constant of the controller, and to know what it may break. The constants, with what each of them
means, are in "adapt/tuning"; there are %d. "make sweep" generates this page.

Each constant was changed by 30 %% in both directions. A share above one half was changed by 30 %% of its distance from
1, and a small whole number by 1. The table counts the figures that then leave their range by more than a quarter of it
and 2 %%. The range is that of several seeds without a change. The last column has the cases that leave it furthest.
These cases were played, with %d figures:

> %s

A constant without such figures is not pinned by these cases. It is a definition, it belongs to what the simulator does
not have, or its value is not critical. Rows without figures were not played yet.
`

// write writes the document.
func (d *document) write(name string, t *table) error {
	var b strings.Builder
	fmt.Fprintf(&b, strings.ReplaceAll(heading, `"`, "`"), len(t.constants), d.figures, d.cases)
	group := ""
	for i := range t.constants {
		c := &t.constants[i]
		if c.group != group {
			group = c.group
			fmt.Fprintf(&b, "\n## %s\n\n| constant | value | unit and source | −30 %% | +30 %% | cases |\n", group)
			b.WriteString("| --- | --- | --- | --- | --- | --- |\n")
		}
		r := d.rows[c.name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", c.name, c.written(), c.source, r.less, r.more, r.pins)
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil { //nolint:gosec // a document
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}
