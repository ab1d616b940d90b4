package quality

import (
	"fmt"
	"time"
)

// State is the quality of a viewer's stream, as operators see it.
type State uint8

// The quality states, best first.
const (
	// Good: everything that was asked for is sent.
	Good State = iota
	// Constrained: the bitrate is below what was asked for, or below what the picture requires to be sharp.
	Constrained
	// Degraded: frame rate or size are stepped down too.
	Degraded
	// Critical: hardly usable; everything is at its floor, or the path loses or delays too much.
	Critical
	// Stalled: nothing is heard from the viewer.
	Stalled
)

var states = [...]string{"good", "constrained", "degraded", "critical", "stalled"}

// States lists all states, best first.
func States() []State { return all[State](len(states)) }

func (s State) String() string { return name(states[:], "state", uint8(s)) }

// Reason is why a quality state was entered.
type Reason uint8

// The reasons. Their numbers are part of recordings: another one comes last.
const (
	ReasonStartup Reason = iota
	ReasonQueueDelay
	ReasonLoss
	ReasonPolicer
	ReasonNoFeedback
	ReasonProbeOK
	ReasonCompetingTraffic
	ReasonEncoderOverload
	ReasonEncoderOvershoot
	ReasonUserLimit
	ReasonPeerLimit
	ReasonRecovered
	// ReasonHostSaturated: the host has not the cores for all sessions, and takes frame rate and size from this one.
	ReasonHostSaturated
)

var reasons = [...]string{
	"startup", "queue_delay", "loss", "policer", "no_feedback", "probe_ok", "competing_traffic", "encoder_overload",
	"encoder_overshoot", "user_limit", "peer_limit", "recovered", "host_saturated",
}

// Reasons lists all reasons.
func Reasons() []Reason { return all[Reason](len(reasons)) }

func (r Reason) String() string { return name(reasons[:], "reason", uint8(r)) }

// all lists the first n values of an enumeration.
func all[T ~uint8](n int) []T {
	values := make([]T, n)
	for i := range values {
		values[i] = T(i)
	}
	return values
}

// name returns the name of a value of an enumeration, or what it is and its number where it has none.
func name(names []string, what string, value uint8) string {
	if int(value) < len(names) {
		return names[value]
	}
	return fmt.Sprintf("%s(%d)", what, value)
}

// Transition is one change of the quality state, with the figures that decided it.
type Transition struct {
	Seq      uint64
	At       time.Time
	From, To State
	Reason   Reason
	// Dwell is how long From lasted.
	Dwell time.Duration
	// Target is the encoder's bitrate, Received what arrived lately, both in bits per second.
	Target, Received int
	RTT, QueueDelay  time.Duration
	Loss             float64 // 0 to 1
}
