package adapt

import "fmt"

// State is the quality of a viewer's stream, as operators see it.
type State uint8

// The quality states, best first.
const (
	// Good: everything that was asked for is sent.
	Good State = iota
	// Constrained: the bitrate is below what was asked for.
	Constrained
	// Degraded: frame rate or size are stepped down too.
	Degraded
	// Critical: hardly usable; everything is at its floor, or the path loses or delays too much.
	Critical
	// Stalled: nothing is heard from the viewer.
	Stalled
)

// States lists all states, best first.
func States() []State { return []State{Good, Constrained, Degraded, Critical, Stalled} }

func (s State) String() string {
	switch s {
	case Good:
		return "good"
	case Constrained:
		return "constrained"
	case Degraded:
		return "degraded"
	case Critical:
		return "critical"
	case Stalled:
		return "stalled"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

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

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{
		ReasonStartup, ReasonQueueDelay, ReasonLoss, ReasonPolicer, ReasonNoFeedback, ReasonProbeOK,
		ReasonCompetingTraffic, ReasonEncoderOverload, ReasonEncoderOvershoot, ReasonUserLimit, ReasonPeerLimit,
		ReasonRecovered, ReasonHostSaturated,
	}
}

func (r Reason) String() string {
	switch r {
	case ReasonStartup:
		return "startup"
	case ReasonQueueDelay:
		return "queue_delay"
	case ReasonLoss:
		return "loss"
	case ReasonPolicer:
		return "policer"
	case ReasonNoFeedback:
		return "no_feedback"
	case ReasonProbeOK:
		return "probe_ok"
	case ReasonCompetingTraffic:
		return "competing_traffic"
	case ReasonEncoderOverload:
		return "encoder_overload"
	case ReasonEncoderOvershoot:
		return "encoder_overshoot"
	case ReasonUserLimit:
		return "user_limit"
	case ReasonPeerLimit:
		return "peer_limit"
	case ReasonRecovered:
		return "recovered"
	case ReasonHostSaturated:
		return "host_saturated"
	default:
		return fmt.Sprintf("reason(%d)", uint8(r))
	}
}
