// Code generated from docs/integrate/openapi.json by go test -update. DO NOT EDIT.

package client

// CordonRequest is the schema of that name in the OpenAPI document.
type CordonRequest struct {
	// When the cordon ends, in seconds from now. 0, the default, means never.
	DurationSeconds float64 `json:"duration_seconds,omitempty"`
	// The reason, for people: it is in GET /v1/host, the log and the event.
	Note string `json:"note,omitempty"`
}

// DisplaySize is the schema of that name in the OpenAPI document.
type DisplaySize struct {
	// Height in pixels.
	Height int `json:"height"`
	// Width in pixels.
	Width int `json:"width"`
}

// DrainRequest is the schema of that name in the OpenAPI document.
type DrainRequest struct {
	// How long the sessions may continue, in seconds. 0 means without limit; with the policy end it means that they
	// end at once.
	DeadlineSeconds float64 `json:"deadline_seconds"`
	// The reason, for people: it is in GET /v1/host, the log and the event.
	Note string `json:"note,omitempty"`
	// What happens to the sessions before the deadline. wait, the default, does nothing. move asks for each to be
	// moved, by an event session_move. end ends them one by one.
	Policy DrainPolicy `json:"policy,omitempty"`
	// For how long in total a viewer may postpone the end of its session, in seconds, also beyond the deadline; 0
	// for not at all. Default: the setting sessions.drain_postpone.
	PostponeSeconds float64 `json:"postpone_seconds,omitempty"`
}

// HandoverRequest is the schema of that name in the OpenAPI document.
type HandoverRequest struct {
	// When the sessions end that have not moved to the new daemon, in seconds from now; 0 for never.
	DeadlineSeconds float64 `json:"deadline_seconds,omitempty"`
}

// Postponing is the schema of that name in the OpenAPI document.
type Postponing struct {
	// By how long, in seconds. Default: 300. It is shortened to what the drain allows.
	Seconds float64 `json:"seconds,omitempty"`
}

// ReloadRequest is the schema of that name in the OpenAPI document.
type ReloadRequest struct {
	// Revert the change after this time, in seconds, unless it is confirmed; 0 means never.
	ConfirmSeconds float64 `json:"confirm_seconds,omitempty"`
}

// ReservationRequest is the schema of that name in the OpenAPI document.
type ReservationRequest struct {
	// ID of a display. Default: the first display.
	Display string `json:"display,omitempty"`
	// The client's own ID, shown in lists, events and the audit log.
	ExternalID string `json:"external_id,omitempty"`
	// How long the reservation is held, in seconds. Default: 15.
	HoldSeconds float64 `json:"hold_seconds,omitempty"`
	// The client's labels, up to 16, shown in lists and events.
	Labels map[string]string `json:"labels,omitempty"`
	// The session's maximum bitrate, in bit/s; 0 for the host's maximum.
	MaxBitrate int `json:"max_bitrate,omitempty"`
	// Region of the ICE servers. Default: the host's choice.
	Region string `json:"region,omitempty"`
	// What the subject may do. Default: viewer.
	Role ViewerRole `json:"role,omitempty"`
	// Name of the viewer, for whom alone the reservation then is. The answer has a token for it.
	Subject string `json:"subject,omitempty"`
	// The session's share of a scarce resource; a number of 1 to 1000. Default: 100.
	Weight int `json:"weight,omitempty"`
}

// RevocationRequest is the schema of that name in the OpenAPI document.
type RevocationRequest struct {
	// ID of a grant (jti), which is refused from now on.
	Grant string `json:"grant,omitempty"`
	// Issuer (iss) of the grants; required if the host accepts grants of several issuers.
	Issuer string `json:"issuer,omitempty"`
	// Subject whose grants are revoked, as far as they are issued already.
	Subject string `json:"subject,omitempty"`
}

// SessionChange is the schema of that name in the OpenAPI document.
type SessionChange struct {
	// ID of the display to show from now on.
	Display *string `json:"display,omitempty"`
	// The session's maximum bitrate, in bit/s; 0 for the host's maximum.
	MaxBitrate *int `json:"max_bitrate,omitempty"`
	// The session's share of a scarce resource; a number of 1 to 1000.
	Weight *int `json:"weight,omitempty"`
}

// SessionRequest is the schema of that name in the OpenAPI document.
type SessionRequest struct {
	// ID of a display. Default: the first display.
	Display string `json:"display,omitempty"`
	// The client's own ID, shown in lists, events and the audit log.
	ExternalID string `json:"external_id,omitempty"`
	// The client's labels, up to 16, shown in lists and events.
	Labels map[string]string `json:"labels,omitempty"`
	// The session's maximum bitrate, in bit/s; 0 for the host's maximum.
	MaxBitrate int `json:"max_bitrate,omitempty"`
	// Region of the ICE servers. Default: that of the reservation, else the host's choice.
	Region string `json:"region,omitempty"`
	// ID of the reservation that the session uses.
	Reservation string `json:"reservation,omitempty"`
	// What the viewer may do. Default: viewer.
	Role ViewerRole `json:"role,omitempty"`
	// The viewer's offer (RFC 8866). It receives one video in one of the host's codecs, such as H.264 or VP9.
	SDP string `json:"sdp"`
	// Name of the viewer, which then owns the session. The answer has a token for it.
	Subject string `json:"subject,omitempty"`
	// The session's share of a scarce resource; a number of 1 to 1000. Default: 100.
	Weight int `json:"weight,omitempty"`
}

// ViewerFigures is the schema of that name in the OpenAPI document.
type ViewerFigures struct {
	// Number of times that the picture stood although another was due, since the session began.
	Freezes int `json:"freezes"`
	// Total duration of that, in seconds.
	FrozenSeconds float64 `json:"frozen_seconds"`
}
