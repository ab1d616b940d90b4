package session

import (
	"log/slog"
	"time"

	"wavryhost/session/hoststate"
	"wavryhost/session/lockorder"
	"wavryhost/session/peer"
)

// HostState is the state of the host as operators order it. Their orders are kept for the next daemon.
type HostState struct {
	conf *live
	log  *slog.Logger
	lend func() peer.Loan

	// mu is the registry's: a session is admitted, or a drain begins.
	mu    *lockorder.Mutex[registryLock]
	state *hoststate.State // guarded by mu

	// saving has room for one token: somebody keeps the orders.
	saving chan struct{}
}

// order does what an operator orders, and keeps it for the next daemon. When it returns, the order is kept or the log
// has the reason.
func (h *HostState) order(do func(now time.Time)) {
	h.mu.Lock()
	do(time.Now())
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
	orders := h.state.Orders()
	h.mu.Unlock()
	if err := keep(orders); err != nil {
		h.log.Error("cordon and drain are not kept: a restart ends or revives them", "err", err,
			"remedy", "make the state folder writable, and give the order again; wavry-host doctor checks it")
	}
}

// Drain makes the host take no new sessions at once. A drain during a drain replaces its order.
func (h *HostState) Drain(o hoststate.DrainOrder) (s hoststate.DrainStatus) {
	h.order(func(now time.Time) { s = h.state.Drain(now, o) })
	return s
}

// Draining returns how far the drain has come; ok is false when there is none.
func (h *HostState) Draining() (s hoststate.DrainStatus, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d := h.state.View().Drain; d != nil {
		return *d, true
	}
	return s, false
}

// Resume ends a drain: the host takes sessions again, unless it is cordoned.
func (h *HostState) Resume() { h.order(h.state.Resume) }

// Postpone postpones the planned end of a session, in total by what the drain allows.
func (h *HostState) Postpone(id string, by time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.Postpone(id, by)
}

// Cordon makes the host take no new sessions, at once. A cordon during a cordon replaces it.
func (h *HostState) Cordon(o hoststate.CordonOrder) (c hoststate.CordonStatus) {
	h.order(func(now time.Time) { c = h.state.Cordon(now, o) })
	return c
}

// Uncordon ends a cordon. A drain stays.
func (h *HostState) Uncordon() { h.order(h.state.Uncordon) }

// SetProbation begins a probation, or its time anew, or ends it. A drain and a cordon stay.
func (h *HostState) SetProbation(on bool) {
	h.order(func(now time.Time) { h.state.SetProbation(now, on) })
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
	h.state.HandOver(time.Now(), within)
}

// show returns a session as the control API shows it.
func (h *HostState) show(s *session) Snapshot {
	one := s.snapshot()
	h.mu.Lock()
	defer h.mu.Unlock()
	one.Ending, one.Moving = h.state.Ending(s.id, time.Now())
	return one
}
