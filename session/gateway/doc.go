// Package gateway is the outbound link to a signaling gateway, for hosts that viewers cannot reach by HTTP: behind a
// NAT, or in a pool that is only known to its gateway. A Link logs in, opens a WebSocket, binds to its account, and
// answers the offers that arrive. It hands them to the same session manager as the HTTP API does.
//
//	           ┌──────────── wait, back off ◀──────────┐
//	           ▼                                       │ lost
//	disconnected ─▶ logging_in ─▶ connecting ─▶ binding ─▶ bound
//	                    │             │            │
//	                    └─────────────┴────────────┴─▶ blocked (an operator is needed; tried again seldom)
//
// The gateway cannot affect a running session. The link only creates sessions and adds candidates to them. It ends a
// session only if that session's answer could not be sent. Media does not pass the gateway. Every queue is bounded,
// every wait on the network has a deadline, and messages are read no faster than a fixed rate.
//
// A Dialect is the protocol of one kind of gateway. Another kind needs another file with a Dialect.
package gateway
