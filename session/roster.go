package session

import (
	"slices"
	"sync"
	"time"

	"wavryhost/encode"
)

// How long an encoder that erred or hung is passed over: the first time, and at most. It doubles with each failure.
const (
	firstBan = 30 * time.Second
	longBan  = 10 * time.Minute
)

// relearn is how long a limit that was learnt is believed while nothing ends: other programs, and drivers, change what there is room for.
const relearn = 5 * time.Minute

// roster is the order in which the encoders of each codec are tried. One that failed in use goes to the end for a while, for all displays. One of which the hardware does
// no more stays good: others are used until one of its encodes ends.
type roster struct {
	limit func() int // how many encodes hardware does at a time, as configured; 0 for any number

	mu      sync.Mutex
	entries []entry
}

type entry struct {
	factory  encode.Factory
	failures int
	uses     int // encoders of it that are open, or being opened
	until    time.Time
	// learnt is how many were open when no more could be opened, 0 while that has not happened; and when it was.
	learnt   int
	learntAt time.Time
}

func newRoster(factories []encode.Factory, limit func() int) *roster {
	r := &roster{limit: limit}
	for _, f := range factories {
		r.entries = append(r.entries, entry{factory: f})
	}
	return r
}

// order returns all factories of a codec, the one to try first in front.
func (r *roster) order(now time.Time, codec string) []encode.Factory {
	r.mu.Lock()
	defer r.mu.Unlock()
	var good, full, banned []encode.Factory
	for _, e := range r.entries {
		most, _ := r.most(e, now)
		switch {
		case e.factory.Profile().Codec != codec:
		case now.Before(e.until):
			banned = append(banned, e.factory)
		case most > 0 && e.uses >= most:
			full = append(full, e.factory)
		default:
			good = append(good, e.factory)
		}
	}
	return slices.Concat(good, full, banned)
}

// most returns how many encoders of e may be open, 0 for any number, and whether that was learnt. The caller holds mu.
func (r *roster) most(e entry, now time.Time) (n int, learnt bool) {
	if e.learnt > 0 && now.Sub(e.learntAt) < relearn {
		n, learnt = e.learnt, true
	}
	if set := r.limit(); set > 0 && e.factory.Profile().Hardware && (n == 0 || set < n) {
		n, learnt = set, false
	}
	return n, learnt
}

// encoderStanding is how an encoder is doing.
type encoderStanding struct {
	profile encode.Profile
	uses    int
	// most is how many of it may be open, 0 for any number, and learnt whether the hardware said so.
	most   int
	learnt bool
}

// anyCodec stands for all of them.
const anyCodec = ""

// standings returns the encoders of a codec that are not banned, the preferred one in front, whether there is room for another or not. With all
// banned it returns all.
func (r *roster) standings(now time.Time, codec string) []encoderStanding {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list, banned []encoderStanding
	for _, e := range r.entries {
		s := encoderStanding{profile: e.factory.Profile(), uses: e.uses}
		if codec != anyCodec && s.profile.Codec != codec {
			continue
		}
		s.most, s.learnt = r.most(e, now)
		if now.Before(e.until) {
			banned = append(banned, s)
		} else {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return banned
	}
	return list
}

// best returns the encoder of a codec that is tried first; false when there is none.
func (r *roster) best(now time.Time, codec string) (encode.Profile, bool) {
	if order := r.order(now, codec); len(order) > 0 {
		return order[0].Profile(), true
	}
	return encode.Profile{}, false
}

// codecs returns the codecs that there are encoders for, the preferred first.
func (r *roster) codecs() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, codec := range encode.Codecs() {
		if slices.ContainsFunc(r.entries, func(e entry) bool { return e.factory.Profile().Codec == codec }) {
			list = append(list, codec)
		}
	}
	return list
}

// replace changes the encoders to choose from.
func (r *roster) replace(factories []encode.Factory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var next []entry
	for _, f := range factories {
		e := entry{factory: f}
		if old := r.find(f); old != nil {
			e.uses = old.uses
		}
		next = append(next, e)
	}
	r.entries = next
}

// use notes that encoders of f were opened or closed.
func (r *roster) use(f encode.Factory, more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(f); e != nil {
		e.uses += more
	}
}

// refused notes that f could not be opened, and tells whether that is because of those of it that are open: hardware has room for a few.
// Then so many are its limit, until one of them can be opened beside them after all. Else f is passed over for a while. The caller has noted that it
// does not use f.
func (r *roster) refused(f encode.Factory, now time.Time) (full bool, limit int) {
	r.mu.Lock()
	e := r.find(f)
	if e == nil || e.uses == 0 {
		r.mu.Unlock()
		r.failed(f, now)
		return false, 0
	}
	defer r.mu.Unlock()
	e.learnt, e.learntAt = e.uses, now
	return true, e.uses
}

// opened notes that f was opened, which shows a limit to be too low that said there was no room.
func (r *roster) opened(f encode.Factory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(f); e != nil && e.uses > e.learnt {
		e.learnt = 0
	}
}

// find returns the entry of f. The caller holds mu.
func (r *roster) find(f encode.Factory) *entry {
	name := f.Profile().Name
	for i := range r.entries {
		if r.entries[i].factory.Profile().Name == name {
			return &r.entries[i]
		}
	}
	return nil
}

// failed notes that f erred or hung.
func (r *roster) failed(f encode.Factory, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(f); e != nil {
		e.until = now.Add(min(firstBan<<min(e.failures, 8), longBan))
		e.failures++
	}
}
