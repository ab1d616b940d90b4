package simulate

import (
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

var writeTables = flag.Bool("tables", false, "write the figures of this law into docs/develop/adaptation.md")

// document has the tables of figures. Above each is a mark with the fingerprint of the law that it is of.
const document = "../../docs/develop/adaptation.md"

var marks = regexp.MustCompile(`<!-- figures of (\w+): law (\w+) -->`)

// fingerprint names the behavior of the law: a hash of what it decides in a few cases that lead it through its modes.
// Another order of the same decisions in the source changes nothing.
func fingerprint(t *testing.T) string {
	t.Helper()
	h := fnv.New64a()
	for _, c := range Cases() {
		switch c.Name {
		case "step", "5.1", "policer", "random-5", "halved", "reports-quarter", "5.6-300":
		default:
			continue
		}
		r, err := Run(c, 1, Own)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Flows {
			for _, x := range f.Targets {
				_, _ = fmt.Fprintln(h, x.At, x.Target, x.Estimate, x.FPS, x.State, x.Reason) // it never fails
			}
		}
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// TestTablesAreOfThisLaw fails where the figures in the document are of another law than the code's.
func TestTablesAreOfThisLaw(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the fingerprint is that of amd64; other processors round in another order")
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	law := fingerprint(t)
	found := marks.FindAllStringSubmatch(string(text), -1)
	if len(found) != 2 {
		t.Fatalf("%s has %d marks; want one above the rivals' table and one above that of unseen links",
			document, len(found))
	}
	for _, m := range found {
		if m[2] != law {
			t.Errorf("the figures of %s in %s are of the law %s, and the code's is %s: run make tables",
				m[1], document, m[2], law)
		}
	}
}

// rewrite replaces the lines of a table, up to the end of it, by what change makes of them, and marks it as of this
// law. The table begins after the mark.
func rewrite(t *testing.T, name, end string, change func(lines []string) []string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	begin, rest, ok := strings.Cut(string(text), "<!-- figures of "+name+": law ")
	if !ok {
		t.Fatalf("%s has no mark for %s", document, name)
	}
	_, rest, _ = strings.Cut(rest, "\n")
	table, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("the table of %s does not end with %q", name, end)
	}
	lines := change(strings.Split(table, "\n"))
	out := begin + "<!-- figures of " + name + ": law " + fingerprint(t) + " -->\n" + strings.Join(lines,
		"\n") + end + after
	if err := os.WriteFile(document, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWriteOurColumn writes our figures into the table of rivals, whose figures do not depend on the law.
func TestWriteOurColumn(t *testing.T) {
	if !*writeTables {
		t.Skip("it writes with -tables")
	}
	figures := map[string]Verdict{}
	for _, c := range Cases() {
		if c.Nightly {
			continue
		}
		verdicts, err := Evaluate(c, 1, 3, Own)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range verdicts {
			figures[c.Name+" "+v.Name] = v
		}
	}
	rewrite(t, "rivals", "\n```\n\n![", func(lines []string) []string { return ourColumn(t, lines, figures) })
}

// ourColumn replaces the column OURS and the bounds of a table.
func ourColumn(t *testing.T, lines []string, figures map[string]Verdict) []string {
	t.Helper()
	var figure, ours, next, bound int
	var kept []string
	for _, line := range lines {
		if strings.HasPrefix(line, "CASE") {
			figure, ours = strings.Index(line, "FIGURE"), strings.Index(line, "OURS")
			next, bound = strings.Index(line, "GOOGCC"), strings.Index(line, "BOUND")
		}
		if bound == 0 || strings.HasPrefix(line, "CASE") || len(line) < bound {
			kept = append(kept, line)
			continue
		}
		name := strings.TrimSpace(line[:figure]) + " " + strings.TrimSpace(line[figure:ours])
		v, ok := figures[name]
		if !ok {
			t.Logf("no case has the figure %q: its line goes", name)
			continue
		}
		kept = append(kept, fmt.Sprintf("%s%-*.4v%s%s", line[:ours], next-ours, v.Figure(), line[next:bound],
			v.Bound()))
	}
	return kept
}

func TestOurColumn(t *testing.T) {
	table := []string{
		"```",
		"CASE  FIGURE   OURS    GOOGCC  BOUND",
		"one   q95 ms   0.5     7       ≤ 3",
		"gone  q95 ms   0.5     7       ≤ 3",
	}
	v := Verdict{Gate: most("q95 ms", 4, nil), Median: 2.25}
	got := ourColumn(t, table, map[string]Verdict{"one q95 ms": v})
	want := "one   q95 ms   2.25    7       ≤ 4"
	if len(got) != 3 || got[2] != want {
		t.Errorf("the table becomes %q; want its last line to be %q", got, want)
	}
}

// tableCell is a figure as the table of unseen links has it: the median and, in brackets, the worst run; bold where it
// misses what is wanted.
func tableCell(v *Verdict) string {
	number := func(x float64) string {
		switch {
		case x >= 10:
			return fmt.Sprintf("%.0f", x)
		case strings.Contains(v.Name, "loss") || x == 0:
			return fmt.Sprintf("%.2g", x)
		default:
			return fmt.Sprintf("%.2f", x)
		}
	}
	cell := fmt.Sprintf("%s %s (%s)", v.Name, number(v.Median), number(v.Worst))
	if !v.OK {
		cell = "**" + cell + "**"
	}
	return cell
}
