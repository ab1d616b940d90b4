// Code generated from docs/integrate/openapi.json by go test -update. DO NOT EDIT.

package client

import "time"

// Event is something that happened. Kind says which fields it has.
type Event struct {
	// Number of the last event that the client has, as it says.
	After uint64 `json:"after,omitempty"`
	// When it happened.
	At time.Time `json:"at,omitzero"`
	// ID of the display.
	Display string `json:"display,omitempty"`
	// The error, for people.
	Error string `json:"error,omitempty"`
	// The client's own ID of the session or reservation.
	ExternalID string `json:"external_id,omitempty"`
	// What was before: an encoder, encoding, state, route or display, or the ID of the session that had control.
	From string `json:"from,omitempty"`
	// Number of the event, one higher than the previous one. After a restart of the daemon numbers are higher than
	// all before. The log record has the same number.
	ID uint64 `json:"id,omitempty"`
	// Kind of the event.
	Kind EventKind `json:"kind,omitempty"`
	// The client's labels of the session or reservation.
	Labels map[string]string `json:"labels,omitempty"`
	// Number of the first event after the gap; 0 if there is none yet.
	Next uint64 `json:"next,omitempty"`
	// Text of the operator who ended the session, or who cordoned or drained the host.
	Note string `json:"note,omitempty"`
	// Name of the operator who cordoned or drained the host.
	Owner string `json:"owner,omitempty"`
	// Reason of an end, of a change of quality, or of an encoder's replacement.
	Reason string `json:"reason,omitempty"`
	// ID of the reservation.
	Reservation string `json:"reservation,omitempty"`
	// URL of the STUN or TURN server.
	Server string `json:"server,omitempty"`
	// ID of the session.
	Session string `json:"session,omitempty"`
	// Owner of the session, or the viewer that the reservation is for.
	Subject string `json:"subject,omitempty"`
	// What is now; absent if there is none. For packet_size: the size in bytes. For session_ending: the time of the
	// end.
	To string `json:"to,omitempty"`
	// Sums of the whole session.
	Totals *Totals `json:"totals,omitempty"`
	// The change of quality, with the figures behind it.
	Transition *Transition `json:"transition,omitempty"`
}

// Totals is the schema of that name in the OpenAPI document.
type Totals struct {
	// Sent payload and padding, in bytes.
	Bytes int `json:"bytes"`
	// Codec, by its RTP name.
	Codec Codec `json:"codec"`
	// Time from the first connection to the end, in seconds.
	ConnectedSeconds float64 `json:"connected_seconds"`
	// Number of times that the session showed another display.
	DisplayChanges int `json:"display_changes"`
	// Time from the offer to the end, in seconds.
	DurationSeconds float64 `json:"duration_seconds"`
	// Name of the last encoder; absent if there was none.
	Encoder string `json:"encoder,omitempty"`
	// Number of times that another encoder took over.
	EncoderChanges int `json:"encoder_changes"`
	// Number of sent pictures.
	Frames int `json:"frames"`
	// Number of encoded pictures that were not sent.
	FramesDropped int `json:"frames_dropped"`
	// Time in which the display was lost or no encoder worked, in seconds.
	FrozenSeconds float64 `json:"frozen_seconds"`
	// Number of sent packets.
	Packets int `json:"packets"`
	// Last path of the media; absent if there was none.
	Path Path `json:"path,omitempty"`
	// Time in each quality state while connected, in seconds, by its name.
	QualitySeconds map[string]float64 `json:"quality_seconds"`
	// Number of retransmitted packets.
	Retransmissions int `json:"retransmissions"`
}
