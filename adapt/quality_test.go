package adapt

import (
	"testing"
	"time"

	"wavryhost/adapt/ladder"
)

// limited ticks a controller whose screen stands still, which is good but for the host's limits.
func limited(t *testing.T, length time.Duration, limit func(at time.Duration) Limit) []Targets {
	t.Helper()
	l, err := New(Config{FPS: 60})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1_000_000, 0)
	var all []Targets
	for at := time.Duration(0); at < length; at += tick {
		now := start.Add(at)
		told := limit(at)
		told.At = now
		l.OnLimit(told)
		all = append(all, l.Tick(now))
	}
	return all
}

// What the host takes from a stream makes it degraded, and the host is named.
func TestHostLimitIsDegraded(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit Limit
		want  State
	}{
		{"nothing", Limit{}, Good},
		{"what was asked for", Limit{FPS: 60, Scale: 1}, Good},
		{"more than was asked for", Limit{FPS: 90, Scale: 2}, Good},
		{"half the rate", Limit{FPS: 30, Scale: 1}, Degraded},
		{"the size alone", Limit{Scale: .75}, Degraded},
		{"the rate alone", Limit{FPS: 30}, Degraded},
		{"both", Limit{FPS: 15, Scale: .5}, Degraded},
	} {
		all := limited(t, time.Second, func(time.Duration) Limit { return c.limit })
		last := all[len(all)-1]
		if last.Quality != c.want || c.want != Good && (last.Reason != ReasonHostSaturated ||
			last.Transition.Reason != ReasonHostSaturated) {
			t.Errorf("%s: %v by %v; want %v", c.name, last.Quality, last.Reason, c.want)
		}
		if last.FPS != 60 {
			t.Errorf("%s: %d fps are asked for; want the 60 that the path has room for", c.name, last.FPS)
		}
	}
}

// A limit that comes and goes makes six changes a minute at most, and the states last as long as the session.
func TestHostLimitThatComesAndGoesDoesNotFlicker(t *testing.T) {
	const length = 4 * time.Minute
	most := 0
	for lowered := time.Second; lowered <= 25*time.Second; lowered += 3 * time.Second {
		for raised := time.Second; raised <= 25*time.Second; raised += 3 * time.Second {
			all := limited(t, length, func(at time.Duration) Limit {
				if at%(lowered+raised) < lowered {
					return Limit{FPS: 30}
				}
				return Limit{}
			})
			var changes []Transition
			for i, now := range all {
				if i == 0 && now.Seq > 0 || i > 0 && now.Seq != all[i-1].Seq {
					changes = append(changes, now.Transition)
				}
			}
			var sum time.Duration
			began := time.Unix(1_000_000, 0)
			for i, c := range changes {
				sum += c.Dwell
				if c.At.Sub(began) != sum {
					t.Errorf("%v lowered, %v raised: change %d is at %v, the states before lasted %v",
						lowered, raised, i, c.At.Sub(began), sum)
				}
				inMinute := 0
				for _, other := range changes[i:] {
					if other.At.Sub(c.At) <= time.Minute {
						inMinute++
					}
				}
				most = max(most, inMinute)
			}
			if len(changes) == 0 {
				t.Errorf("%v lowered, %v raised: no change of state", lowered, raised)
			}
		}
	}
	if most > 6 {
		t.Errorf("%d changes in a minute; want 6 at most", most)
	}
}

// Of the host and the path, the reason is what leaves less.
func TestHostLimitAboveTheLadderIsNoReason(t *testing.T) {
	for _, c := range []struct {
		limit Limit
		want  Reason
	}{
		{Limit{FPS: 30}, ReasonQueueDelay},
		{Limit{FPS: 5}, ReasonHostSaturated},
	} {
		l, err := New(desktop)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Unix(1_000_000, 0)
		l.law.reason = ReasonQueueDelay
		for _, at := range []time.Duration{-3 * time.Second, 0} { // the path has no room for the whole
			l.ladder.Climb(start.Add(at), &ladder.Room{Target: 1, Whole: 1e6, Most: 1e7, Moving: true, Used: true})
		}
		l.OnLimit(c.limit)
		var got Targets
		for at := time.Duration(0); at < 2*time.Second; at += tick {
			got = l.Tick(start.Add(at))
		}
		if got.Quality != Degraded || got.Reason != c.want {
			t.Errorf("%+v beside %d fps by the path: %v by %v; want degraded by %v",
				c.limit, got.FPS, got.Quality, got.Reason, c.want)
		}
	}
}
