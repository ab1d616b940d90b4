package rival

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"wavryhost/adapt/simulate"
)

var (
	against = flag.Bool("against", false, "play every case with the rivals, and print their figures beside ours")
	only    = flag.String("cases", "", "play only the cases whose names this regular expression matches")
	seeds   = flag.Int("seeds", 8, "how many runs the figures are the medians of")
)

// pionPlays plays a case with pion's estimator, in a bubble of its own time.
func pionPlays(t *testing.T, c simulate.Case, seed uint64) *simulate.Result {
	t.Helper()
	var r *simulate.Result
	synctest.Test(t, func(t *testing.T) {
		var p Pion
		var err error
		if r, err = simulate.RunInStep(c, seed, p.New); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func find(t *testing.T, name string) simulate.Case {
	t.Helper()
	cases := simulate.Cases()
	i := slices.IndexFunc(cases, func(c simulate.Case) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no case %s", name)
	}
	return cases[i]
}

// The reason for an estimator of our own: after quiet minutes pion's sends many times what the link holds, in most
// runs.
func TestQuietScreensAreTheRivalsUndoing(t *testing.T) {
	c := find(t, "still")
	lost, own := 0.0, 0.0
	for seed := uint64(1); seed <= 3; seed++ {
		theirs := pionPlays(t, c, seed)
		ours, err := simulate.Run(c, seed, simulate.Own)
		if err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
		lost, own = max(lost, theirs.Flows[0].Loss(0, c.Length)), max(own, ours.Flows[0].Loss(0, c.Length))
	}
	t.Logf("pion loses %.1f %% in the worst run, adapt %.1f %%", 100*lost, 100*own)
	if lost < .2 || own > 0 {
		t.Errorf("pion loses %.1f %% of the packets, adapt %.1f %%; the figures known are 71 and 0", 100*lost, 100*own)
	}
}

// On phones that move half as much again arrives as by pion's estimator, in the mean over both: a single run of its
// own differs by a tenth with the same seed.
func TestPhonesGetMore(t *testing.T) {
	const runs = 3
	own, their := 0.0, 0.0
	for _, name := range []string{"cellular-1", "cellular-2"} {
		c := find(t, name)
		for seed := range uint64(runs) {
			theirs := pionPlays(t, c, seed+1)
			ours, err := simulate.Run(c, seed+1, simulate.Own)
			if err != nil {
				t.Fatal(err)
			}
			if t.Failed() {
				return
			}
			own += ours.Flows[0].Rate(5*time.Second, c.Length) / runs
			their += theirs.Flows[0].Rate(5*time.Second, c.Length) / runs
		}
	}
	t.Logf("adapt %.0f kbit/s, pion %.0f, the sum of both phones", own/1e3, their/1e3)
	if own < 1.5*their {
		t.Errorf("%.0f bit/s arrive on both phones together, %.0f by pion's estimator; want half as much again", own, their)
	}
}

// TestAgainst prints the comparison: go test -run TestAgainst -against ./adapt/simulate/rival.
func TestAgainst(t *testing.T) {
	cases := simulate.Cases()
	n := *seeds
	if !*against {
		cases, n = []simulate.Case{find(t, "step")}, 1
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(format string, cells ...any) {
		if !*against {
			return
		}
		if _, err := fmt.Fprintf(w, format, cells...); err != nil {
			t.Error(err)
		}
	}
	defer func() {
		if err := w.Flush(); err != nil {
			t.Error(err)
		}
	}()
	row("CASE\tFIGURE\tOURS\tGOOGCC\tSCREAM\tPION\tBOUND\n")
	wanted := regexp.MustCompile(*only)
	for _, c := range cases {
		if !wanted.MatchString(c.Name) || c.Nightly {
			continue
		}
		var columns [][]simulate.Verdict
		for _, one := range append([]Rival{{"ours", simulate.Own}}, StandIns()...) {
			verdicts, err := simulate.Evaluate(c, 1, n, one.New)
			if err != nil {
				t.Fatal(err)
			}
			columns = append(columns, verdicts)
		}
		var theirs []*simulate.Result
		for seed := range uint64(n) {
			if theirs = append(theirs, pionPlays(t, c, seed+1)); t.Failed() {
				return
			}
		}
		columns = append(columns, simulate.Judge(c, theirs))
		for i, v := range columns[0] {
			row("%s\t%s\t%.4v\t%.4v\t%.4v\t%.4v\t%s\n", c.Name, v.Name,
				v.Figure(), columns[1][i].Figure(), columns[2][i].Figure(), columns[3][i].Figure(), v.Bound())
			if pions := columns[3][i].Figure(); !*against && v.Name == "use" && pions < .3 {
				t.Errorf("pion uses %.2f of the link; it is known to use about .7: is it fed?", pions)
			}
		}
	}
}
