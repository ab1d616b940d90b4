package adapt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"
	"time"
)

// TestModesAreTheDocumented compares the changes of the law's mode on many paths with those in the documentation of
// the package: no other occurs, and each of them does.
func TestModesAreTheDocumented(t *testing.T) {
	source, err := os.ReadFile("adapt.go")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{} // to whether it occurred
	for _, m := range regexp.MustCompile(`(?m)^//\t(\w+ -> \w+): `).FindAllSubmatch(source, -1) {
		documented[string(m[1])] = false
	}
	if len(documented) == 0 {
		t.Fatal("no changes of mode are documented")
	}
	for name, n := range modePaths() {
		before := "rising"
		n.watch = func(at time.Duration, l *Loop) {
			now := modeOf(&l.law)
			if now == before {
				return
			}
			change := before + " -> " + now
			if _, ok := documented[change]; !ok {
				t.Errorf("%s: %s after %v is not documented", name, change, at)
			}
			documented[change], before = true, now
		}
		run(t, desktop, n, 90*time.Second, nil)
	}
	for change, occurred := range documented {
		if !occurred {
			t.Errorf("%s never occurs", change)
		}
	}
}

// modeOf names what the law is doing, in the words of the package documentation.
func modeOf(l *law) string {
	switch {
	case l.preStall > 0:
		return "silent"
	case l.sharing.on:
		return "sharing"
	case l.drain.on:
		return "draining"
	case !l.losses.judgeAt.IsZero():
		return "trying"
	default:
		return "rising"
	}
}

// modePaths are paths at random that lead the law through all of its modes: the capacity falls, others fill the queue
// or the path is dead for a while, packets are lost, and receivers report in both forms.
func modePaths() map[string]network {
	random := rand.New(rand.NewPCG(3, 4))
	paths := map[string]network{}
	for i := range 120 {
		high := 1e6 * (1 + 4*random.Float64())
		low := high * []float64{1, .5, .1, 0}[random.IntN(4)]
		from := time.Duration(10+random.IntN(20)) * time.Second
		to := from + time.Duration(3+random.IntN(20))*time.Second
		stands := time.Duration(random.IntN(3)) * 100 * time.Millisecond
		paths[fmt.Sprintf("path %d", i)] = network{
			capacity: func(at time.Duration) float64 {
				if at > from && at < to {
					return low
				}
				return high
			},
			others: func(at time.Duration) time.Duration {
				if at > 40*time.Second && at < 60*time.Second {
					return stands
				}
				return 0
			},
			queueMax: time.Duration(10+random.IntN(300)) * time.Millisecond, delay: 20 * time.Millisecond,
			loss: []float64{0, 0, .01, .06}[random.IntN(4)], rrOnly: random.IntN(3) == 0,
		}
	}
	return paths
}
