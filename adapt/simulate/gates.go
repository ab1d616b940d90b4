package simulate

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"
)

// Gate is a figure that a case must reach: in the mean over the seeds, or with Each set with every seed.
type Gate struct {
	Name string
	// Least or Most bounds it; the other is NaN.
	Least, Most float64
	Each        bool
	Value       func(*Result) float64
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
	return fmt.Sprintf("%s %g", sign, bound)
}

func least(name string, bound float64, value func(*Result) float64) Gate {
	return Gate{Name: name, Least: bound, Most: math.NaN(), Value: value}
}

func most(name string, bound float64, value func(*Result) float64) Gate {
	return Gate{Name: name, Least: math.NaN(), Most: bound, Value: value}
}

// Verdict is what became of a gate.
type Verdict struct {
	Gate
	Figure float64 // the mean over the seeds, or where the gate is for each the worst of them
	OK     bool
}

// Evaluate plays a case with the seeds 1 to n and judges its gates. A figure that a run cannot give fails.
func Evaluate(c Case, n int, controller New) ([]Verdict, error) {
	results, errs := make([]*Result, n), make([]error, n)
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			results[i], errs[i] = Run(c, uint64(i+1), controller)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return Judge(c, results), nil
}

// Judge returns a case's figures over its runs.
func Judge(c Case, results []*Result) []Verdict {
	verdicts := make([]Verdict, len(c.Gates))
	for k, g := range c.Gates {
		sum, low, high := 0.0, math.Inf(1), math.Inf(-1)
		for _, r := range results {
			v := g.Value(r)
			sum, low, high = sum+v, min(low, v), max(high, v) // min and max of NaN are NaN
		}
		figure := sum / float64(len(results))
		switch {
		case g.Each && math.IsNaN(g.Least):
			figure = high
		case g.Each:
			figure = low
		}
		verdicts[k] = Verdict{Gate: g, Figure: figure, OK: !(figure < g.Least) && !(figure > g.Most) && !math.IsNaN(figure)}
	}
	return verdicts
}

const sec = time.Second
