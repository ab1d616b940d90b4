package pipeline

import (
	"errors"
	"image"
	"slices"
	"time"

	"wavryhost/encode"
	"wavryhost/session/lockorder"
)

// How long an encoder that failed or hung is banned: initially and at most. The time doubles with each failure.
const (
	firstBan = 30 * time.Second
	longBan  = 10 * time.Minute
)

const (
	// relearn is how long a learnt limit holds while no encoding ends. Other programs and drivers change what there is
	// room for.
	relearn = 5 * time.Minute
	// busyFor is how long an encoder is not used whose device has no room although none of our encodings runs on it:
	// other programs use it.
	busyFor = time.Minute
)

// encoderPool holds the encoders of each format in the order in which they are tried. An encoder that failed in use
// goes to the end for a while, for all displays. An encoder whose device is full is not at fault: others are used
// until one of its encodings ends.
type encoderPool struct {
	limit func() int // maximum number of concurrent hardware encodings, or 0 for no limit

	mu      lockorder.Mutex[encoderPoolLock]
	entries []entry
}

// entry is the state of an encoder.
type entry struct {
	factory  encode.Factory
	failures int
	uses     int       // encoders of it that are open or being opened
	until    time.Time // end of the ban
	// learnt is how many were open when no more could be opened, or 0 while that has not happened.
	learnt   int
	learntAt time.Time
	// busyUntil is set while other programs use the device.
	busyUntil time.Time
	// limits are the sizes that it supports, as far as that is known.
	limits encode.Limits
	// surfaces are the surfaces that it reads.
	surfaces encode.Surfaces
	// gone reports whether it is no longer one of the encoders to choose from. It stays as long as encodes of it are
	// open.
	gone bool
}

func newEncoderPool(factories []encode.Factory, limit func() int) *encoderPool {
	p := &encoderPool{limit: limit}
	for _, f := range factories {
		p.entries = append(p.entries, newEntry(f))
	}
	return p
}

func newEntry(f encode.Factory) entry {
	profile := f.Profile()
	return entry{factory: f, limits: profile.Limits, surfaces: profile.Surfaces}
}

// order returns all factories of a format, in the order in which to try them.
func (p *encoderPool) order(now time.Time, format encode.Format) []encode.Factory {
	p.mu.Lock()
	defer p.mu.Unlock()
	var good, full, banned []encode.Factory
	for _, e := range p.entries {
		switch {
		case e.gone || e.factory.Profile().Format != format:
		case now.Before(e.until):
			banned = append(banned, e.factory)
		case p.full(e, now):
			full = append(full, e.factory)
		default:
			good = append(good, e.factory)
		}
	}
	return slices.Concat(good, full, banned)
}

// full reports whether there is no room for another encoder of e. The caller holds mu.
func (p *encoderPool) full(e entry, now time.Time) bool {
	most, _ := p.most(e, now)
	return most > 0 && e.uses >= most || now.Before(e.busyUntil)
}

// better returns the first encoder that is preferred to f, is not banned, and has room.
func (p *encoderPool) better(now time.Time, f encode.Factory) (encode.Factory, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	used := f.Profile()
	for _, e := range p.entries {
		switch next := e.factory.Profile(); {
		case next.Name == used.Name:
			return nil, false
		case !e.gone && next.Format == used.Format && !now.Before(e.until) && !p.full(e, now):
			return e.factory, true
		}
	}
	return nil, false
}

// hasRoom reports whether another encoder of f can be opened, as far as that is known.
func (p *encoderPool) hasRoom(f encode.Factory, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.find(f)
	return e != nil && !e.gone && !now.Before(e.until) && !p.full(*e, now)
}

// limits returns the sizes that f supports, as far as that is known.
func (p *encoderPool) limits(f encode.Factory) encode.Limits {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.find(f); e != nil {
		return e.limits
	}
	return f.Profile().Limits
}

// surfaces returns the surfaces that f reads.
func (p *encoderPool) surfaces(f encode.Factory) encode.Surfaces {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.find(f); e != nil {
		return e.surfaces
	}
	return encode.Surfaces{}
}

// nextSurfaces returns the surfaces that the encoder of a format reads that is tried first.
func (p *encoderPool) nextSurfaces(now time.Time, format encode.Format) encode.Surfaces {
	if order := p.order(now, format); len(order) > 0 {
		return p.surfaces(order[0])
	}
	return encode.Surfaces{}
}

// noSurfaces notes that f could not read a surface.
func (p *encoderPool) noSurfaces(f encode.Factory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.find(f); e != nil {
		e.surfaces = encode.Surfaces{}
	}
}

// most returns how many encoders of e may be open, or 0 for no limit, and whether that was learnt. The caller holds
// mu.
func (p *encoderPool) most(e entry, now time.Time) (n int, learnt bool) {
	if e.learnt > 0 && now.Sub(e.learntAt) < relearn {
		n, learnt = e.learnt, true
	}
	if set := p.limit(); set > 0 && e.factory.Profile().Hardware && (n == 0 || set < n) {
		n, learnt = set, false
	}
	return n, learnt
}

// EncoderStatus is the status of an encoder.
type EncoderStatus struct {
	Profile encode.Profile
	// Uses is the number of its open encodings.
	Uses int
	// Limit is the maximum number of open encodings, or 0 for no limit. Learnt reports whether the hardware set it.
	Limit  int
	Learnt bool
}

// status returns the encoders of a format that are not banned, the preferred one first, with or without room. If all
// are banned, it returns all. The zero Format stands for all formats.
func (p *encoderPool) status(now time.Time, format encode.Format) []EncoderStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list, banned []EncoderStatus
	for _, e := range p.entries {
		if e.gone {
			continue
		}
		s := EncoderStatus{Profile: e.factory.Profile(), Uses: e.uses}
		if format != (encode.Format{}) && s.Profile.Format != format {
			continue
		}
		s.Limit, s.Learnt = p.most(e, now)
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

// best returns the encoder of a format that is tried first. It reports false if there is none.
func (p *encoderPool) best(now time.Time, format encode.Format) (encode.Profile, bool) {
	if order := p.order(now, format); len(order) > 0 {
		return order[0].Profile(), true
	}
	return encode.Profile{}, false
}

// formats returns the formats that have an encoder, the preferred one first.
func (p *encoderPool) formats() (list []encode.Format) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, format := range encode.Formats() {
		if slices.ContainsFunc(p.entries, func(e entry) bool { return !e.gone && e.factory.Profile().Format == format }) {
			list = append(list, format)
		}
	}
	return list
}

// replace replaces the encoders to choose from. Open encodings of old and new ones stay counted.
func (p *encoderPool) replace(factories []encode.Factory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var next []entry
	for _, f := range factories {
		e := newEntry(f)
		if old := p.find(f); old != nil {
			e.uses, old.uses = old.uses, 0
		}
		next = append(next, e)
	}
	for _, e := range p.entries {
		if e.uses > 0 {
			e.gone = true
			next = append(next, e)
		}
	}
	p.entries = next
}

// use notes that encoders of f were opened or closed.
func (p *encoderPool) use(f encode.Factory, more int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.find(f); e != nil {
		e.uses += more
	}
	p.entries = slices.DeleteFunc(p.entries, func(e entry) bool { return e.gone && e.uses == 0 })
}

// busy notes that the device of f has no room for another encoding. The number of open encodings of f is then its
// limit, until another one can be opened after all. If none is open, other programs use the device. It returns the
// limit, or 0 for none. The caller has noted that it does not use f.
func (p *encoderPool) busy(f encode.Factory, now time.Time) (limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.find(f)
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

// Every encoder supports sides between these. A refusal is about a shorter side or a longer one.
const (
	surelyLong  = 256
	surelyShort = 4096
)

// refusedSize notes that f does not support a size, and corrects its limits: as the refusal says, or else a little
// narrower than the size. It reports false for a size that every encoder supports.
func (p *encoderPool) refusedSize(f encode.Factory, size image.Point, err error) (understood bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.find(f)
	if e == nil {
		return false
	}
	l := &e.limits
	if refused, ok := errors.AsType[*encode.SizeError](err); ok && refused.Limits.Check(size.X, size.Y) != nil {
		*l = l.With(refused.Limits)
		return true
	}
	if size.X < surelyLong {
		l.Min.X, understood = max(l.Min.X, size.X+2), true
	}
	if size.Y < surelyLong {
		l.Min.Y, understood = max(l.Min.Y, size.Y+2), true
	}
	most := l.Most()
	if size.X > surelyShort {
		l.Max.X, understood = min(most.X, max(surelyShort, size.X-2)), true
	}
	if size.Y > surelyShort {
		l.Max.Y, understood = min(most.Y, max(surelyShort, size.Y-2)), true
	}
	return understood
}

// opened notes that f was opened. If there was no room by a learnt limit, that limit is too low.
func (p *encoderPool) opened(f encode.Factory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.find(f); e != nil {
		e.busyUntil = time.Time{}
		if e.uses > e.learnt {
			e.learnt = 0
		}
	}
}

// find returns the entry of f. The caller holds mu.
func (p *encoderPool) find(f encode.Factory) *entry {
	name := f.Profile().Name
	for i := range p.entries {
		if p.entries[i].factory.Profile().Name == name {
			return &p.entries[i]
		}
	}
	return nil
}

// hasFailed reports whether f failed or hung before.
func (p *encoderPool) hasFailed(f encode.Factory) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.find(f)
	return e != nil && e.failures > 0
}

// failed notes that f failed or hung.
func (p *encoderPool) failed(f encode.Factory, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.find(f); e != nil {
		e.until = now.Add(min(firstBan<<min(e.failures, 8), longBan))
		e.failures++
	}
}
