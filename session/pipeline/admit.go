package pipeline

import "time"

// keyAsked returns why a keyframe is wanted, if one is.
func (e *Encoding) keyAsked(members []*subscription, now time.Time) keyReason {
	why := keyNone
	for _, m := range members {
		if !m.now.Live || !m.now.Keyframe || !m.now.Ready {
			continue
		}
		switch {
		case m.synced:
			why = max(why, keyRequest)
		case now.Before(m.resumeAt):
		case m.fellOff:
			why = max(why, keyRecovery)
		default:
			why = max(why, keyJoin)
		}
	}
	return why
}

// admit decides whether the picture that is due may be encoded at this moment, and whether as a keyframe. If not, it
// returns when to ask again.
func (e *Encoding) admit(members []*subscription, now time.Time, still bool) (key keyReason, next time.Time) {
	synced, waiting, slow := 0, 0, 0
	for _, m := range members {
		switch {
		case !m.now.Live:
		case m.synced && m.now.Ready:
			synced++
		case m.synced && !m.now.Stalled && !m.now.Leaving:
			slow++
		case m.wants(now) && m.now.Keyframe:
			waiting++
		}
	}
	key = max(e.force, e.keyAsked(members, now))
	if gap := e.lastKey.Add(keyGap); key != keyNone && e.force == keyNone && !e.lastKey.IsZero() && now.Before(gap) {
		if synced == 0 || !e.box.waiting() {
			return keyNone, gap
		}
		key, waiting = keyNone, 0
	}
	if synced == 0 && waiting == 0 {
		return keyNone, e.block(now)
	}
	if slow > 0 {
		if e.slowSince.IsZero() {
			e.slowSince = now
		}
		most := patience
		if still {
			most = stillPatience
		}
		if now.Sub(e.slowSince) < most {
			return keyNone, e.block(now)
		}
	}
	e.slowSince = time.Time{}
	e.unblock()
	return key, time.Time{}
}

// block notes that the picture has to wait for room, and returns when to look again.
func (e *Encoding) block(now time.Time) time.Time {
	e.held.Store(true)
	if e.blockedSince.IsZero() {
		e.blockedSince = now
	}
	if now.Sub(e.blockedSince) < congestedAfter {
		return now.Add(pollInterval)
	}
	if !e.slow.Swap(true) {
		e.hooks.wake()
	}
	return now.Add(congestedPoll)
}

func (e *Encoding) unblock() {
	e.blockedSince = time.Time{}
	e.held.Store(false)
	if e.slow.Swap(false) {
		e.hooks.wake()
	}
}
