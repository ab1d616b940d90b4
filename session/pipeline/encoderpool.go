package pipeline

import (
	"image"
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

const (
	// relearn is how long a limit that was learnt is believed while nothing ends: other programs, and drivers, change
	// what there is room for.
	relearn = 5 * time.Minute
	// busyFor is how long an encoder is left alone whose device has no room though no encode of ours is on it: other
	// programs use it.
	busyFor = time.Minute
)

// roster is the order in which the encoders of each codec are tried. One that failed in use goes to the end for a
// while, for all displays. One of which the hardware does no more stays good: others are used until one of its encodes
// ends.
type encoderPool struct {
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
	// busyUntil is set while others use the device.
	busyUntil time.Time
	// limits are the sizes that it takes, as far as that is known.
	limits encode.Limits
	// gone: it is not to choose from any more, and kept for as long as encoders of it are open.
	gone bool
}

func newEncoderPool(factories []encode.Factory, limit func() int) *encoderPool {
	r := &encoderPool{limit: limit}
	for _, f := range factories {
		r.entries = append(r.entries, entry{factory: f, limits: f.Profile().Limits})
	}
	return r
}

// order returns all factories of a codec, the one to try first in front.
func (r *encoderPool) order(now time.Time, codec string) []encode.Factory {
	r.mu.Lock()
	defer r.mu.Unlock()
	var good, full, banned []encode.Factory
	for _, e := range r.entries {
		switch {
		case e.gone || e.factory.Profile().Codec != codec:
		case now.Before(e.until):
			banned = append(banned, e.factory)
		case r.full(e, now):
			full = append(full, e.factory)
		default:
			good = append(good, e.factory)
		}
	}
	return slices.Concat(good, full, banned)
}

// full reports whether there is no room for another encoder of e. The caller holds mu.
func (r *encoderPool) full(e entry, now time.Time) bool {
	most, _ := r.most(e, now)
	return most > 0 && e.uses >= most || now.Before(e.busyUntil)
}

// better returns the first encoder that is preferred to f, is not banned, and has room.
func (r *encoderPool) better(now time.Time, f encode.Factory) (encode.Factory, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := f.Profile()
	for _, e := range r.entries {
		switch p := e.factory.Profile(); {
		case p.Name == used.Name:
			return nil, false
		case !e.gone && p.Codec == used.Codec && !now.Before(e.until) && !r.full(e, now):
			return e.factory, true
		}
	}
	return nil, false
}

// limits returns the sizes that f takes, as far as that is known.
func (r *encoderPool) limits(f encode.Factory) encode.Limits {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(f); e != nil {
		return e.limits
	}
	return f.Profile().Limits
}

// most returns how many encoders of e may be open, 0 for any number, and whether that was learnt. The caller holds mu.
func (r *encoderPool) most(e entry, now time.Time) (n int, learnt bool) {
	if e.learnt > 0 && now.Sub(e.learntAt) < relearn {
		n, learnt = e.learnt, true
	}
	if set := r.limit(); set > 0 && e.factory.Profile().Hardware && (n == 0 || set < n) {
		n, learnt = set, false
	}
	return n, learnt
}

// EncoderStatus is how an encoder is doing.
type EncoderStatus struct {
	Profile encode.Profile
	// Uses is the number of its open encodes.
	Uses int
	// Limit is the maximum number of open encodes, or 0 for no limit. Learnt reports whether the hardware set it.
	Limit  int
	Learnt bool
}

// AnyCodec stands for all codecs.
const AnyCodec = ""

// standings returns the encoders of a codec that are not banned, the preferred one in front, whether there is room for
// another or not. With all banned it returns all.
func (r *encoderPool) status(now time.Time, codec string) []EncoderStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list, banned []EncoderStatus
	for _, e := range r.entries {
		if e.gone {
			continue
		}
		s := EncoderStatus{Profile: e.factory.Profile(), Uses: e.uses}
		if codec != AnyCodec && s.Profile.Codec != codec {
			continue
		}
		s.Limit, s.Learnt = r.most(e, now)
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
func (r *encoderPool) best(now time.Time, codec string) (encode.Profile, bool) {
	if order := r.order(now, codec); len(order) > 0 {
		return order[0].Profile(), true
	}
	return encode.Profile{}, false
}

// codecs returns the codecs that there are encoders for, the preferred first.
func (r *encoderPool) codecs() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, codec := range encode.Codecs() {
		if slices.ContainsFunc(r.entries, func(e entry) bool { return !e.gone && e.factory.Profile().Codec == codec }) {
			list = append(list, codec)
		}
	}
	return list
}

// replace changes the encoders to choose from. Those that are open stay counted, whether they are among the new ones
// or not.
func (r *encoderPool) replace(factories []encode.Factory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var next []entry
	for _, f := range factories {
		e := entry{factory: f, limits: f.Profile().Limits}
		if old := r.find(f); old != nil {
			e.uses, old.uses = old.uses, 0
		}
		next = append(next, e)
	}
	for _, e := range r.entries {
		if e.uses > 0 {
			e.gone = true
			next = append(next, e)
		}
	}
	r.entries = next
}

// use notes that encoders of f were opened or closed.
func (r *encoderPool) use(f encode.Factory, more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(f); e != nil {
		e.uses += more
	}
	r.entries = slices.DeleteFunc(r.entries, func(e entry) bool { return e.gone && e.uses == 0 })
}

// busy notes that the device of f has no room for another encode. Those of it that are open are then its limit, until
// one of them can be opened beside them after all; with none of ours open others use it. It returns the limit, 0 for
// none. The caller has noted that it does not use f.
func (r *encoderPool) busy(f encode.Factory, now time.Time) (limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.find(f)
	switch {
	case e == nil:
		return 0
	case e.uses == 0:
		e.busyUntil = now.Add(busyFor)
		return 0
	}
	e.learnt, e.learntAt = e.uses, now
	return e.uses
}

// Sides between these are ones that every encoder takes: a refusal is about a shorter one, or a longer.
const (
	surelyLong  = 256
	surelyShort = 4096
)

// refusedSize notes that f takes no picture of a size, so that its limits are narrower than was known. It fails where
// a size is refused that every encoder takes.
func (r *encoderPool) refusedSize(f encode.Factory, size image.Point) (understood bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.find(f)
	if e == nil {
		return false
	}
	l := &e.limits
	if size.X < surelyLong {
		l.MinWidth, understood = max(l.MinWidth, size.X+2), true
	}
	if size.Y < surelyLong {
		l.MinHeight, understood = max(l.MinHeight, size.Y+2), true
	}
	most := l.Most()
	if size.X > surelyShort {
		l.MaxWidth, understood = min(most.X, max(surelyShort, size.X-2)), true
	}
	if size.Y > surelyShort {
		l.MaxHeight, understood = min(most.Y, max(surelyShort, size.Y-2)), true
	}
	return understood
}

// opened notes that f was opened, which shows a limit to be too low that said there was no room.
func (r *encoderPool) opened(f encode.Factory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(f); e != nil {
		e.busyUntil = time.Time{}
		if e.uses > e.learnt {
			e.learnt = 0
		}
	}
}

// find returns the entry of f. The caller holds mu.
func (r *encoderPool) find(f encode.Factory) *entry {
	name := f.Profile().Name
	for i := range r.entries {
		if r.entries[i].factory.Profile().Name == name {
			return &r.entries[i]
		}
	}
	return nil
}

// failed notes that f erred or hung.
func (r *encoderPool) failed(f encode.Factory, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.find(f); e != nil {
		e.until = now.Add(min(firstBan<<min(e.failures, 8), longBan))
		e.failures++
	}
}
