package session

import (
	"testing"
	"time"

	"wavryhost/adapt"
)

// A viewer that can ask for nothing has a whole picture again 5 s after a loss, however seldom it reports.
func TestViewerThatCanAskForNothingRecovers(t *testing.T) {
	start := time.Now()
	for _, c := range []struct {
		name   string
		every  time.Duration // between receiver reports, 0 for none
		lostAt time.Duration
	}{
		{"with reports each second", time.Second, 3500 * time.Millisecond},
		{"with reports each 6 s", 6 * time.Second, 7 * time.Second},
		{"without reports", 0, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := recovery{deaf: true}
			var key time.Duration
			keys, lost := 0, false
			for at := time.Duration(0); at < 20*time.Second; at += tickInterval {
				now := start.Add(at)
				lost = lost || at == c.lostAt
				want := r.due(now)
				if c.every > 0 && at%c.every == 0 && at > 0 {
					f := adapt.Feedback{At: now, Kind: adapt.RR}
					if lost {
						f.Loss, lost = 0.1, false
					}
					want = r.reported(f) || want
				}
				if want {
					keys++
					r.sent(now)
					if at >= c.lostAt && key == 0 {
						key = at
					}
				}
			}
			if key == 0 || key-c.lostAt > 5*time.Second-500*time.Millisecond {
				t.Errorf("the keyframe comes %v after the loss", key-c.lostAt)
			}
			if c.every == time.Second && keys != 1 {
				t.Errorf("%d keyframes; want the one that the report asks for", keys)
			}
		})
	}
	asks := recovery{}
	if asks.due(start) || asks.due(start.Add(time.Hour)) || asks.reported(adapt.Feedback{Kind: adapt.RR, Loss: 1}) {
		t.Error("a viewer that can ask for keyframes gets some without")
	}
}
