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

// roster is the order in which the encoders of each codec are tried. One that failed in use goes to the end for a while, for all displays.
type roster struct {
	mu      sync.Mutex
	entries []entry
}

type entry struct {
	factory  encode.Factory
	failures int
	uses     int // encoders of it that are open
	until    time.Time
}

func newRoster(factories []encode.Factory) *roster {
	r := &roster{}
	for _, f := range factories {
		r.entries = append(r.entries, entry{factory: f})
	}
	return r
}

// order returns all factories of a codec, the one to try first in front.
func (r *roster) order(now time.Time, codec string) []encode.Factory {
	r.mu.Lock()
	defer r.mu.Unlock()
	var good, banned []encode.Factory
	for _, e := range r.entries {
		switch {
		case e.factory.Profile().Codec != codec:
		case now.Before(e.until):
			banned = append(banned, e.factory)
		default:
			good = append(good, e.factory)
		}
	}
	return append(good, banned...)
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

// busy tells whether an encoder of f is open. Hardware has room for a few.
func (r *roster) busy(f encode.Factory) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.find(f)
	return e != nil && e.uses > 0
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
