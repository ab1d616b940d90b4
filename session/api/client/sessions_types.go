// Code generated from docs/integrate/openapi.json by go test -update. DO NOT EDIT.

package client

import "time"

// ICEServer is the schema of that name in the OpenAPI document.
type ICEServer struct {
	// Password at a TURN server; a secret of the viewer.
	Credential string `json:"credential,omitempty"`
	// URLs of the server.
	URLs []string `json:"urls"`
	// User name at a TURN server.
	Username string `json:"username,omitempty"`
}

// NewReservation is the schema of that name in the OpenAPI document.
type NewReservation struct {
	// When the reservation was made.
	Created time.Time `json:"created"`
	// ID of the reserved display.
	Display string `json:"display"`
	// When the reservation expires, unless a session uses it.
	Expires time.Time `json:"expires"`
	// The client's own ID of the reservation and its session.
	ExternalID string `json:"external_id,omitempty"`
	// The STUN and TURN servers for the viewer, best first.
	ICEServers []ICEServer `json:"ice_servers"`
	// ID of the reservation, for the viewer's offer.
	ID string `json:"id"`
	// The client's labels of the reservation and its session.
	Labels map[string]string `json:"labels,omitempty"`
	// The session's maximum bitrate, in bit/s; 0 for the host's maximum.
	MaxBitrate int `json:"max_bitrate"`
	// Path for the viewer's POST.
	Path string `json:"path"`
	// Requested region of the ICE servers.
	Region string `json:"region,omitempty"`
	// Name of the viewer that the reservation is for; absent if any viewer may use it.
	Subject string `json:"subject,omitempty"`
	// Bearer token for the subject, with which it opens this one session, trickles candidates, restarts ICE and ends
	// the session; a secret of the viewer.
	ViewerToken string `json:"viewer_token,omitempty"`
	// The session's share of a scarce resource; a number of 1 to 1000.
	Weight int `json:"weight"`
}

// NewSession is the schema of that name in the OpenAPI document.
type NewSession struct {
	// Identifies the ICE session; PATCH accepts it as If-Match, quotes included.
	ETag string `json:"etag"`
	// ID of the session.
	ID string `json:"id"`
	// Path for the viewer's PATCH and DELETE.
	Path string `json:"path"`
	// The host's answer, with its candidates.
	SDP string `json:"sdp"`
	// Bearer token for the subject, valid for this session only; a secret of the viewer.
	ViewerToken string `json:"viewer_token,omitempty"`
}

// Reservation is the schema of that name in the OpenAPI document.
type Reservation struct {
	// When the reservation was made.
	Created time.Time `json:"created,omitzero"`
	// ID of the reserved display.
	Display string `json:"display,omitempty"`
	// When the reservation expires, unless a session uses it.
	Expires time.Time `json:"expires,omitzero"`
	// The client's own ID of the reservation and its session.
	ExternalID string `json:"external_id,omitempty"`
	// ID of the reservation, for the viewer's offer.
	ID string `json:"id"`
	// The client's labels of the reservation and its session.
	Labels map[string]string `json:"labels,omitempty"`
	// The session's maximum bitrate, in bit/s; 0 for the host's maximum.
	MaxBitrate int `json:"max_bitrate,omitempty"`
	// Requested region of the ICE servers.
	Region string `json:"region,omitempty"`
	// Name of the viewer that the reservation is for; absent if any viewer may use it.
	Subject string `json:"subject,omitempty"`
	// The session's share of a scarce resource; a number of 1 to 1000.
	Weight int `json:"weight,omitempty"`
}

// ReservationList is the schema of that name in the OpenAPI document.
type ReservationList struct {
	// For the next page, if there is one.
	NextPageToken string `json:"next_page_token,omitempty"`
	// The reservations, sorted by expiry.
	Reservations []Reservation `json:"reservations"`
}

// Session is the schema of that name in the OpenAPI document.
type Session struct {
	// Bitrate sent in the last second, in bit/s.
	AchievedBitrate int `json:"achieved_bitrate,omitempty"`
	// Sent payload and padding, in bytes.
	BytesSent int `json:"bytes_sent,omitempty"`
	// The ceiling of the bitrate in force, in bit/s.
	Ceiling int `json:"ceiling,omitempty"`
	// Origin of the ceiling: the host, the session, the display, a share of the uplink, or the offer (b= and the
	// level).
	CeilingOf Ceiling `json:"ceiling_of,omitempty"`
	// Codec, by its RTP name. It may change while the session runs.
	Codec Codec `json:"codec,omitempty"`
	// Why the viewer has this codec.
	CodecReason CodecReason `json:"codec_reason,omitempty"`
	// When the session connected for the first time.
	Connected time.Time `json:"connected,omitzero"`
	// The session controls the display.
	Control bool `json:"control,omitempty"`
	// A session controls the display.
	Controlled bool `json:"controlled,omitempty"`
	// When the session was created.
	Created time.Time `json:"created,omitzero"`
	// Kind of credential that opened the session. Subjects are names within one kind and one issuer.
	Credential Credential `json:"credential,omitempty"`
	// ID of the display that is shown.
	Display string `json:"display,omitempty"`
	// Name of the encoder in use.
	Encoder string `json:"encoder,omitempty"`
	// Which of the display's encodings in that codec the session gets; a number of 1 to 3.
	Encoding int `json:"encoding,omitempty"`
	// The planned end of the session, because the host drains; absent if none is planned.
	Ending PlannedEnd `json:"ending,omitempty"`
	// When the session's grant expires and ends it.
	Expires time.Time `json:"expires,omitzero"`
	// The client's own ID of the session.
	ExternalID string `json:"external_id,omitempty"`
	// Frame rate sent in the last second, in frames per second.
	FPS float64 `json:"fps,omitempty"`
	// Number of encoded pictures that were not sent to this viewer.
	FramesDropped int `json:"frames_dropped,omitempty"`
	// Number of sent pictures.
	FramesSent int `json:"frames_sent,omitempty"`
	// The display is lost or hangs, or no encoder works; the viewer sees the last picture.
	Frozen bool `json:"frozen,omitempty"`
	// ID of the group that the display belongs to; absent for none.
	Group string `json:"group,omitempty"`
	// Height of the encoded picture, in pixels.
	Height int `json:"height,omitempty"`
	// ID of the session; it cannot be guessed.
	ID string `json:"id"`
	// The screen needs less than the network would carry.
	Idle bool `json:"idle,omitempty"`
	// Input does not reach the display at present. The log says why.
	InputLost bool `json:"input_lost,omitempty"`
	// Issuer of the grant or certificate.
	Issuer string `json:"issuer,omitempty"`
	// Interarrival jitter, in seconds.
	JitterSeconds float64 `json:"jitter_seconds,omitempty"`
	// Number of keyframes among the sent pictures.
	KeyframesSent int `json:"keyframes_sent,omitempty"`
	// The client's labels of the session.
	Labels map[string]string `json:"labels,omitempty"`
	// Share of lost packets, as a fraction of 1.
	Loss float64 `json:"loss,omitempty"`
	// The session's own maximum bitrate, in bit/s; 0 for the host's maximum.
	MaxBitrate int `json:"max_bitrate,omitempty"`
	// The session's input is accepted while no other session controls the display.
	MayControl bool `json:"may_control,omitempty"`
	// Another daemon of this host has taken over: the viewer should open a new session that replaces this one (POST
	// /whep/{display}?replaces=ID).
	Moving bool `json:"moving,omitempty"`
	// Number of sent packets.
	PacketsSent int `json:"packets_sent,omitempty"`
	// Path of the media: direct or relay; missing before ICE has selected a candidate pair.
	Path Path `json:"path,omitempty"`
	// How the viewer gets the display's pointer: in the picture, or by a data channel to draw it itself.
	Pointer Pointer `json:"pointer,omitempty"`
	// Protocol of the media between the host and the viewer, or the host's own relay.
	Protocol Protocol `json:"protocol,omitempty"`
	// Quality state, best first: good, constrained, degraded, critical, stalled.
	Quality Quality `json:"quality,omitempty"`
	// Standing queue on the path, in seconds.
	QueueDelaySeconds float64 `json:"queue_delay_seconds,omitempty"`
	// Reason of the state.
	Reason QualityReason `json:"reason,omitempty"`
	// Bitrate that recently reached the viewer, in bit/s.
	ReceivedBitrate int `json:"received_bitrate,omitempty"`
	// The host accepts relative motion of the mouse for the display (InputMessage.relative). Hosts without this
	// field do not.
	RelativePointer bool `json:"relative_pointer,omitempty"`
	// Address from which the offer came.
	Remote string `json:"remote,omitempty"`
	// ID of the used reservation.
	Reservation string `json:"reservation,omitempty"`
	// Number of retransmitted packets.
	Retransmissions int `json:"retransmissions,omitempty"`
	// Role of the viewer.
	Role Role `json:"role,omitempty"`
	// Round-trip time, in seconds.
	RTTSeconds float64 `json:"rtt_seconds,omitempty"`
	// State of the connection.
	State SessionState `json:"state,omitempty"`
	// Owner: name of the client that opened the session.
	Subject string `json:"subject,omitempty"`
	// Target bitrate of the encoder, in bit/s.
	TargetBitrate int `json:"target_bitrate,omitempty"`
	// The newest 32 changes of quality, oldest first.
	Transitions []Transition `json:"transitions,omitempty"`
	// Why the session is connected and shows nothing: no picture was sent, no packet of the pictures leaves, the
	// viewer is silent, or it requests keyframes repeatedly. Absent otherwise.
	Undelivered UndeliveredReason `json:"undelivered,omitempty"`
	// User-Agent of the offer, shortened.
	UserAgent string `json:"user_agent,omitempty"`
	// Number of freezes that the viewer has reported.
	ViewerFreezes int `json:"viewer_freezes,omitempty"`
	// Duration of the freezes that the viewer has reported, in seconds.
	ViewerFrozenSeconds float64 `json:"viewer_frozen_seconds,omitempty"`
	// The session's share of a scarce resource; a number of 1 to 1000.
	Weight int `json:"weight,omitempty"`
	// Width of the encoded picture, in pixels.
	Width int `json:"width,omitempty"`
}

// SessionList is the schema of that name in the OpenAPI document.
type SessionList struct {
	// For the next page, if there is one.
	NextPageToken string `json:"next_page_token,omitempty"`
	// Oldest first.
	Sessions []Session `json:"sessions"`
}

// Timeline is the schema of that name in the OpenAPI document.
type Timeline struct {
	// Whether they begin with the opening of the session. If not, the first ones are no longer kept.
	Complete bool `json:"complete"`
	// Oldest first.
	Events []Event `json:"events"`
}

// Transition is the schema of that name in the OpenAPI document.
type Transition struct {
	// When it happened.
	At time.Time `json:"at"`
	// Duration of the previous state, in seconds.
	DwellSeconds float64 `json:"dwell_seconds"`
	// Previous state.
	From Quality `json:"from"`
	// Share of lost packets, as a fraction of 1.
	Loss float64 `json:"loss"`
	// Standing queue on the path, in seconds.
	QueueDelaySeconds float64 `json:"queue_delay_seconds"`
	// Why.
	Reason QualityReason `json:"reason"`
	// Bitrate that reached the viewer, in bit/s.
	ReceivedBitrate int `json:"received_bitrate"`
	// Round-trip time, in seconds.
	RTTSeconds float64 `json:"rtt_seconds"`
	// Number of the change within its session, counted from 1.
	Seq int `json:"seq"`
	// Target bitrate of the encoder, in bit/s.
	TargetBitrate int `json:"target_bitrate"`
	// New state.
	To Quality `json:"to"`
}
