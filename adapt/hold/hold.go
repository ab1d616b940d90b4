// Package hold measures for how long a condition has held.
package hold

import "time"

// Timer measures for how long a condition has held. Its zero value is ready for use.
type Timer struct {
	at time.Time
	on bool
}

// Held takes in whether the condition holds now, and reports whether it has held for long enough.
func (t *Timer) Held(now time.Time, on bool, long time.Duration) bool {
	if !on {
		t.on = false
		return false
	}
	if !t.on {
		t.on, t.at = true, now
	}
	return now.Sub(t.at) >= long
}

// Reset forgets for how long the condition has held.
func (t *Timer) Reset() { t.on = false }
