// Package fleet makes the host a member of a fleet: a pool of hosts that gateways and operators reach through NATS. An
// Agent announces the host, bids for sessions, and serves the control API. All of it is optional. Sessions need none of
// it, and a NATS that is lost changes nothing for them.
//
// An Agent has one goroutine of its own, which sends everything that is due: heartbeats, records and delayed answers.
// The callbacks of NATS only put work into its bounded queue, except that each request of the control API has a
// goroutine, of which there are at most Config.MaxRequests.
package fleet
