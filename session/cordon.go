package session

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// CordonOrder is what is asked of a cordon.
type CordonOrder struct {
	// Owner is who orders it, Note the reason for people.
	Owner, Note string
	// For is the time until the cordon ends. Zero means never.
	For time.Duration
}

// CordonStatus is a cordon: the host takes no new sessions, and the present ones continue.
type CordonStatus struct {
	Owner string    `json:"owner,omitempty" doc:"Name of the operator who ordered it."`
	Note  string    `json:"note,omitempty" doc:"The operator's reason."`
	Begun time.Time `json:"begun" doc:"When the cordon began."`
	Until time.Time `json:"until,omitzero" doc:"When the cordon ends; absent for never."`
}

// Orders is what operators have ordered of a host. It survives the daemon.
type Orders struct {
	Cordon *CordonStatus `json:"cordon,omitempty"`
	Drain  *DrainStatus  `json:"drain,omitempty"`
}

// Validate returns an error that names what is not understood.
func (s Orders) Validate() error {
	if s.Cordon != nil && s.Cordon.Begun.IsZero() {
		return errors.New("session: the cordon has no beginning")
	}
	if d := s.Drain; d != nil {
		if d.Begun.IsZero() {
			return errors.New("session: the drain has no beginning")
		}
		if !slices.Contains(words(DrainPolicies()), d.Policy) {
			return fmt.Errorf("session: the drain has the policy %.40q", d.Policy)
		}
	}
	return nil
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

// endCordon ends a cordon, if there is one. The caller holds mu.
func (h *HostState) endCordon(why string) {
	if h.cordon == nil {
		return
	}
	h.cordon = nil
	h.log.Info("cordon ended", "event", h.emit(Event{Kind: EventUncordon, Reason: why}), "reason", why)
}

// expire ends a cordon whose time is over. The next daemon drops such a cordon, so nothing is kept. The caller holds
// mu.
func (h *HostState) expire(now time.Time) {
	if h.cordon != nil && !h.cordon.Until.IsZero() && !now.Before(h.cordon.Until) {
		h.endCordon(cordonExpired)
	}
}

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
		d := h.drainStatus()
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
			order: DrainOrder{Policy: policy, Owner: d.Owner, Note: d.Note}, begun: d.Begun, deadline: d.Deadline,
			done: now, asked: make(map[string]bool),
		}
		h.log.Warn("still draining", "owner", d.Owner, "note", d.Note, "since", d.Begun,
			"remedy", "wavry-host drain --cancel")
	}
}
