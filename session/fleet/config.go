package fleet

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session/fleet/bus"
)

// Config configures an Agent.
type Config struct {
	// Bus says how to reach NATS. Its Identity is required, and is the identity of the host.
	Bus bus.Config
	// Serve answers requests of the control API. It may be nil, for none.
	Serve Serve
	// OrdersFile is the file of the standing orders that the host has answered. Without it they are carried out again
	// after a restart.
	OrdersFile string
	// Guard catches panics. Without a Guard they are only logged.
	Guard *guard.Guard
	// Counters counts what happens. It may be nil.
	Counters Counters

	// Beat is the interval of heartbeats, and Gone the time without one after which another host is gone. They default
	// to bus.BeatInterval and bus.GoneAfter; tests shorten them.
	Beat, Gone time.Duration
}

func (c Config) withDefaults() Config {
	if c.Counters == nil {
		c.Counters = uncounted{}
	}
	if c.Beat == 0 {
		c.Beat = bus.BeatInterval
	}
	if c.Gone == 0 {
		c.Gone = bus.GoneAfter
	}
	return c
}

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	if c.Bus.Identity == nil {
		return errors.New("fleet: there is no identity")
	}
	return c.Bus.Validate()
}

// Serve answers a request of the control API by a caller. It must return when the context of r ends.
type Serve func(w http.ResponseWriter, r *http.Request, c bus.Caller)

// Host is what an Agent asks of its host. Its methods are called by several goroutines, and must not block.
type Host interface {
	// Describe returns the host as others see it.
	Describe() bus.Description
	// Room returns the room for a session.
	Room(q bus.Ask) Room
}

// Counters counts what an Agent does. Several goroutines call it at the same time, and it must not block.
type Counters interface {
	// State is called for each state that the Agent enters.
	State(s State)
	// Bid is called for each answer to a question for room. offered reports whether the host has room.
	Bid(offered bool)
	// Request is called for each answered request, with the status of HTTP.
	Request(status int)
	// Dropped is called for each message that was not used.
	Dropped(d Drop)
}

// uncounted counts nothing.
type uncounted struct{}

var _ Counters = uncounted{}

func (uncounted) State(State)  {}
func (uncounted) Bid(bool)     {}
func (uncounted) Request(int)  {}
func (uncounted) Dropped(Drop) {}

// State is the state of an Agent. The set is closed: it labels a metric.
type State uint8

// The states of an Agent.
const (
	// StateDisconnected: there is no connection to NATS. Another attempt is made soon.
	StateDisconnected State = iota
	// StateConnected: the host is a member of the fleet.
	StateConnected
	// StateDuplicate: an older host has the same identity. This one stays silent until the other is gone.
	StateDuplicate
)

// States lists all states.
func States() []State { return []State{StateDisconnected, StateConnected, StateDuplicate} }

func (s State) String() string {
	switch s {
	case StateDisconnected:
		return "disconnected"
	case StateConnected:
		return "connected"
	case StateDuplicate:
		return "duplicate"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

// Drop is why a message was not used. The set is closed: it labels a metric.
type Drop uint8

// The reasons to drop a message.
const (
	// DropMalformed: the message is not understood.
	DropMalformed Drop = iota
	// DropForged: the message has the wrong signature.
	DropForged
	// DropFull: too many answers wait to be sent.
	DropFull
	// DropForbidden: NATS does not allow the subject.
	DropForbidden
	// DropReplayed: the request was there before, or is too old.
	DropReplayed
	// DropSlow: messages came faster than they could be handled.
	DropSlow
)

// Drops lists all reasons.
func Drops() []Drop {
	return []Drop{DropMalformed, DropForged, DropFull, DropForbidden, DropReplayed, DropSlow}
}

func (d Drop) String() string {
	switch d {
	case DropMalformed:
		return "malformed"
	case DropForged:
		return "forged"
	case DropFull:
		return "full"
	case DropForbidden:
		return "forbidden"
	case DropReplayed:
		return "replayed"
	case DropSlow:
		return "slow"
	default:
		return fmt.Sprintf("drop(%d)", uint8(d))
	}
}
