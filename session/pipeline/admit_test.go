package pipeline

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/capture"
	"wavryhost/encode"
)

// TestWhenAPictureIsEncoded has the rows and columns of the table at encodeLoop.step.
func TestWhenAPictureIsEncoded(t *testing.T) {
	now := time.Now()
	const interval = time.Second / 60
	viewer := func(synced, ready, key bool) *subscription {
		return &subscription{now: Demand{Live: true, Ready: ready, Keyframe: key}, synced: synced}
	}
	ready := []*subscription{viewer(true, true, false)}
	asking := []*subscription{viewer(true, true, true)}
	newcomer := []*subscription{viewer(false, true, true)}
	unready := []*subscription{viewer(true, false, false)}
	mixed := []*subscription{ready[0], unready[0]}
	type state struct {
		subs       []*subscription
		frame      bool
		noPicture  bool
		refreshing bool
		force      keyReason
		lastKey    time.Duration // ago, 0 for never
		last       time.Duration // ago
		slow       time.Duration // somebody is not ready for so long
		blocked    time.Duration // nobody is ready for so long
	}
	const never = time.Duration(0)
	for _, c := range []struct {
		name string
		state
		encode bool
		key    keyReason
		again  repetition
		wait   time.Duration // until the next look, or never
	}{
		{"a frame, all ready", state{subs: ready, frame: true}, true, keyNone, repeatNone, never},
		{"a request, all ready", state{subs: asking}, true, keyRequest, repeatNone, never},
		{"a newcomer", state{subs: newcomer}, true, keyJoin, repeatNone, never},
		{"another encoder", state{subs: ready, force: keyEncoder}, true, keyEncoder, repeatNone, never},
		{"still, to refine", state{subs: ready, last: time.Second / 30}, true, keyNone, repeatRefine, never},
		{
			"still, not yet",
			state{subs: ready, last: time.Millisecond},
			false, keyNone, repeatRefine, interval - time.Millisecond,
		},
		{"no picture, not asked for", state{subs: ready, noPicture: true}, true, keyNone, repeatNone, never},
		{
			"no picture, asked for",
			state{subs: ready, noPicture: true, refreshing: true},
			false, keyNone, repeatNone, never,
		},
		{
			"a request after a keyframe",
			state{subs: asking, lastKey: keyGap / 5},
			false, keyNone, repeatNone, keyGap * 4 / 5,
		},
		{
			"a request and a frame after a keyframe",
			state{subs: asking, frame: true, lastKey: keyGap / 5},
			true, keyNone, repeatNone, never,
		},
		{
			"a new encoder after a keyframe",
			state{subs: asking, force: keyEncoder, lastKey: keyGap / 5},
			true, keyEncoder, repeatNone, never,
		},
		{"nobody is ready", state{subs: unready, frame: true}, false, keyNone, repeatNone, pollInterval},
		{
			"nobody is ready for long",
			state{subs: unready, frame: true, blocked: congestedAfter},
			false, keyNone, repeatNone, congestedPoll,
		},
		{
			"one of two is not ready",
			state{subs: mixed, frame: true},
			false, keyNone, repeatNone, pollInterval,
		},
		{
			"one of two is not ready for long",
			state{subs: mixed, frame: true, slow: patience},
			true, keyNone, repeatNone, never,
		},
		{
			"one of two is not ready, still",
			state{subs: mixed, last: time.Second / 30, slow: patience},
			false, keyNone, repeatRefine, pollInterval,
		},
		{
			"one of two is not ready for long, still",
			state{subs: mixed, last: time.Second / 30, slow: stillPatience},
			true, keyNone, repeatRefine, never,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := slog.New(slog.DiscardHandler)
			hooks := encodingHooks{wake: func() {}}
			e := newEncoding(1, encode.H264, log, NewMetrics(prometheus.NewRegistry()), nil, DisplayLimits{FPS: 60}, hooks, nil)
			ago := func(d time.Duration) time.Time {
				if d == 0 {
					return time.Time{}
				}
				return now.Add(-d)
			}
			l := &encodeLoop{
				Encoding: e, hasPicture: !c.noPicture, refreshing: c.refreshing, force: c.force,
				last: now.Add(-c.last), lastKey: ago(c.lastKey), slowSince: ago(c.slow), blockedSince: ago(c.blocked),
			}
			if c.frame {
				l.frames.put(capture.NewFrame(nil))
			}
			encode, again, at := l.due(c.subs, now, interval)
			var key keyReason
			if encode {
				key, at = l.admit(c.subs, now, again != repeatNone)
				encode = at.IsZero()
			}
			wait := never
			if !at.IsZero() && !encode {
				wait = at.Sub(now)
			}
			if encode != c.encode || key != c.key || again != c.again || wait != c.wait {
				t.Errorf("encodes %v, key %v, again %v, or waits %v; want %v, %v, %v, %v",
					encode, key, again, wait, c.encode, c.key, c.again, c.wait)
			}
		})
	}
}
