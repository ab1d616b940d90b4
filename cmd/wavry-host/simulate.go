package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"wavryhost/adapt/simulate"
	"wavryhost/adapt/simulate/rival"
)

// simulateCmd is "wavry-host simulate".
type simulateCmd struct {
	Case  string `arg:"" default:"list" help:"Name of a case, all, nightly for all and the long grids, or list."`
	Seeds int    `default:"8" help:"Number of runs. Figures are medians, or the worst run if named worst."`
	From  string `default:"1" placeholder:"SEED" help:"First seed, or random. The seeds are printed."`
	Trace string `placeholder:"FILE" help:"Run the case over this Mahimahi trace, without judging."` //nolint:lll // a struct tag is one line
	SVG   string `name:"svg" placeholder:"DIR" help:"Draw the first run of each case into this directory."`
	JSON  bool   `name:"json" help:"Print JSON."`

	Against string `enum:",pion,googcc,scream,all" default:"" placeholder:"RIVAL" help:"Run the cases with a rival too: pion, googcc, scream or all. pion runs in real time."` //nolint:lll // a struct tag is one line
}

// figure is one line of the table.
type figure struct {
	Case  string  `json:"case"`
	Name  string  `json:"figure"`
	Value float64 `json:"value"` // the median of the seeds, or the worst of them
	Bound string  `json:"bound,omitempty"`
	OK    bool    `json:"ok"`
	// Worst is the worst of the runs, nil if a run cannot give the figure, and Seed its seed.
	Worst *float64 `json:"worst,omitempty"`
	Seed  uint64   `json:"seed"`
	// Against has the figures of rivals by their names, without the missing ones.
	Against map[string]float64 `json:"against,omitempty"`
}

// errGates is returned when a figure is out of bounds.
var errGates = errors.New("some figures are out of bounds")

// Run is called by kong.
func (c *simulateCmd) Run(a *app) error {
	if c.Seeds < 1 || c.Seeds > 1000 {
		return &coded{exitUsage, fmt.Errorf("--seeds is %d; it must be between 1 and 1000", c.Seeds)}
	}
	cases := simulate.Cases()
	if c.Case == "list" {
		w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		for _, s := range cases {
			say(w, "%s\t%s\n", s.Name, s.About)
		}
		return w.Flush()
	}
	first, err := c.first()
	if err != nil {
		return err
	}
	switch c.Case {
	case "nightly":
	case "all":
		cases = slices.DeleteFunc(cases, func(s simulate.Case) bool { return s.Nightly })
	default:
		cases = slices.DeleteFunc(cases, func(s simulate.Case) bool { return s.Name != c.Case })
		if len(cases) == 0 {
			return &coded{exitUsage, fmt.Errorf("no case is named %q; wavry-host simulate list shows them", c.Case)}
		}
	}
	if c.Trace != "" {
		if err := c.trace(cases); err != nil {
			return err
		}
	}
	if c.SVG != "" {
		if err := os.MkdirAll(c.SVG, 0o755); err != nil {
			return fmt.Errorf("make the directory for drawings: %w", err)
		}
	}
	rivals, err := c.rivals(a, cases, first)
	if err != nil {
		return err
	}
	var figures []figure
	failed := false
	for i, s := range cases {
		if len(cases) > 1 {
			say(a.stderr, "\r%d of %d: %-20s", i+1, len(cases), s.Name)
		}
		verdicts, err := simulate.Evaluate(s, first, c.Seeds, simulate.Own)
		if err != nil {
			return err
		}
		for k, v := range verdicts {
			f := figure{Case: s.Name, Name: v.Name, Value: v.Figure(), OK: v.OK, Seed: first + uint64(v.WorstRun)}
			if !math.IsInf(v.Worst, 0) {
				f.Worst = &v.Worst
			}
			if math.IsInf(f.Value, 0) { // JSON has none
				f.Value = math.MaxFloat64 * math.Copysign(1, f.Value)
			}
			if c.Trace == "" {
				f.Bound = v.Bound()
				failed = failed || !v.OK
			}
			for name, theirs := range rivals {
				if x := theirs[i][k].Figure(); !math.IsInf(x, 0) {
					if f.Against == nil {
						f.Against = map[string]float64{}
					}
					f.Against[name] = x
				}
			}
			figures = append(figures, f)
		}
		if err := c.draw(s); err != nil {
			return err
		}
	}
	if len(cases) > 1 {
		say(a.stderr, "\r%40s\r", "")
	}
	say(a.stderr, "seeds %d to %d\n", first, first+uint64(c.Seeds)-1)
	if err := c.print(a, figures); err != nil {
		return err
	}
	if failed {
		return errGates
	}
	return nil
}

// first returns the first seed.
func (c *simulateCmd) first() (uint64, error) {
	if c.From == "random" {
		return uint64(rand.Uint32()), nil
	}
	n, err := strconv.ParseUint(c.From, 10, 63)
	if err != nil {
		return 0, &coded{exitUsage, fmt.Errorf("--from is %q; it is a seed, or random", c.From)}
	}
	return n, nil
}

// rivals returns the verdicts on the cases with each requested rival, by its name.
func (c *simulateCmd) rivals(a *app, cases []simulate.Case, first uint64) (map[string][][]simulate.Verdict, error) {
	found := map[string][][]simulate.Verdict{}
	for _, r := range rival.StandIns() {
		if c.Against != r.Name && c.Against != "all" {
			continue
		}
		for _, s := range cases {
			say(a.stderr, "\r%s: %-20s", r.Name, s.Name)
			verdicts, err := simulate.Evaluate(s, first, c.Seeds, r.New)
			if err != nil {
				return nil, err
			}
			found[r.Name] = append(found[r.Name], verdicts)
		}
	}
	if c.Against == pionName || c.Against == "all" {
		verdicts, err := c.pion(a, cases)
		if err != nil {
			return nil, err
		}
		found[pionName] = verdicts
	}
	return found, nil
}

// pionName requests pion's estimator.
const pionName = "pion"

// pion plays the cases with pion's estimator, all at once and in step with the clock, one run each.
func (c *simulateCmd) pion(a *app, cases []simulate.Case) ([][]simulate.Verdict, error) {
	var longest time.Duration
	for _, s := range cases {
		longest = max(longest, s.Length)
	}
	verdicts, errs := make([][]simulate.Verdict, len(cases)), make([]error, len(cases))
	var wg sync.WaitGroup
	for i, s := range cases {
		wg.Go(func() {
			var pion rival.Pion
			r, err := simulate.RunInStep(s, 1, pion.New)
			if errs[i] = errors.Join(err, pion.Close()); errs[i] == nil {
				verdicts[i] = simulate.Judge(s, []*simulate.Result{r})
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	begun := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			say(a.stderr, "\r%60s\r", "")
			return verdicts, errors.Join(errs...)
		case <-tick.C:
			say(a.stderr, "\rpion's estimator, in real time: %.0f of %.0f s", time.Since(begun).Seconds(), longest.Seconds())
		}
	}
}

// trace replaces the first link of the cases by the trace.
func (c *simulateCmd) trace(cases []simulate.Case) error {
	f, err := os.Open(c.Trace)
	if err != nil {
		return fmt.Errorf("open the trace: %w", err)
	}
	defer func() { _ = f.Close() }() // the file was only read
	capacity, err := simulate.ReadMahimahi(f, time.Hour)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Trace, err)
	}
	for i := range cases {
		cases[i].Links = slices.Clone(cases[i].Links)
		cases[i].Links[0].QueueBytes = cases[i].Links[0].Room() // a trace has no highest capacity to measure a queue by
		cases[i].Links[0].Capacity = capacity
	}
	return nil
}

func (c *simulateCmd) draw(s simulate.Case) error {
	if c.SVG == "" {
		return nil
	}
	r, err := simulate.Run(s, 1, simulate.Own)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(c.SVG, s.Name+".svg"))
	if err != nil {
		return fmt.Errorf("draw case %s: %w", s.Name, err)
	}
	return errors.Join(r.DrawSVG(f), f.Close())
}

func (c *simulateCmd) print(a *app, figures []figure) error {
	if c.JSON {
		return writeJSON(a.stdout, figures)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	var names []string
	for _, name := range []string{"googcc", "scream", pionName} {
		if c.Against == name || c.Against == "all" {
			names = append(names, name)
		}
	}
	say(w, "CASE\tFIGURE\tVALUE\tWORST\t")
	for _, name := range names {
		say(w, "%s\t", strings.ToUpper(name))
	}
	say(w, "BOUND\t\n")
	number := func(x float64, ok bool) string {
		if !ok {
			return "-"
		}
		return fmt.Sprintf("%.4g", x)
	}
	for _, f := range figures {
		worst := "-"
		if f.Worst != nil {
			worst = number(*f.Worst, true)
		}
		value := number(f.Value, math.Abs(f.Value) != math.MaxFloat64)
		say(w, "%s\t%s\t%s\t%s\t", f.Case, f.Name, value, worst)
		for _, name := range names {
			x, ok := f.Against[name]
			say(w, "%s\t", number(x, ok))
		}
		mark := ""
		if f.Bound != "" && !f.OK {
			mark = fmt.Sprintf("OUT OF BOUNDS, worst with seed %d", f.Seed)
		}
		say(w, "%s\t%s\n", f.Bound, mark)
	}
	return w.Flush()
}
