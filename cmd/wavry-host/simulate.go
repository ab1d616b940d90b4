package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"wavryhost/adapt/simulate"
	"wavryhost/adapt/simulate/rival"
)

// simulateCmd is "wavry-host simulate".
type simulateCmd struct {
	Case  string `arg:"" default:"list" help:"Name of a case, all, or list for a list of cases."`
	Seeds int    `default:"8" help:"Number of runs. Figures are medians, or the worst run if named worst."`
	Trace string `placeholder:"FILE" help:"Run the case over this Mahimahi trace, without judging."` //nolint:lll // a struct tag is one line
	SVG   string `name:"svg" placeholder:"DIR" help:"Draw the first run of each case into this directory."`
	JSON  bool   `name:"json" help:"Print JSON."`

	Against string `enum:",pion" default:"" placeholder:"pion" help:"Run the cases with pion's estimator too. That runs in real time: 100 s to 6 minutes."` //nolint:lll // a struct tag is one line
}

// figure is one line of the table.
type figure struct {
	Case  string  `json:"case"`
	Name  string  `json:"figure"`
	Value float64 `json:"value"` // the median of the seeds, or the worst of them
	Bound string  `json:"bound,omitempty"`
	OK    bool    `json:"ok"`
	// Pion is the figure with pion's estimator, nil if it was not played.
	Pion *float64 `json:"pion,omitempty"`
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
	if c.Case != "all" {
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
	rivals, err := c.against(a, cases)
	if err != nil {
		return err
	}
	var figures []figure
	failed := false
	for i, s := range cases {
		if len(cases) > 1 {
			say(a.stderr, "\r%d of %d: %-20s", i+1, len(cases), s.Name)
		}
		verdicts, err := simulate.Evaluate(s, 1, c.Seeds, simulate.Own)
		if err != nil {
			return err
		}
		for k, v := range verdicts {
			f := figure{Case: s.Name, Name: v.Name, Value: v.Figure(), OK: v.OK}
			if c.Trace == "" {
				f.Bound = v.Bound()
				failed = failed || !v.OK
			}
			if rivals != nil && !math.IsInf(rivals[i][k].Median, 0) {
				f.Pion = &rivals[i][k].Median
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
	if err := c.print(a, figures); err != nil {
		return err
	}
	if failed {
		return errGates
	}
	return nil
}

// against plays the cases with pion's estimator, all at once and in real time, one run each. It returns nil if that was
// not requested.
func (c *simulateCmd) against(a *app, cases []simulate.Case) ([][]simulate.Verdict, error) {
	if c.Against == "" {
		return nil, nil
	}
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
	head := "CASE\tFIGURE\tVALUE\t"
	if c.Against != "" {
		head += "PION\t"
	}
	say(w, "%sBOUND\t\n", head)
	for _, f := range figures {
		theirs := ""
		switch {
		case f.Pion != nil:
			theirs = fmt.Sprintf("%.4g\t", *f.Pion)
		case c.Against != "":
			theirs = "-\t"
		}
		mark := ""
		if f.Bound != "" && !f.OK {
			mark = "OUT OF BOUNDS"
		}
		say(w, "%s\t%s\t%.4g\t%s%s\t%s\n", f.Case, f.Name, f.Value, theirs, f.Bound, mark)
	}
	return w.Flush()
}
