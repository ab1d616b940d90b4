package pipeline

import (
	"sync/atomic"
	"time"

	"wavryhost/adapt"
)

// The wait before a subscriber that fell behind gets a keyframe, for which all subscribers of the encoding pay: the
// first time, and at most. It doubles each time the subscriber falls behind again within steadyAfter.
const (
	firstResume = time.Second
	longResume  = 16 * time.Second
	steadyAfter = 10 * time.Second
)

// needRepeat is how often a subscription that waits for its keyframe asks its controller again.
const needRepeat = 500 * time.Millisecond

// subscription is the state of a subscriber at an encoding. The encode loop owns it.
//
//	waiting ──keyframe──▶ synced ──missed a picture──▶ waiting (not before resumeAt)
//
// A synced subscriber has every picture since its last keyframe, so that it can decode the next one. A new one waits.
type subscription struct {
	Subscriber

	now      Demand // of this round
	synced   bool
	fellOff  bool // it waits because it missed a picture, not because it is new
	since    time.Time
	resumeAt time.Time
	penalty  time.Duration
	askedAt  time.Time
	counts   bool // its targets count in this round

	// available is the bitrate that it could have, or 0 while that is not known or it moves away. settled is unset
	// while it moves to this encoding. The goroutine that calls Pool.Sweep reads both.
	available atomic.Int64
	settled   atomic.Bool
}

// wants reports whether a keyframe would sync the subscriber.
func (s *subscription) wants(now time.Time) bool {
	return !s.synced && s.now.Live && s.now.Ready && !now.Before(s.resumeAt)
}

// press asks the subscriber's controller for its keyframe. The controller decides when.
func (s *subscription) press(now time.Time) {
	if !s.wants(now) || s.now.Keyframe || now.Before(s.askedAt.Add(needRepeat)) {
		return
	}
	why := adapt.KeyframeJoin
	if s.fellOff {
		why = adapt.KeyframeRecovery
	}
	s.askedAt = now
	s.RequestKeyframe(now, why)
	s.now = s.Demand(now)
}

// publish makes the available bitrate known to the arranger.
func (s *subscription) publish() {
	bits := 0
	if s.now.Live && !s.now.Stalled && !s.now.Leaving {
		bits = s.now.BitsPerSecond
	}
	s.available.Store(int64(bits))
	s.settled.Store(!s.now.Arriving)
}

// joined notes that the subscriber got a keyframe.
func (s *subscription) joined(now time.Time) {
	if !s.synced {
		s.synced, s.since = true, now
	}
}

// lost notes that the subscriber did not get a picture.
func (s *subscription) lost(now time.Time) {
	if !s.synced {
		return
	}
	s.synced, s.fellOff = false, true
	if now.Sub(s.since) > steadyAfter || s.penalty == 0 {
		s.penalty = firstResume
	} else {
		s.penalty = min(2*s.penalty, longResume)
	}
	s.resumeAt = now.Add(s.penalty)
	s.askedAt = time.Time{}
}
