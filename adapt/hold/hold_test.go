package hold

import (
	"testing"
	"time"
)

func TestTimer(t *testing.T) {
	start := time.Unix(1000, 0)
	var timer Timer
	for _, c := range []struct {
		at    time.Duration
		on    bool
		reset bool
		want  bool
	}{
		{0, true, false, false},
		{999 * time.Millisecond, true, false, false},
		{time.Second, true, false, true},
		{2 * time.Second, false, false, false},
		{3 * time.Second, true, false, false},
		{4 * time.Second, true, false, true},
		{5 * time.Second, true, true, false},
		{6 * time.Second, true, false, true},
	} {
		if c.reset {
			timer.Reset()
		}
		if got := timer.Held(start.Add(c.at), c.on, time.Second); got != c.want {
			t.Errorf("at %v the condition has held for a second: %v; want %v", c.at, got, c.want)
		}
	}
	if !new(Timer).Held(start, true, 0) {
		t.Error("a condition that need not last has not held")
	}
}
