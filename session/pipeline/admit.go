package pipeline

import "time"

// How pictures are timed.
const (
	// pollInterval is how often an encoding that is blocked asks whether a subscriber is ready. A packet of 1200 bytes
	// takes 5 ms at 2 Mbit/s.
	pollInterval = 5 * time.Millisecond
	// patience is how long an encoding waits for a subscriber that is not ready. After that the subscriber misses a
	// picture. A shorter hiccup costs no keyframe.
	patience = 100 * time.Millisecond
	// stillPatience is the same for a picture that is encoded again. To miss it costs the others a keyframe later,
	// which is coarser than what they see.
	stillPatience = 500 * time.Millisecond
	// congestedAfter is how long an encoding must be blocked before its display is captured less often and its
	// subscribers are asked less often.
	congestedAfter = 100 * time.Millisecond
	congestedPoll  = 20 * time.Millisecond
	// keyGap is the least time between keyframes. The next one serves what is requested in between.
	keyGap = 250 * time.Millisecond
	// aliveInterval is how often a still picture is encoded again once it is sharp. A receiver notices a loss only by
	// a later packet. Without it, the loss of the last packets before a pause would last until the pause ends. It also
	// keeps reports coming, which show that the viewer is still there.
	aliveInterval = time.Second
)

// due reports whether a picture should be encoded: because a frame waits, because a keyframe is needed, or, with again
// set, because the picture stands still and its next repetition is due. If not, it returns when that will be.
func (l *encodeLoop) due(
	subs []*subscription, now time.Time, interval time.Duration,
) (yes bool, again repetition, at time.Time) {
	if l.frames.waiting() || l.keyNeeded(subs, now) != keyNone {
		return true, repeatNone, time.Time{}
	}
	if !l.hasPicture {
		return !l.refreshing, repeatNone, time.Time{}
	}
	at, again = l.last.Add(aliveInterval), repeatAlive
	if next, more := l.refinement.next(l.last, interval); more {
		at, again = next, repeatRefine
	}
	if resume := resumes(subs, now); !resume.IsZero() && resume.Before(at) {
		return false, repeatNone, resume
	}
	return !now.Before(at), again, at
}

// resumes returns when the next subscriber that fell behind may get a keyframe, or zero for none.
func resumes(subs []*subscription, now time.Time) (at time.Time) {
	for _, s := range subs {
		if !s.synced && s.now.Live && s.resumeAt.After(now) && (at.IsZero() || s.resumeAt.Before(at)) {
			at = s.resumeAt
		}
	}
	return at
}

// keyNeeded returns why a keyframe is needed, the strongest reason of all.
func (l *encodeLoop) keyNeeded(subs []*subscription, now time.Time) keyReason {
	why := l.force
	for _, s := range subs {
		if !s.now.Live || !s.now.Keyframe || !s.now.Ready {
			continue
		}
		switch {
		case s.synced:
			why = max(why, keyRequest)
		case now.Before(s.resumeAt):
		case s.fellOff:
			why = max(why, keyRecovery)
		default:
			why = max(why, keyJoin)
		}
	}
	return why
}

// admit decides whether the picture that is due may be encoded now, and whether as a keyframe. If not, it returns when
// to ask again. still reports whether the picture is a repetition. See step for the table.
func (l *encodeLoop) admit(subs []*subscription, now time.Time, still bool) (key keyReason, next time.Time) {
	ready, waiting, slow := 0, 0, 0
	for _, s := range subs {
		switch {
		case !s.now.Live:
		case s.synced && s.now.Ready:
			ready++
		case s.synced && !s.now.Stalled && !s.now.Leaving:
			slow++
		case s.wants(now) && s.now.Keyframe:
			waiting++
		}
	}
	key = l.keyNeeded(subs, now)
	if gap := l.lastKey.Add(keyGap); key != keyNone && l.force == keyNone && !l.lastKey.IsZero() && now.Before(gap) {
		if ready == 0 || !l.frames.waiting() {
			return keyNone, gap
		}
		key, waiting = keyNone, 0
	}
	if ready == 0 && waiting == 0 {
		return keyNone, l.block(now)
	}
	if slow > 0 {
		if l.slowSince.IsZero() {
			l.slowSince = now
		}
		limit := patience
		if still {
			limit = stillPatience
		}
		if now.Sub(l.slowSince) < limit {
			return keyNone, l.block(now)
		}
	}
	l.slowSince = time.Time{}
	l.unblock()
	return key, time.Time{}
}

// block notes that the picture waits for a subscriber, and returns when to ask again.
func (l *encodeLoop) block(now time.Time) time.Time {
	l.forCapture.blocked.Store(true)
	if l.blockedSince.IsZero() {
		l.blockedSince = now
	}
	if now.Sub(l.blockedSince) < congestedAfter {
		return now.Add(pollInterval)
	}
	if !l.forCapture.congested.Swap(true) {
		l.hooks.wake()
	}
	return now.Add(congestedPoll)
}

// unblock ends block.
func (l *encodeLoop) unblock() {
	l.blockedSince = time.Time{}
	l.forCapture.blocked.Store(false)
	if l.forCapture.congested.Swap(false) {
		l.hooks.wake()
	}
}
