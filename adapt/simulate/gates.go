package simulate

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"
)

// Gate is a figure that a case must reach in the mean over the seeds.
type Gate struct {
	Name string
	// Least or Most bounds it; the other is NaN.
	Least, Most float64
	Value       func(*Result) float64
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
	Mean float64
	OK   bool
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

// Judge returns the means of a case's figures over its runs.
func Judge(c Case, results []*Result) []Verdict {
	verdicts := make([]Verdict, len(c.Gates))
	for k, g := range c.Gates {
		sum := 0.0
		for _, r := range results {
			sum += g.Value(r)
		}
		mean := sum / float64(len(results))
		verdicts[k] = Verdict{Gate: g, Mean: mean, OK: !(mean < g.Least) && !(mean > g.Most) && !math.IsNaN(mean)}
	}
	return verdicts
}

const sec = time.Second
