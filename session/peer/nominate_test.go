package peer

import (
	"testing"
	"time"
)

func TestHostFollowsTheViewerToTheNextPair(t *testing.T) {
	type step struct {
		at   float64
		pair uint64
		want bool
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"one pair", []step{{0, 1, false}, {2.5, 1, false}, {60, 1, false}}},
		{"several at first", []step{{0, 1, false}, {.1, 2, false}, {.2, 3, false}, {.5, 1, false}}},
		{"the pair in use breaks", []step{
			{0, 1, false},
			{10, 1, false},
			{12.6, 2, false},
			{13.1, 2, false},
			{14, 2, true},
			{14.5, 2, false},
		}},
		{"and comes back", []step{{0, 1, false}, {5, 2, true}, {7, 1, false}, {7.5, 2, false}, {11.5, 1, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start, n := time.Now(), nomination{}
			for _, s := range c.steps {
				if got := n.on(s.pair, start.Add(time.Duration(s.at*float64(time.Second)))); got != s.want {
					t.Errorf("at %v s pair %d: %v; want %v", s.at, s.pair, got, s.want)
				}
			}
		})
	}
}
