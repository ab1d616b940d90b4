package session

import (
	"testing"
	"time"

	"wavryhost/adapt"
)

func TestFreezeCountsWhileItLasts(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	var f freeze
	for ms := range 20 { // 50 pictures a second
		f.sent(at(20 * ms))
	}
	if f.late(at(385), false) {
		t.Error("a picture that waits for 5 ms is a freeze")
	}
	if f.late(at(500), false) {
		t.Error("a picture that waits for 115 ms is a freeze")
	}
	if f.late(at(540), true) || f.late(at(560), false) {
		t.Error("the wait began again, and is a freeze at once")
	}
	if !f.late(at(760), false) {
		t.Error("a picture that waits for 200 ms is no freeze")
	}
	total := time.Duration(0)
	starts := 0
	for _, s := range []struct {
		ms    int
		cause string
	}{{1000, ""}, {1025, causePath}, {1050, causePath}, {1075, causeHost}, {1100, ""}, {1125, causePath}} {
		add, begins := f.step(at(s.ms), s.cause)
		total += add
		if begins {
			starts++
		}
	}
	if total != 50*time.Millisecond || starts != 2 {
		t.Errorf("%v in %d freezes; want 50 ms in 2", total, starts)
	}
}

// On a slow display, a picture each second is no freeze.
func TestSlowDisplayIsNotFrozen(t *testing.T) {
	var f freeze
	begun := time.Unix(0, 0)
	for s := range 60 {
		f.sent(begun.Add(time.Duration(s) * time.Second))
	}
	now := begun.Add(59 * time.Second)
	if f.late(now, false) || f.late(now.Add(2*time.Second), false) {
		t.Error("a wait of 2 s on a display with a picture a second is a freeze")
	}
	if !f.late(now.Add(4*time.Second), false) {
		t.Error("a wait of 4 s is no freeze")
	}
}

func TestCauseOfQuality(t *testing.T) {
	for _, c := range []struct {
		state  adapt.State
		reason adapt.Reason
		lost   bool
		want   string
	}{
		{adapt.Good, adapt.ReasonRecovered, false, causeNone},
		{adapt.Good, adapt.ReasonRecovered, true, causeHost},
		{adapt.Critical, adapt.ReasonLoss, false, causePath},
		{adapt.Stalled, adapt.ReasonNoFeedback, false, causePath},
		{adapt.Degraded, adapt.ReasonEncoderOverload, false, causeHost},
		{adapt.Critical, adapt.ReasonHostSaturated, false, causeHost},
		{adapt.Constrained, adapt.ReasonPeerLimit, false, causeViewer},
	} {
		if got := qualityCause(adapt.Targets{Quality: c.state, Reason: c.reason}, c.lost); got != c.want {
			t.Errorf("%v by %v, lost %v: cause %s; want %s", c.state, c.reason, c.lost, got, c.want)
		}
	}
}
