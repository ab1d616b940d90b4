package session

import (
	"fmt"
	"slices"
	"time"

	"wavryhost/session/peer"
)

// change does what an operator orders, and keeps it for the next daemon. When it returns, the order is kept or the log
// has the reason.
func (h *HostState) change(order func(now time.Time)) {
	h.mu.Lock()
	now := time.Now()
	h.ordered = true
	order(now)
	h.update(now)
	h.ordered = false
	h.mu.Unlock()
	h.save()
}

// save keeps the orders for the next daemon. One at a time does, so the newest orders are the last ones kept.
func (h *HostState) save() {
	keep := h.conf.get().Keep
	if keep == nil {
		return
	}
	h.saving <- struct{}{}
	defer func() { <-h.saving }()
	h.mu.Lock()
	s := Orders{Cordon: h.cordon}
	if h.drain != nil {
		d := h.drain.status()
		s.Drain = &d
	}
	h.mu.Unlock()
	if err := keep(s); err != nil {
		h.log.Error("cordon and drain are not kept: a restart ends or revives them", "err", err,
			"remedy", "make the state folder writable, and give the order again; wavry-host doctor checks it")
	}
}

// restore takes over what was ordered of an earlier daemon. The caller holds mu, or nobody else has h yet.
func (h *HostState) restore(s Orders, now time.Time) {
	if c := s.Cordon; c != nil && (c.Until.IsZero() || now.Before(c.Until)) {
		h.cordon = c
		h.log.Warn("still cordoned", "owner", c.Owner, "note", c.Note, "since", c.Begun, "remedy", "wavry-host uncordon")
	}
	if d := s.Drain; d != nil {
		policy := DrainPolicy(max(0, slices.Index(words(DrainPolicies()), d.Policy))) //nolint:gosec // one of a few
		h.drain = &drain{
			sessions: h.owner, emit: h.emit, log: h.log,
			order: DrainOrder{Policy: policy, Owner: d.Owner, Note: d.Note}, begun: d.Begun, deadline: d.Deadline,
			done: now, asked: make(map[string]bool),
		}
		h.log.Warn("still draining", "owner", d.Owner, "note", d.Note, "since", d.Begun,
			"remedy", "wavry-host drain --cancel")
	}
}

// Drain makes the host take no new sessions at once. A drain during a drain replaces its order.
func (h *HostState) Drain(o DrainOrder) DrainStatus {
	var s DrainStatus
	h.change(func(now time.Time) {
		h.owner.endReservations()
		h.beginDrain(now, o)
		s = h.drain.status()
	})
	return s
}

// Draining returns how far the drain has come; ok is false when there is none.
func (h *HostState) Draining() (s DrainStatus, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.drain == nil {
		return s, false
	}
	return h.drain.status(), true
}

// Resume ends a drain: the host takes sessions again, unless it is cordoned.
func (h *HostState) Resume() { h.change(func(time.Time) { h.endDrain() }) }

// Postpone postpones the planned end of a session, in total by what the drain allows.
func (h *HostState) Postpone(id string, by time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, err := h.owner.lookUp(id)
	if err != nil {
		return err
	}
	if h.drain == nil {
		return fmt.Errorf("%w: the host is not draining", ErrNotPostponable)
	}
	return h.drain.postponeEnd(s, by)
}

// Cordon makes the host take no new sessions, at once. A cordon during a cordon replaces it.
func (h *HostState) Cordon(o CordonOrder) CordonStatus {
	var c CordonStatus
	h.change(func(now time.Time) {
		c = CordonStatus{Owner: o.Owner, Note: o.Note, Begun: now}
		if o.For > 0 {
			c.Until = now.Add(o.For)
		}
		h.cordon = &c
		h.owner.endReservations()
		h.log.Info("cordoned", "event", h.emit(Event{Kind: EventCordon, Owner: o.Owner, Note: o.Note}),
			"owner", o.Owner, "note", o.Note, "seconds", o.For.Seconds())
	})
	return c
}

// Uncordon ends a cordon. A drain stays.
func (h *HostState) Uncordon() { h.change(func(time.Time) { h.endCordon(cordonRequested) }) }

// SetProbation begins a probation, or its time anew, or ends it. A drain and a cordon stay.
func (h *HostState) SetProbation(on bool) {
	h.change(func(now time.Time) {
		h.probation = false
		if on {
			h.beginProbation(now)
		}
	})
}

// Lend returns the media sockets, for a daemon that takes over from this one.
func (h *HostState) Lend() peer.Loan { return h.lend() }

// HandOver leaves the host's sessions to be opened again by the daemon that takes over from this one. No new ones are
// accepted here, and its reservations cannot be used any more. Viewers see that they should open a session there
// (Snapshot.Moving). Sessions that are left end after within, unless that is zero. It cannot be undone, and the next
// daemon does not know of it.
func (h *HostState) HandOver(within time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handedOver = true
	now := time.Now()
	h.beginDrain(now, DrainOrder{Policy: DrainWait, Deadline: within, Note: "upgrade"})
	h.update(now)
}
