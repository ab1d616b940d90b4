package session

import (
	"time"

	"wavryhost/session/peer"
)

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
