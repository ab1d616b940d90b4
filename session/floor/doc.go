// Package floor decides which session gives input to a display: one at a time (floor control, RFC 8855). A Control
// knows the displays, and each session is a Participant. Its messages travel one way:
//
//	data channel ─▶ Participant ─▶ Control: may it? ─▶ Injector ─▶ display
//
// The package sees a session's viewer as a Viewer, which tests fill with plain values. It does not know sessions,
// pictures or HTTP.
//
// # Locks
//
// A Control has one mutex, floorLock, which is held for each message of input, and nothing is done with it that waits.
// A Viewer is called with it held. Its place in the order of all locks is in the documentation of package session.
package floor
