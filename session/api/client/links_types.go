// Code generated from docs/integrate/openapi.json by go test -update. DO NOT EDIT.

package client

import "time"

// FleetLink is the schema of that name in the OpenAPI document.
type FleetLink struct {
	// ID of the host in the fleet.
	ID string `json:"id"`
	// The error, for people.
	Reason string `json:"reason,omitempty"`
	// The NATS server of the connection.
	Server string `json:"server,omitempty"`
	// When the connection entered that state.
	Since time.Time `json:"since"`
	// State of the connection to NATS; duplicate: an older host has the same identity, and this one stays silent.
	State string `json:"state"`
}

// FormerDaemon is the schema of that name in the OpenAPI document.
type FormerDaemon struct {
	// Number of its remaining sessions.
	Sessions int `json:"sessions"`
}

// GatewayLink is the schema of that name in the OpenAPI document.
type GatewayLink struct {
	// Class of the current error, or of the last one.
	Class string `json:"class,omitempty"`
	// Protocol of the gateway.
	Dialect string `json:"dialect"`
	// Number of attempts since the link was last stable.
	Failures int `json:"failures"`
	// Host and port of the gateway.
	Gateway string `json:"gateway"`
	// Time of the next attempt, while the link waits for one.
	NextTry time.Time `json:"next_try,omitzero"`
	// The error, for people.
	Reason string `json:"reason,omitempty"`
	// Whether a message to the host's own account came back.
	Route string `json:"route"`
	// When the link entered that state.
	Since time.Time `json:"since"`
	// State of the link.
	State string `json:"state"`
	// Name of this host for viewers, once it is known.
	Username string `json:"username,omitempty"`
}

// Handover is the schema of that name in the OpenAPI document.
type Handover struct {
	// Why it failed, or is impossible on this host, for people.
	Problem string `json:"problem,omitempty"`
	// State of the attempt. After a success the new daemon answers, which has none.
	State string `json:"state"`
}

// ProgramTrial is the schema of that name in the OpenAPI document.
type ProgramTrial struct {
	// What the installed program cannot do and the daemon can, or why it does not run.
	Problems []string `json:"problems"`
	// State of the trial.
	State string `json:"state"`
	// Version of the installed program, once it said so.
	Version string `json:"version,omitempty"`
}

// RelayStatus is the schema of that name in the OpenAPI document.
type RelayStatus struct {
	// Time of the last probe.
	Checked time.Time `json:"checked,omitzero"`
	// The error, for people.
	Error string `json:"error,omitempty"`
	// Priority in the region; a number of 0 to 1000, the lowest goes first.
	Priority int `json:"priority"`
	// Why the last probe failed; missing if it succeeded.
	Reason ICEServerReason `json:"reason,omitempty"`
	// Region of the server, if it has one.
	Region string `json:"region,omitempty"`
	// Round-trip time of the last successful probe, in seconds.
	RTTSeconds float64 `json:"rtt_seconds"`
	// Number of sessions that got no relayed address from this server or from any other that they used.
	SessionsWithoutRelay int `json:"sessions_without_relay"`
	// When the state was entered.
	Since time.Time `json:"since"`
	// Whether it works: unknown before the first probes, up, or down.
	State ICEServerState `json:"state"`
	// URL of the server.
	URL string `json:"url"`
}

// SelfProbe is the schema of that name in the OpenAPI document.
type SelfProbe struct {
	// ID of the watched display.
	Display string `json:"display,omitempty"`
	// When it finished.
	Finished time.Time `json:"finished,omitzero"`
	// Time from its request to the first decoded picture, in seconds.
	FirstFrameSeconds float64 `json:"first_frame_seconds,omitempty"`
	// Why it failed or was skipped, for people.
	Problem string `json:"problem,omitempty"`
	// Structural similarity of its best picture to what was captured, as a fraction of 1. Absent if there was
	// nothing to compare.
	Similarity float64 `json:"similarity,omitempty"`
	// State of the self-probe; skipped if the host takes no sessions or has no display.
	State string `json:"state"`
}
