package api

import (
	"errors"
	"time"
)

// FleetLink is what GET /v1/host shows of the host's place in a fleet; docs/operate/fleet.md explains its values.
type FleetLink struct {
	ID     string    `json:"id" doc:"ID of the host in the fleet."`
	State  string    `json:"state" enum:"disconnected,connected,duplicate" doc:"State of the connection to NATS; duplicate: an older host has the same identity, and this one stays silent."`
	Since  time.Time `json:"since" doc:"When the connection entered that state."`
	Reason string    `json:"reason,omitempty" doc:"The error, for people."`
	Server string    `json:"server,omitempty" doc:"The NATS server of the connection."`
}

// GatewayLink is what GET /v1/host shows of the link to a gateway; docs/integrate/gateway.md explains its values.
type GatewayLink struct {
	Gateway  string    `json:"gateway" doc:"Host and port of the gateway."`
	Dialect  string    `json:"dialect" doc:"Protocol of the gateway."`
	Username string    `json:"username,omitempty" doc:"Name of this host for viewers, once it is known."`
	State    string    `json:"state" enum:"disconnected,logging_in,connecting,binding,bound,blocked" doc:"State of the link."`
	Since    time.Time `json:"since" doc:"When the link entered that state."`
	Class    string    `json:"class,omitempty" doc:"Class of the current error, or of the last one."`
	Reason   string    `json:"reason,omitempty" doc:"The error, for people."`
	Failures int       `json:"failures" doc:"Number of attempts since the link was last stable."`
	NextTry  time.Time `json:"next_try,omitzero" doc:"Time of the next attempt, while the link waits for one."`
	Route    string    `json:"route" enum:"unknown,unproven,proven" doc:"Whether a message to the host's own account came back."`
}

// The states of a trial of the installed program.
const (
	TrialRunning = "running"
	TrialPassed  = "passed"
	TrialFailed  = "failed"
)

// ProgramTrial is what GET /v1/host shows of the last trial of the installed program.
type ProgramTrial struct {
	State    string   `json:"state" enum:"running,passed,failed" doc:"State of the trial."`
	Version  string   `json:"version,omitempty" doc:"Version of the installed program, once it said so."`
	Problems []string `json:"problems" doc:"What the installed program cannot do and the daemon can, or why it does not run."`
}

// The states of a self-probe.
const (
	ProbeRunning = "running"
	ProbePassed  = "passed"
	ProbeFailed  = "failed"
	ProbeSkipped = "skipped"
)

// The states of a handover.
const (
	HandoverRunning = "running"
	// HandoverImpossible means that this daemon cannot leave its sessions to another one.
	HandoverImpossible = "impossible"
	HandoverFailed     = "failed"
)

// Handover is what GET /v1/host shows of the last attempt to leave the host to the installed program.
type Handover struct {
	State   string `json:"state" enum:"running,impossible,failed" doc:"State of the attempt. After a success the new daemon answers, which has none."`
	Problem string `json:"problem,omitempty" doc:"Why it failed, or is impossible on this host, for people."`
}

// FormerDaemon is what GET /v1/host shows of the daemon that this one has taken over from.
type FormerDaemon struct {
	Sessions int `json:"sessions" doc:"Number of its remaining sessions."`
}

// SelfProbe is what GET /v1/host shows of the last self-probe: the daemon watched a display as a viewer does.
type SelfProbe struct {
	State      string    `json:"state" enum:"running,passed,failed,skipped" doc:"State of the self-probe; skipped if the host takes no sessions or has no display."`
	Display    string    `json:"display,omitempty" doc:"ID of the watched display."`
	Finished   time.Time `json:"finished,omitzero" doc:"When it finished."`
	FirstFrame float64   `json:"first_frame_seconds,omitempty" doc:"Time from its request to the first decoded picture, in seconds."`
	Similarity float64   `json:"similarity,omitempty" doc:"Structural similarity of its best picture to what was captured, as a fraction of 1. Absent if there was nothing to compare."`
	Problem    string    `json:"problem,omitempty" doc:"Why it failed or was skipped, for people."`
}

// Reloaded is the result of a configuration change.
type Reloaded struct {
	Applied      []string  `json:"applied" doc:"The changed settings that are applied."`
	NeedsRestart []string  `json:"needs_restart" doc:"The changed settings that require a restart of the daemon."`
	ConfirmBy    time.Time `json:"confirm_by,omitzero" doc:"When the change is reverted unless it is confirmed."`
}

var (
	// ErrBadConfiguration means that the configuration is not valid. Nothing of it was applied.
	ErrBadConfiguration = errors.New("configuration refused")
	// ErrNothingToConfirm means that no change waits for confirmation.
	ErrNothingToConfirm = errors.New("no configuration change waits for confirmation")
)
