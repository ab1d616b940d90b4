package session

import (
	"time"

	"wavryhost/adapt"
	"wavryhost/session/hoststate"
)

// Snapshot is what the control API shows of one session. Here and in the types below `doc` describes a field in the
// API's document, and `set` names the closed set (see Sets) that its words are of.
type Snapshot struct {
	ID      string `json:"id" doc:"ID of the session; it cannot be guessed."`
	Display string `json:"display" doc:"ID of the display that is shown."`
	Group   string `json:"group,omitempty" doc:"ID of the group that the display belongs to; absent for none."`
	// ExternalID and Labels are of the client that opened the session, or of its reservation.
	ExternalID string            `json:"external_id,omitempty" doc:"The client's own ID of the session."`
	Labels     map[string]string `json:"labels,omitempty" doc:"The client's labels of the session."`

	State       string                `json:"state" set:"SessionState" doc:"State of the connection."`
	Created     time.Time             `json:"created" doc:"When the session was created."`
	Connected   time.Time             `json:"connected,omitzero" doc:"When the session connected for the first time."`
	Remote      string                `json:"remote,omitempty" doc:"Address from which the offer came."`
	UserAgent   string                `json:"user_agent,omitempty" doc:"User-Agent of the offer, shortened."`
	Subject     string                `json:"subject,omitempty" doc:"Owner: name of the client that opened the session."`
	Credential  string                `json:"credential,omitempty" set:"Credential" doc:"Kind of credential that opened the session. Subjects are names within one kind and one issuer."`
	Issuer      string                `json:"issuer,omitempty" doc:"Issuer of the grant or certificate."`
	Role        string                `json:"role" set:"Role" doc:"Role of the viewer."`
	Reservation string                `json:"reservation,omitempty" doc:"ID of the used reservation."`
	Expires     time.Time             `json:"expires,omitzero" doc:"When the session's grant expires and ends it."`
	Ending      *hoststate.PlannedEnd `json:"ending,omitempty" doc:"The planned end of the session, because the host drains; absent if none is planned."`
	Moving      bool                  `json:"moving" doc:"Another daemon of this host has taken over: the viewer should open a new session that replaces this one (POST /whep/{display}?replaces=ID)."`
	Path        string                `json:"path,omitempty" set:"Path" doc:"Path of the media: direct or relay; missing before ICE has selected a candidate pair."`
	Protocol    string                `json:"protocol,omitempty" set:"Protocol" doc:"Protocol of the media between the host and the viewer, or the host's own relay."`

	MayControl bool `json:"may_control" doc:"The session's input is accepted while no other session controls the display."`
	Control    bool `json:"control" doc:"The session controls the display."`
	Controlled bool `json:"controlled" doc:"A session controls the display."`
	Relative   bool `json:"relative_pointer" doc:"The host accepts relative motion of the mouse for the display (InputMessage.relative). Hosts without this field do not."`
	InputLost  bool `json:"input_lost" doc:"Input does not reach the display at present. The log says why."`

	Pointer     string  `json:"pointer" set:"Pointer" doc:"How the viewer gets the display's pointer: in the picture, or by a data channel to draw it itself."`
	Codec       string  `json:"codec" set:"Codec" doc:"Codec, by its RTP name. It may change while the session runs."`
	CodecReason string  `json:"codec_reason" set:"CodecReason" doc:"Why the viewer has this codec."`
	Encoder     string  `json:"encoder,omitempty" doc:"Name of the encoder in use."`
	Encoding    int     `json:"encoding" doc:"Which of the display's encodings in that codec the session gets; a number of 1 to 3."`
	Width       int     `json:"width" doc:"Width of the encoded picture, in pixels."`
	Height      int     `json:"height" doc:"Height of the encoded picture, in pixels."`
	FPS         float64 `json:"fps" doc:"Frame rate sent in the last second, in frames per second."`

	MaxBitrate int    `json:"max_bitrate" doc:"The session's own maximum bitrate, in bit/s; 0 for the host's maximum."`
	Ceiling    int    `json:"ceiling" doc:"The ceiling of the bitrate in force, in bit/s."`
	CeilingOf  string `json:"ceiling_of" set:"Ceiling" doc:"Origin of the ceiling: the host, the session, the display, a share of the uplink, or the offer (b= and the level)."`
	Weight     int    `json:"weight" doc:"The session's share of a scarce resource; a number of 1 to 1000."`

	Frozen           bool    `json:"frozen" doc:"The display is lost or hangs, or no encoder works; the viewer sees the last picture."`
	Undelivered      string  `json:"undelivered,omitempty" set:"UndeliveredReason" doc:"Why the session is connected and shows nothing: no picture was sent, no packet of the pictures leaves, the viewer is silent, or it requests keyframes repeatedly. Absent otherwise."`
	ViewerFreezes    uint64  `json:"viewer_freezes,omitempty" doc:"Number of freezes that the viewer has reported."`
	ViewerFrozen     float64 `json:"viewer_frozen_seconds,omitempty" doc:"Duration of the freezes that the viewer has reported, in seconds."`
	TargetBitrate    int     `json:"target_bitrate" doc:"Target bitrate of the encoder, in bit/s."`
	AchievedBitrate  int     `json:"achieved_bitrate" doc:"Bitrate sent in the last second, in bit/s."`
	EstimatedReceive int     `json:"received_bitrate" doc:"Bitrate that recently reached the viewer, in bit/s."`
	RTTSeconds       float64 `json:"rtt_seconds" doc:"Round-trip time, in seconds."`
	JitterSeconds    float64 `json:"jitter_seconds" doc:"Interarrival jitter, in seconds."`
	QueueSeconds     float64 `json:"queue_delay_seconds" doc:"Standing queue on the path, in seconds."`
	Loss             float64 `json:"loss" doc:"Share of lost packets, as a fraction of 1."`

	Quality     string             `json:"quality" set:"Quality" doc:"Quality state, best first: good, constrained, degraded, critical, stalled."`
	Reason      string             `json:"reason" set:"QualityReason" doc:"Reason of the state."`
	Idle        bool               `json:"idle" doc:"The screen needs less than the network would carry."`
	Transitions []TransitionRecord `json:"transitions" doc:"The newest 32 changes of quality, oldest first."`

	FramesSent      uint64 `json:"frames_sent" doc:"Number of sent pictures."`
	FramesDropped   uint64 `json:"frames_dropped" doc:"Number of encoded pictures that were not sent to this viewer."`
	KeyframesSent   uint64 `json:"keyframes_sent" doc:"Number of keyframes among the sent pictures."`
	PacketsSent     uint64 `json:"packets_sent" doc:"Number of sent packets."`
	Retransmissions uint64 `json:"retransmissions" doc:"Number of retransmitted packets."`
	BytesSent       uint64 `json:"bytes_sent" doc:"Sent payload and padding, in bytes."`
}

// Owner returns whom the session belongs to.
func (s Snapshot) Owner() Owner {
	return Owner{Credential: s.Credential, Issuer: s.Issuer, Name: s.Subject}
}

// TransitionRecord is a quality transition as the control API and the log show it.
type TransitionRecord struct {
	Seq          uint64    `json:"seq" doc:"Number of the change within its session, counted from 1."`
	At           time.Time `json:"at" doc:"When it happened."`
	From         string    `json:"from" set:"Quality" doc:"Previous state."`
	To           string    `json:"to" set:"Quality" doc:"New state."`
	Reason       string    `json:"reason" set:"QualityReason" doc:"Why."`
	DwellSeconds float64   `json:"dwell_seconds" doc:"Duration of the previous state, in seconds."`
	Target       int       `json:"target_bitrate" doc:"Target bitrate of the encoder, in bit/s."`
	Received     int       `json:"received_bitrate" doc:"Bitrate that reached the viewer, in bit/s."`
	RTTSeconds   float64   `json:"rtt_seconds" doc:"Round-trip time, in seconds."`
	QueueSeconds float64   `json:"queue_delay_seconds" doc:"Standing queue on the path, in seconds."`
	Loss         float64   `json:"loss" doc:"Share of lost packets, as a fraction of 1."`
}

// RecordOf returns t for people and machines to read.
func RecordOf(t adapt.Transition) TransitionRecord {
	return TransitionRecord{
		Seq: t.Seq, At: t.At, From: t.From.String(), To: t.To.String(), Reason: t.Reason.String(),
		DwellSeconds: t.Dwell.Seconds(), Target: t.Target, Received: t.Received, RTTSeconds: t.RTT.Seconds(),
		QueueSeconds: t.QueueDelay.Seconds(), Loss: t.Loss,
	}
}
