// Package pool is the side of a fleet that gateways and operators use: it knows which hosts there are, finds room for
// sessions, and sends requests of the control API to one host or to many.
package pool

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
)

// The presence of a host.
const (
	// Present: its heartbeats come.
	Present = "present"
	// Stopping: it has said that it stops.
	Stopping = "stopping"
	// Stopped: it had said so, and its heartbeats have ended.
	Stopped = "stopped"
	// Gone: its heartbeats have ended without a word.
	Gone = "gone"
)

// Host is a host as a View knows it.
type Host struct {
	bus.Record
	// Presence is one of Present, Stopping, Stopped and Gone, since PresenceSince.
	Presence      string    `json:"presence"`
	PresenceSince time.Time `json:"presence_since"`
	// Seen is when the host was last heard.
	Seen time.Time `json:"seen"`
	// ClockOffset is how much the host's clock is ahead of this one, in seconds.
	ClockOffset float64 `json:"clock_offset_seconds"`
	// Duplicate reports whether two hosts have this identity.
	Duplicate bool `json:"duplicate,omitempty"`
}

// entry is what a View knows of a host.
type entry struct {
	host     Host
	sequence uint64
	// others are the other boots that were heard with this identity, and when.
	others map[string]time.Time
}

// View knows the hosts of a fleet. Its methods may be called from several goroutines.
type View struct {
	nc    *nats.Conn
	gone  time.Duration
	sweep time.Duration

	mu      sync.Mutex // guards all following fields
	hosts   map[string]*entry
	missing map[string]time.Time // hosts whose record was requested, and when
	changed chan struct{}        // closed and replaced at each change
	forged  int
}

// Options are the times of a View. Zero fields take their defaults.
type Options struct {
	// Gone is the time without a heartbeat after which a host is gone. It defaults to bus.GoneAfter.
	Gone time.Duration
}

// NewView returns a View over a connection, which stays the caller's.
func NewView(nc *nats.Conn, o Options) *View {
	gone := cmp.Or(o.Gone, bus.GoneAfter)
	return &View{
		nc: nc, gone: gone, sweep: min(gone/8, 500*time.Millisecond), hosts: make(map[string]*entry),
		missing: make(map[string]time.Time), changed: make(chan struct{}),
	}
}

// Run follows the fleet until ctx ends.
func (v *View) Run(ctx context.Context) error {
	inbox := v.nc.NewInbox()
	for subject, handle := range map[string]func(*nats.Msg){
		bus.SubjectBeats: v.beat, bus.SubjectRecords: v.record, inbox: v.record,
	} {
		s, err := v.nc.Subscribe(subject, handle)
		if err != nil {
			return fmt.Errorf("fleet: follow %s: %w", subject, err)
		}
		defer func() { _ = s.Unsubscribe() }()
	}
	if err := v.ask(inbox); err != nil {
		return err
	}
	tick := time.NewTicker(v.sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if v.age(now) {
				_ = v.ask(inbox) // a later beat asks again
			}
		}
	}
}

// askSpread is the time over which the records of all hosts come.
const askSpread = 200 * time.Millisecond

// ask requests all records.
func (v *View) ask(inbox string) error {
	data, _ := json.Marshal(map[string]float64{"spread_seconds": askSpread.Seconds()}) // a number always encodes
	if err := v.nc.PublishRequest(bus.SubjectWho, inbox, data); err != nil {
		return fmt.Errorf("fleet: ask for records: %w", err)
	}
	return nil
}

// Hosts returns the hosts, by region, pool and name.
func (v *View) Hosts() []Host {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := make([]Host, 0, len(v.hosts))
	for _, e := range v.hosts {
		list = append(list, e.host)
	}
	slices.SortFunc(list, func(a, b Host) int {
		return cmp.Or(cmp.Compare(a.Labels[bus.LabelRegion], b.Labels[bus.LabelRegion]),
			cmp.Compare(a.Labels[bus.LabelPool], b.Labels[bus.LabelPool]), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Changes returns a channel that is closed at the next change.
func (v *View) Changes() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// Forged returns the number of messages with a wrong signature.
func (v *View) Forged() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.forged
}

// news makes a change known. The caller holds mu.
func (v *View) news() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// record takes in a record.
func (v *View) record(m *nats.Msg) {
	r, err := bus.ParseRecord(m)
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.forged++
		return
	}
	now := time.Now()
	delete(v.missing, r.ID)
	e := v.hosts[r.ID]
	switch {
	case e == nil:
		e = &entry{others: make(map[string]time.Time)}
		v.hosts[r.ID] = e
	case r.Boot != e.host.Boot && r.Started.Before(e.host.Started):
		return // late, or of the older of two: its beats show that
	case r.Boot == e.host.Boot && r.Revision < e.host.Revision:
		return
	case r.Boot != e.host.Boot:
		e.sequence = 0
	}
	before := e.host
	e.host.Record = r
	e.heard(now, r.Time)
	if before.Boot != r.Boot || before.Revision != r.Revision || before.Presence != e.host.Presence {
		v.news()
	}
}

// heard notes that a host was heard, and the time by its clock.
func (e *entry) heard(now, theirs time.Time) {
	h := &e.host
	h.Seen = now
	h.ClockOffset = theirs.Sub(now).Seconds()
	presence := Present
	if h.State == bus.StateStopping {
		presence = Stopping
	}
	e.enter(presence, now)
}

func (e *entry) enter(presence string, now time.Time) {
	if e.host.Presence != presence {
		e.host.Presence, e.host.PresenceSince = presence, now
	}
}

// beat takes in a heartbeat. One of an unknown host, or of an unknown revision, makes Run request the records.
func (v *View) beat(m *nats.Msg) {
	b, err := bus.ParseBeat(m)
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.forged++
		return
	}
	now := time.Now()
	e := v.hosts[b.ID]
	if e == nil {
		v.miss(b.ID, now)
		return
	}
	if bus.VerifyBeat(m, e.host.Key) != nil {
		v.forged++
		return
	}
	switch {
	case b.Boot == e.host.Boot:
		if b.Sequence <= e.sequence {
			return // repeated
		}
		e.sequence = b.Sequence
		if b.Revision > e.host.Revision {
			v.miss(b.ID, now)
		}
		before := e.host.Presence
		e.heard(now, b.Time())
		if before != e.host.Presence {
			v.news()
		}
	case e.host.Presence == Present && now.Sub(e.host.Seen) < v.gone && now.Sub(b.Time()).Abs() < staleBeat:
		if b.Started > e.host.Started.UnixMilli() {
			v.miss(b.ID, now) // a daemon that was restarted after it was killed; its record is on the way
		}
		e.others[b.Boot] = now
		v.judge(e, now)
	default:
		v.miss(b.ID, now)
	}
}

// staleBeat is the age from which a heartbeat of another boot is a repetition of an old one.
const staleBeat = 5 * time.Minute

// judge decides whether two hosts have an identity: both boots are heard again and again. The caller holds mu.
func (v *View) judge(e *entry, now time.Time) {
	double := false
	for boot, at := range e.others {
		switch {
		case boot == e.host.Boot || now.Sub(at) > v.gone:
			delete(e.others, boot)
		case e.host.Seen.After(at) || now.Sub(e.host.Seen) < v.gone/2:
			double = true
		}
	}
	if double != e.host.Duplicate {
		e.host.Duplicate = double
		v.news()
	}
}

// maxMissing bounds the hosts whose record was requested.
const maxMissing = 4096

// miss notes that the record of a host is not known. The caller holds mu.
func (v *View) miss(id string, now time.Time) {
	if _, asked := v.missing[id]; !asked && len(v.missing) < maxMissing {
		v.missing[id] = now
	}
}

// age finds hosts that are no longer heard. It reports whether records are missing, and forgets which.
func (v *View) age(now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.hosts {
		v.judge(e, now)
		if now.Sub(e.host.Seen) < v.gone {
			continue
		}
		presence := Gone
		if e.host.Presence == Stopping || e.host.Presence == Stopped {
			presence = Stopped
		}
		if e.host.Presence != presence {
			e.enter(presence, now)
			v.news()
		}
	}
	missing := len(v.missing) > 0
	clear(v.missing)
	return missing
}
