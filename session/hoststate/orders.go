package hoststate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"wavryhost/session/enum"
)

// ErrNotPostponable means that the end of a session is not planned, or cannot be postponed further.
var ErrNotPostponable = errors.New("hoststate: end cannot be postponed")

// DrainPolicy is what a drain does with existing sessions.
type DrainPolicy uint8

// The policies of a drain.
const (
	// DrainWait leaves them alone until the deadline.
	DrainWait DrainPolicy = iota
	// DrainMove asks for them to be moved to other hosts, one after the other in the first half of the time, by an
	// event each.
	DrainMove
	// DrainEnd ends them one after the other, spread over the time.
	DrainEnd
)

var drainPolicies = [...]string{
	DrainWait: "wait",
	DrainMove: "move",
	DrainEnd:  "end",
}

// DrainPolicies lists all policies of a drain.
func DrainPolicies() []DrainPolicy { return enum.All[DrainPolicy](drainPolicies[:]) }

func (p DrainPolicy) String() string { return enum.Name(drainPolicies[:], p) }

// DrainOrder is what is asked of a drain.
type DrainOrder struct {
	Policy DrainPolicy
	// Deadline is how long sessions may continue, whatever the policy. The remaining ones end one after the other in
	// the last part of the time, see endShare, and the last one at the deadline. Zero has no deadline with DrainWait and
	// DrainMove, and ends sessions at once with DrainEnd.
	Deadline time.Duration
	// Postpone is for how long in total a viewer may postpone the end of its session, also beyond the deadline. nil
	// takes Settings.DrainPostpone.
	Postpone *time.Duration
	// Owner is who orders it, Note the reason for people.
	Owner, Note string
}

// DrainStatus is how far a drain has come.
type DrainStatus struct {
	Policy   string    `json:"policy" set:"DrainPolicy" doc:"wait leaves sessions running until the deadline; move requests by one event each that they be moved; end ends them one after the other."`
	Owner    string    `json:"owner,omitempty" doc:"Name of the operator who ordered it."`
	Note     string    `json:"note,omitempty" doc:"The operator's reason."`
	Begun    time.Time `json:"begun" doc:"When the drain began."`
	Deadline time.Time `json:"deadline,omitzero" doc:"When the remaining sessions end; absent for never."`
	// Done is when the last session was gone.
	Done      time.Time `json:"done,omitzero" doc:"When the last session ended; absent before."`
	AtStart   int       `json:"sessions_at_start" doc:"Number of sessions when the drain began."`
	Left      int       `json:"sessions_left" doc:"Number of remaining sessions."`
	Asked     int       `json:"sessions_asked_to_move" doc:"Number of sessions for which an event has requested a move."`
	Postpone  float64   `json:"postpone_seconds" doc:"For how long in total a viewer may postpone the end of its session, in seconds; also beyond the deadline."`
	Postponed int       `json:"sessions_postponed" doc:"Number of remaining sessions whose end was postponed."`
}

// PlannedEnd is the planned end of a session.
type PlannedEnd struct {
	At       time.Time `json:"at" doc:"When the session ends."`
	In       float64   `json:"in_seconds" doc:"How long the session still lasts, in seconds."`
	Reason   string    `json:"reason" set:"EndReason" doc:"Why it ends."`
	Note     string    `json:"note,omitempty" doc:"The operator's reason."`
	Postpone float64   `json:"postpone_seconds" doc:"For how long the viewer may still postpone the end, in seconds; 0 for not at all."`
}

// CordonOrder is what is asked of a cordon.
type CordonOrder struct {
	// Owner is who orders it, Note the reason for people.
	Owner, Note string
	// For is the time until the cordon ends. Zero means never.
	For time.Duration
}

// CordonStatus is a cordon: the host takes no new sessions, and the present ones continue.
type CordonStatus struct {
	Owner string    `json:"owner,omitempty" doc:"Name of the operator who ordered it."`
	Note  string    `json:"note,omitempty" doc:"The operator's reason."`
	Begun time.Time `json:"begun" doc:"When the cordon began."`
	Until time.Time `json:"until,omitzero" doc:"When the cordon ends; absent for never."`
}

// Orders is what operators have ordered of a host. It survives the daemon.
type Orders struct {
	Cordon *CordonStatus `json:"cordon,omitempty"`
	Drain  *DrainStatus  `json:"drain,omitempty"`
}

// Validate returns an error that names what is not understood.
func (s Orders) Validate() error {
	if s.Cordon != nil && s.Cordon.Begun.IsZero() {
		return errors.New("the cordon has no beginning")
	}
	if d := s.Drain; d != nil {
		if d.Begun.IsZero() {
			return errors.New("the drain has no beginning")
		}
		if !slices.ContainsFunc(DrainPolicies(), func(p DrainPolicy) bool { return p.String() == d.Policy }) {
			return fmt.Errorf("the drain has the policy %.40q", d.Policy)
		}
	}
	return nil
}
