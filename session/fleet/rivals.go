package fleet

import (
	"sync"
	"time"

	"wavryhost/session/fleet/bus"
)

// rivals knows the current record, and whether other hosts have the same identity.
type rivals struct {
	mu          sync.Mutex // guards all following fields
	current     bus.Record
	unannounced bool
	older       time.Time // until when an older host counts as present
	warned      time.Time // when a younger one was last logged
	answered    time.Time // when a foreign beat was last answered
}

func (r *rivals) set(d bus.Description, revision uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = bus.Record{Revision: revision, Description: d}
}

// record returns the current record, as of now.
func (r *rivals) record() bus.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.current
	one.Time = time.Now()
	return one
}

// announce makes the next look send the record.
func (r *rivals) announce() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unannounced = true
}

func (r *rivals) takeAnnouncement() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.unannounced
	r.unannounced = false
	return was
}

// silent reports whether an older host has the same identity.
func (r *rivals) silent(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.older)
}
