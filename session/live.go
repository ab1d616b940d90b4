package session

import (
	"sync"
	"sync/atomic"
)

// live is a Config that can be replaced while the Manager runs.
type live struct {
	p  atomic.Pointer[Config]
	mu sync.Mutex // held by who makes the next one of the one before
}

func newLive(c Config) *live {
	l := &live{}
	l.p.Store(&c)
	return l
}

// get returns the Config. It is not to be changed.
func (l *live) get() *Config { return l.p.Load() }

// change replaces the Config by a copy that edit has changed, unless that returns an error. Of changes that come
// together none undoes another.
func (l *live) change(edit func(*Config) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := *l.get()
	if err := edit(&next); err != nil {
		return err
	}
	l.p.Store(&next)
	return nil
}
