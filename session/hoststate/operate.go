package hoststate

import (
	"fmt"
	"time"
)

// Orders returns what operators have ordered, for the next daemon.
func (h *State) Orders() Orders {
	v := h.View()
	return Orders{Cordon: v.Cordon, Drain: v.Drain}
}

// Drain makes the host take no new sessions. A drain during a drain replaces its order.
func (h *State) Drain(now time.Time, o DrainOrder) DrainStatus {
	h.cfg.Sessions.EndReservations()
	h.beginDrain(now, o)
	s := h.drain.status()
	h.update(now, true)
	return s
}

// beginDrain begins a drain.
func (h *State) beginDrain(now time.Time, o DrainOrder) {
	d := &drain{
		sessions: h.cfg.Sessions, emit: h.cfg.Emit, log: h.log,
		order: o, postpone: h.cfg.Settings().DrainPostpone, begun: now, atStart: h.cfg.Sessions.Present(),
		asked: make(map[string]bool), ends: make(map[string]planned),
	}
	if o.Postpone != nil {
		d.postpone = *o.Postpone
	}
	if o.Deadline > 0 {
		d.deadline = now.Add(o.Deadline)
	}
	h.drain = d
	event := h.cfg.Emit(Event{Kind: EventDrain, Reason: o.Policy.String(), Owner: o.Owner, Note: o.Note})
	h.log.Info("drain begun", "event", event, "policy", o.Policy.String(), "sessions", d.atStart,
		"deadline_seconds", o.Deadline.Seconds(), "postpone_seconds", d.postpone.Seconds(), "owner", o.Owner,
		"note", o.Note)
	d.plan()
	h.cfg.Sessions.Wake()
}

// Resume ends a drain: the host takes sessions again, unless it is cordoned.
func (h *State) Resume(now time.Time) {
	h.endDrain()
	h.update(now, true)
}

// HandOver leaves the sessions to be opened again by another daemon. Sessions that are left end after within, unless
// that is zero.
func (h *State) HandOver(now time.Time, within time.Duration) {
	h.handedOver = true
	h.beginDrain(now, DrainOrder{Policy: DrainWait, Deadline: within, Note: "upgrade"})
	h.update(now, false)
}

// Postpone postpones the planned end of a session, in total by what the drain allows.
func (h *State) Postpone(id string, by time.Duration) error {
	if err := h.cfg.Sessions.Find(id); err != nil {
		return err
	}
	if h.drain == nil {
		return fmt.Errorf("%w: the host is not draining", ErrNotPostponable)
	}
	return h.drain.postponeEnd(id, by)
}

// Cordon makes the host take no new sessions. A cordon during a cordon replaces it.
func (h *State) Cordon(now time.Time, o CordonOrder) CordonStatus {
	c := CordonStatus{Owner: o.Owner, Note: o.Note, Begun: now}
	if o.For > 0 {
		c.Until = now.Add(o.For)
	}
	h.cordon = &c
	h.cfg.Sessions.EndReservations()
	h.log.Info("cordoned", "event", h.cfg.Emit(Event{Kind: EventCordon, Owner: o.Owner, Note: o.Note}),
		"owner", o.Owner, "note", o.Note, "seconds", o.For.Seconds())
	h.update(now, true)
	return c
}

// Uncordon ends a cordon. A drain stays.
func (h *State) Uncordon(now time.Time) {
	h.endCordon(cordonRequested)
	h.update(now, true)
}

// SetProbation begins a probation, or its time anew, or ends it. A drain and a cordon stay.
func (h *State) SetProbation(now time.Time, on bool) {
	h.probation = false
	if on {
		h.beginProbation(now)
	}
	h.update(now, true)
}
