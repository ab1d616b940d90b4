package simulate

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Gate is a figure that a case must reach: in the median over the seeds, or with Each set with every seed.
type Gate struct {
	Name string
	// Least or Most bounds it; the other is NaN.
	Least, Most float64
	// Goal is the bound to reach some day, where today's law does not; 0 for none.
	Goal  float64
	Each  bool
	Value func(*Result) float64
}

// each makes a gate hold for every seed.
func each(g Gate) Gate {
	g.Name, g.Each = "worst "+g.Name, true
	return g
}

// Bound tells the bound as people write it.
func (g Gate) Bound() string {
	sign, bound := "≥", g.Least
	if math.IsNaN(bound) {
		sign, bound = "≤", g.Most
	}
	if g.Goal != 0 {
		return fmt.Sprintf("%s %.4g, goal %.4g", sign, bound, g.Goal)
	}
	return fmt.Sprintf("%s %.4g", sign, bound)
}

func least(name string, bound float64, value func(*Result) float64) Gate {
	return Gate{Name: name, Least: bound, Most: math.NaN(), Value: value}
}

func most(name string, bound float64, value func(*Result) float64) Gate {
	return Gate{Name: name, Least: math.NaN(), Most: bound, Value: value}
}

// Verdict is the result of a gate.
type Verdict struct {
	Gate
	Median, Worst float64
	WorstRun      int // index of the worst
	OK            bool
}

// Figure is what the gate judges.
func (v Verdict) Figure() float64 {
	if v.Each {
		return v.Worst
	}
	return v.Median
}

// Evaluate plays a case with n seeds from the first one on, and judges its gates.
func Evaluate(c Case, first uint64, n int, controller New) ([]Verdict, error) {
	results, errs := make([]*Result, n), make([]error, n)
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			results[i], errs[i] = Run(c, first+uint64(i), controller)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return Judge(c, results), nil
}

// Judge returns a case's figures over its runs. A figure that a run cannot give counts as the worst that can be.
func Judge(c Case, results []*Result) []Verdict {
	verdicts := make([]Verdict, len(c.Gates))
	for k, g := range c.Gates {
		bad := math.Inf(1) // the sign of what is worse
		if math.IsNaN(g.Most) {
			bad = math.Inf(-1)
		}
		values := make([]float64, len(results))
		v := Verdict{Gate: g}
		for i, r := range results {
			values[i] = g.Value(r)
			if math.IsNaN(values[i]) {
				values[i] = bad
			}
			if i == 0 || bad > 0 && values[i] > v.Worst || bad < 0 && values[i] < v.Worst {
				v.Worst, v.WorstRun = values[i], i
			}
		}
		slices.Sort(values)
		n := len(values)
		v.Median = values[n/2]
		if n%2 == 0 && !math.IsInf(values[n/2-1], 0) {
			v.Median = (values[n/2-1] + values[n/2]) / 2
		}
		v.OK = !(v.Figure() < g.Least) && !(v.Figure() > g.Most)
		verdicts[k] = v
	}
	return verdicts
}

const sec = time.Second
