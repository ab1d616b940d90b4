package simulate

import "testing"

// The controller reaches every gate, in the median of the seeds or in each.
func TestGates(t *testing.T) {
	for _, c := range Cases() {
		if c.Nightly {
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
				if !v.OK && enforced {
					t.Errorf("%s is %.4g; want %s", v.Name, v.Figure(), v.Bound())
				}
			}
		})
	}
}
