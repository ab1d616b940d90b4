package simulate

import (
	"maps"
	"math"
	"testing"
)

// Shortfalls name gates, so that the names of gates must differ.
func TestGatesHaveNames(t *testing.T) {
	left := maps.Clone(shortfalls)
	for _, c := range Cases() {
		names := map[string]bool{}
		for _, g := range c.Gates {
			if names[g.Name] {
				t.Errorf("%s has two gates named %s", c.Name, g.Name)
			}
			names[g.Name] = true
			delete(left, c.Name+"/"+g.Name)
			if math.IsNaN(g.Least) == math.IsNaN(g.Most) {
				t.Errorf("%s: %s has no bound, or two", c.Name, g.Name)
			}
		}
	}
	for name := range left {
		t.Errorf("%s falls short and is no gate", name)
	}
}

// raceSample is of how many cases one is played under the race detector: a run has one goroutine.
const raceSample = 10

// The controller reaches every gate, in the median of the seeds or in each.
func TestGates(t *testing.T) {
	for i, c := range Cases() {
		if c.Nightly || !enforced && i%raceSample != 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			verdicts, err := Evaluate(c, 1, seeds, Own)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range verdicts {
				t.Logf("%-18s %10.4g %s", v.Name, v.Figure(), v.Bound())
				if v.Goal != 0 && (v.Figure() <= v.Goal) == math.IsNaN(v.Least) {
					t.Logf("%s reaches its goal: take it out of shortfalls", v.Name)
				}
				if !v.OK && enforced {
					t.Errorf("%s is %.4g; want %s", v.Name, v.Figure(), v.Bound())
				}
			}
		})
	}
}
