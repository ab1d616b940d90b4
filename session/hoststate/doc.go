// Package hoststate is the state of a host: whether it takes sessions, and how well it serves them. Operators order
// cordons, drains and probations; a drain plans when each session moves or ends.
//
//	orders ───┐
//	failures ─┼─▶ State ─▶ events, and the ends of sessions
//	time ─────┘
//
// The package sees the sessions of the host as Sessions, which tests fill with plain values. It has no lock and no
// clock: the caller guards a State, and gives it the time.
package hoststate
