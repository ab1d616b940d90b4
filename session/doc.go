// Package session streams displays to viewers. Manager opens sessions, each of which is a viewer: a peer connection
// with the adaptation to its path. The registry owns them, package hoststate says whether the host takes more,
// package floor gives control of displays.
//
// # Locks
//
// Locks are taken in this order. A lock may be taken while those to its left are held, and while no other is, least of
// all another of its own kind. The tests of this package fail when one is taken in another order (see lockorder).
//
//	registryLock     ─▶ limitsLock, viewerLock, poolLock
//	floorLock        ─▶ viewerLock
//	subscriptionLock ─▶ controllerLock ─▶ viewerLock
//	subscriptionLock ─▶ limitsLock, watchedLock, poolLock, encodingLock
//	*                ─▶ journalLock, newsLock, refusalsLock, resizerLock, traceLock
//
// The star stands for all others: events may be emitted with any lock held. The locks of the log and of an injector's
// queue come last, too. Package pipeline documents the order of its own locks; it holds none of them when it calls a
// viewer. Package peer has its own order, too: a call of a peer may wait for the network, so none of these locks is
// held then.
//
// Nothing is done with a lock held that waits for a network, a display, a driver or a log: log records are written by
// a goroutine of their own, events go into memory, and injectors are made before the lock is taken. Code that may
// panic unlocks by a deferred call.
package session
