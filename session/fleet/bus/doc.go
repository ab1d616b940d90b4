// Package bus is what both sides of a fleet share: the subjects and messages on NATS, the identity of hosts, and the
// connection. Hosts use it by package fleet, gateways and operators by package pool.
//
//	wavry.v1.beat.ID                 a host is alive                           host → all
//	wavry.v1.record.ID               what a host is; sent when it changes      host → all
//	wavry.v1.who                     request for all records                   pool → hosts
//	wavry.v1.ask.POOL.REGION.SHARD   who has room for a session?               pool → hosts
//	wavry.v1.api.ID.ROLE.NAME        a request of the control API to a host    pool → host
//	wavry.v1.all.ROLE.NAME           the same to all hosts with given labels   pool → hosts
//	wavry.v1.event.ID.KIND           an event of a host                        host → stream
//	wavry.v1.order.ROLE.NAME.ORDER   a request to hosts, until a time          pool → stream
//	wavry.v1.result.ID.ORDER         what a host has answered to it            host → stream
//
// The NATS server allows a host only the subjects with its own ID, and a client only those with its own role and name.
// So the subject identifies the client, and nobody else can use it.
package bus
