package session

import (
	"sync/atomic"
	"time"

	"wavryhost/adapt"
)

// The wait before a viewer that fell behind is let back in with a keyframe, which everybody on the rung pays for: the first
// time, and at most. It doubles each time the viewer falls behind again within steadyAfter.
const (
	firstResume = time.Second
	longResume  = 16 * time.Second
	steadyAfter = 10 * time.Second
)

// needRepeat is how often a member that waits for its keyframe asks its controller again.
const needRepeat = 500 * time.Millisecond

// member is a viewer's place on a rung. The encode loop owns it.
//
//	waiting ──keyframe──▶ synced ──missed a picture──▶ waiting (not before resumeAt)
//
// A synced member has every picture since its last keyframe, so that the next one decodes. A new member waits.
type member struct {
	watcher

	now       ask // the answer of this round
	synced    bool
	fellOff   bool // it waits because it missed a picture, not because it is new
	since     time.Time
	resumeAt  time.Time
	penalty   time.Duration
	askedAt   time.Time
	countsFor bool // its targets count in this round

	// wish is the bitrate it could have, 0 while that is not known or it is on its way elsewhere; settled is unset while it is on its
	// way to this rung. Both are read by the janitor.
	wish    atomic.Int64
	settled atomic.Bool
}

// wants tells whether a keyframe would let the member in.
func (m *member) wants(now time.Time) bool {
	return !m.synced && m.now.live && m.now.ready && !now.Before(m.resumeAt)
}

// press asks the member's controller for its keyframe, which has the last word on when.
func (m *member) press(now time.Time) {
	if !m.wants(now) || m.now.key || now.Before(m.askedAt.Add(needRepeat)) {
		return
	}
	why := adapt.KeyframeJoin
	if m.fellOff {
		why = adapt.KeyframeRecovery
	}
	m.askedAt = now
	m.need(now, why)
	m.now = m.ask(now)
}

// tell makes known what the member could have.
func (m *member) tell() {
	wish := 0
	if m.now.live && !m.now.stalled && !m.now.leaving {
		wish = m.now.bitrate
	}
	m.wish.Store(int64(wish))
	m.settled.Store(!m.now.arriving)
}

// joined notes that the member got a keyframe.
func (m *member) joined(now time.Time) {
	if !m.synced {
		m.synced, m.since = true, now
	}
}

// lost notes that the member did not get a picture.
func (m *member) lost(now time.Time) {
	if !m.synced {
		return
	}
	m.synced, m.fellOff = false, true
	if now.Sub(m.since) > steadyAfter || m.penalty == 0 {
		m.penalty = firstResume
	} else {
		m.penalty = min(2*m.penalty, longResume)
	}
	m.resumeAt = now.Add(m.penalty)
	m.askedAt = time.Time{}
}
