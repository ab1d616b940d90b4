package session

import "time"

// keyAsked returns why a keyframe is wanted, if one is.
func (r *rung) keyAsked(members []*member, now time.Time) keyReason {
	why := keyNone
	for _, m := range members {
		if !m.now.live || !m.now.key || !m.now.ready {
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

// admit decides whether the picture that is due may be encoded at this moment, and whether as a keyframe. If not, it returns
// when to ask again.
func (r *rung) admit(members []*member, now time.Time, still bool) (key keyReason, next time.Time) {
	synced, waiting, slow := 0, 0, 0
	for _, m := range members {
		switch {
		case !m.now.live:
		case m.synced && m.now.ready:
			synced++
		case m.synced && !m.now.stalled && !m.now.leaving:
			slow++
		case m.wants(now) && m.now.key:
			waiting++
		}
	}
	key = max(r.force, r.keyAsked(members, now))
	if gap := r.lastKey.Add(keyGap); key != keyNone && r.force == keyNone && !r.lastKey.IsZero() && now.Before(gap) {
		if synced == 0 || !r.box.waiting() {
			return keyNone, gap
		}
		key, waiting = keyNone, 0
	}
	if synced == 0 && waiting == 0 {
		return keyNone, r.block(now)
	}
	if slow > 0 {
		if r.slowSince.IsZero() {
			r.slowSince = now
		}
		most := patience
		if still {
			most = stillPatience
		}
		if now.Sub(r.slowSince) < most {
			return keyNone, r.block(now)
		}
	}
	r.slowSince = time.Time{}
	r.unblock()
	return key, time.Time{}
}

// block notes that the picture has to wait for room, and returns when to look again.
func (r *rung) block(now time.Time) time.Time {
	r.held.Store(true)
	if r.blockedSince.IsZero() {
		r.blockedSince = now
	}
	if now.Sub(r.blockedSince) < congestedAfter {
		return now.Add(pollInterval)
	}
	if !r.slow.Swap(true) {
		r.hooks.wake()
	}
	return now.Add(congestedPoll)
}

func (r *rung) unblock() {
	r.blockedSince = time.Time{}
	r.held.Store(false)
	if r.slow.Swap(false) {
		r.hooks.wake()
	}
}
