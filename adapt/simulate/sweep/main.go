// Command sweep changes each constant of package tuning by 30 % in both directions, plays cases of the simulator with
// each, and writes docs/develop/constants.md: which constants move which figures. A constant that moves nothing needs
// no tuning: it can be merged with another one, derived, or removed.
//
// It builds the law once with variables instead of constants (go build -overlay), so that the law itself is
// compiled with constants.
//
//	go run ./adapt/simulate/sweep [flags]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"wavryhost/adapt/simulate"
)

// options are the command's flags.
type options struct {
	play          bool
	seeds, base   int
	first         uint64
	cases, names  string
	out           string
	program, tree string
}

// figures are the values of all gates by "case/gate": one for each seed.
type figures map[string][]float64

func main() {
	var o options
	flag.BoolVar(&o.play, "play", false, "play the cases and print the figures as JSON; used by the sweep itself")
	flag.IntVar(&o.seeds, "seeds", 1, "runs of each case with a changed constant")
	flag.IntVar(&o.base, "base", 8, "runs of each case with the constants as they are; their range is what chance does")
	flag.Uint64Var(&o.first, "from", 1, "first seed")
	flag.StringVar(&o.cases, "cases", ".", "cases to play, as a regular expression")
	flag.StringVar(&o.names, "constants", ".",
		"constants to change, as a regular expression; the others keep their row")
	flag.StringVar(&o.out, "out", "docs/develop/constants.md", "document to write")
	flag.StringVar(&o.tree, "tuning", "adapt/tuning", "directory of the constants")
	flag.Parse()
	run := sweep
	if o.play {
		run = play
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sweep:", err)
		os.Exit(1)
	}
}

// play plays the cases with the law that the program was built with.
func play(_ context.Context, o options) error {
	wanted, err := regexp.Compile(o.cases)
	if err != nil {
		return fmt.Errorf("-cases: %w", err)
	}
	found := figures{}
	for _, c := range simulate.Cases() {
		if c.Nightly || !wanted.MatchString(c.Name) {
			continue
		}
		for seed := range o.seeds {
			r, err := simulate.Run(c, o.first+uint64(seed), simulate.Own)
			if err != nil {
				return err
			}
			for _, g := range c.Gates {
				v := g.Value(r)
				if math.IsNaN(v) || math.IsInf(v, 0) {
					v = math.MaxFloat64 // JSON has neither
				}
				found[c.Name+"/"+g.Name] = append(found[c.Name+"/"+g.Name], v)
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// sweep plays the law with each constant changed, and writes the document.
func sweep(ctx context.Context, o options) error {
	wanted, err := regexp.Compile(o.names)
	if err != nil {
		return fmt.Errorf("-constants: %w", err)
	}
	t, err := readTable(o.tree)
	if err != nil {
		return err
	}
	doc, err := readDocument(o.out)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sweep")
	if err != nil {
		return fmt.Errorf("make a directory to build in: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is temporary
	if err := o.build(ctx, t, dir); err != nil {
		return err
	}
	base, err := o.figures(ctx, "", o.base)
	if err != nil {
		return err
	}
	doc.cases, doc.figures = caseNames(base), len(base)
	for i := range t.constants {
		c := &t.constants[i]
		if !wanted.MatchString(c.name) {
			continue
		}
		r, err := o.row(ctx, c, base)
		if err != nil {
			return err
		}
		doc.rows[c.name] = r
		fmt.Fprintf(os.Stderr, "%3d of %d: %-20s %3s %3s  %s\n", i+1, len(t.constants), c.name, r.less, r.more, r.pins)
		if err := doc.write(o.out, t); err != nil { // a sweep takes long, and may be stopped
			return err
		}
	}
	return doc.write(o.out, t)
}

// caseNames lists the cases of some figures.
func caseNames(all figures) string {
	names := map[string]bool{}
	for figure := range all {
		name, _, _ := strings.Cut(figure, "/")
		names[name] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

// row plays one constant.
func (o options) row(ctx context.Context, c *constant, base figures) (row, error) {
	counts := [2]string{"-", "-"}
	var all []moved
	for i, factor := range [...]float64{0.7, 1.3} {
		value, ok := c.changed(factor)
		if !ok {
			continue
		}
		with, err := o.figures(ctx, c.setting(value), o.seeds)
		if err != nil {
			return row{}, fmt.Errorf("with %s: %w", c.setting(value), err)
		}
		m := compare(base, with)
		counts[i] = fmt.Sprint(len(m))
		all = append(all, m...)
	}
	return row{counts[0], counts[1], pins(all)}, nil
}

// build builds the law with variables.
func (o *options) build(ctx context.Context, t *table, dir string) error {
	replace, err := t.asVariables(dir)
	if err != nil {
		return err
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return fmt.Errorf("write the overlay: %w", err)
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return fmt.Errorf("write the overlay: %w", err)
	}
	o.program = filepath.Join(dir, "play")
	if runtime.GOOS == "windows" {
		o.program += ".exe"
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", o.program,
		"wavryhost/adapt/simulate/sweep")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build with variables: %w: %s", err, out)
	}
	return nil
}

// figures plays the cases with a setting of one constant.
func (o options) figures(ctx context.Context, setting string, seeds int) (figures, error) {
	var out bytes.Buffer
	run := exec.CommandContext(ctx, o.program, "-play",
		"-seeds", fmt.Sprint(seeds), "-from", fmt.Sprint(o.first), "-cases", o.cases)
	run.Env = append(os.Environ(), variable+"="+setting)
	run.Stdout, run.Stderr = &out, os.Stderr
	if err := run.Run(); err != nil {
		return nil, fmt.Errorf("play: %w", err)
	}
	found := figures{}
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		return nil, fmt.Errorf("read the figures: %w", err)
	}
	return found, nil
}

// moved is a figure that left the range of its runs, and by how many times that range.
type moved struct {
	name string
	by   float64
}

// margin is the part of the range that a figure must leave it by, and leastMove the least part of the figure: the
// range of a figure that hardly differs from seed to seed is small. tiny is the least move of all.
const margin, leastMove, tiny = 0.25, 0.02, 0.002

// compare returns the figures whose median is out of the range of the base's runs.
func compare(base, with figures) []moved {
	var all []moved
	for name, runs := range base {
		low, high, now := slices.Min(runs), slices.Max(runs), median(with[name])
		room := max(margin*(high-low), leastMove*math.Abs(high), tiny)
		if now < low-room || now > high+room {
			all = append(all, moved{name, max(low-now, now-high) / room})
		}
	}
	return all
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[len(sorted)/2]
}

// pins names the cases whose figures moved most.
func pins(all []moved) string {
	slices.SortFunc(all, func(a, b moved) int {
		switch {
		case a.by > b.by:
			return -1
		case a.by < b.by:
			return 1
		default:
			return strings.Compare(a.name, b.name)
		}
	})
	var names []string
	for _, m := range all {
		name, _, _ := strings.Cut(m.name, "/")
		if !slices.Contains(names, name) && len(names) < 3 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
