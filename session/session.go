package session

import (
	"context"
	"errors"
	"image"
	"time"

	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/session/admission"
	"wavryhost/session/enum"
	"wavryhost/session/floor"
	"wavryhost/session/pipeline"
	"wavryhost/session/relay"
)

// The errors that callers of the Manager branch on. Each comes wrapped with what was wrong.
var (
	// ErrUnknownDisplay: no display has that id.
	ErrUnknownDisplay = errors.New("session: unknown display")
	// ErrUnknownSession: no session has that id, or it has ended.
	ErrUnknownSession = errors.New("session: unknown session")
	// ErrNoPicture: the display exists, but cannot be captured at the moment.
	ErrNoPicture = pipeline.ErrNoPicture
	// ErrFull: the host has no room for another session at the moment.
	ErrFull = admission.ErrFull
	// ErrNoControl: the session cannot control its display.
	ErrNoControl = floor.ErrNoControl
	// ErrDraining: the host takes no new sessions, because it drains, is cordoned or stops.
	ErrDraining = errors.New("session: host takes no new sessions")
)

// Display is one picture that can be watched.
type Display struct {
	// ID is what clients ask for, unique on the host: "x11:0", "synthetic".
	ID string
	// Name is for people.
	Name string
	// Backend is the capture backend's name: "x11", "wayland", "pipewire", "kms", "darwin", "screenshot", "synthetic".
	Backend string
	// Width and Height are the size at the last look, in pixels.
	Width, Height int
	// Layout is how it is arranged, as far as is known.
	Layout Layout
	// State is empty for a display that can be captured as far as is known, else DisplaySlow or DisplayUnusable, and
	// Reason says why.
	State, Reason string
	// Open begins to capture it.
	Open capture.Opener
	// Pointer opens its pointer; nil where that is in the picture only.
	Pointer capture.PointerOpener
	// Input makes what gives it input; nil where it takes none.
	Input func() floor.Injector
	// Resize changes its size, and returns the size of before; nil where that is not possible. An error wraps
	// ErrFixedSize, ErrBadChange for a size that it does not take, or ErrNoPicture for a display that is out of reach.
	Resize func(ctx context.Context, size image.Point) (before image.Point, err error)
	// Virtual displays are made for viewers, who may change their size unless a rule forbids it.
	Virtual bool
	// Group is the ID of the group that the display belongs to; empty for none. A request for the group gets a member
	// that has neither a session nor a reservation. ForGroup makes the default display stand for its group.
	Group    string
	ForGroup bool
	// Hold makes the display run until release is called, which never blocks. It starts a display that does not run. With
	// fresh, a display that runs although nothing holds it is started anew. nil for displays that run anyway. Kept reports
	// whether the display may run although nothing holds it.
	Hold func(ctx context.Context, fresh bool) (release func(), err error)
	Kept func() bool

	choice
}

// Layout is how a display is arranged on the desktop.
type Layout struct {
	X        int     `json:"x,omitempty" doc:"Left edge on the desktop, in pixels."`
	Y        int     `json:"y,omitempty" doc:"Top edge on the desktop, in pixels."`
	Rotation int     `json:"rotation,omitempty" doc:"How far the monitor is turned counterclockwise, in degrees. Pictures are upright."`
	Scale    float64 `json:"scale,omitempty" doc:"Size of what programs show, as a fraction of 1: 1.5 is half as large again. Absent if it is unknown."`
	Primary  bool    `json:"primary,omitempty" doc:"The monitor is the desktop's primary one."`
}

// EndReason is why a session ended. The set is closed: it labels a metric.
type EndReason uint8

// The reasons for an end.
const (
	// EndDeleted: the client asked for it (DELETE of the WHEP resource).
	EndDeleted EndReason = iota
	// EndOperator: the control API asked for it.
	EndOperator
	// EndICEFailed: the path was lost and did not come back in time.
	EndICEFailed
	// EndConnectTimeout: the client never connected.
	EndConnectTimeout
	// EndViewerGone: the transport was closed by the viewer, or nothing was heard from it for too long.
	EndViewerGone
	// EndHandshakeFailed: DTLS failed.
	EndHandshakeFailed
	// EndShutdown: the daemon stops.
	EndShutdown
	// EndDrained: the drain's deadline came.
	EndDrained
	// EndOverload: the host could not carry it any more, lowered as it was.
	EndOverload
	// EndRevoked: what it was opened by was revoked, and EndExpired: its time is over.
	EndRevoked
	EndExpired
	// EndError: the host could not go on; the log says why.
	EndError
	// EndMisbehaved: its viewer violated the protocol. The log has the details.
	EndMisbehaved
	// EndReplaced: it never connected, and its place was needed for another offer.
	EndReplaced
)

var endReasons = [...]string{
	EndDeleted:         "deleted",
	EndOperator:        "operator",
	EndICEFailed:       "ice_failed",
	EndConnectTimeout:  "connect_timeout",
	EndViewerGone:      "viewer_gone",
	EndHandshakeFailed: "handshake_failed",
	EndShutdown:        "shutdown",
	EndDrained:         "drained",
	EndOverload:        "overload",
	EndRevoked:         "revoked",
	EndExpired:         "expired",
	EndError:           "error",
	EndMisbehaved:      "misbehaved",
	EndReplaced:        "replaced",
}

// EndReasons lists all reasons for an end.
func EndReasons() []EndReason { return enum.All[EndReason](endReasons[:]) }

func (r EndReason) String() string { return enum.Name(endReasons[:], r) }

// Offer is what a viewer comes with.
type Offer struct {
	// Display is a Display's ID, or "default" for the first one.
	Display string
	// SDP is the offer (RFC 8866), one receiving video section.
	SDP string
	// Reservation is the ID of the reservation that the viewer uses, empty for none.
	Reservation string
	// MaxBitrate is the session's ceiling in bits per second, 0 for the host's, and Weight its share where something
	// is short, 0 for the usual one; see Change.
	MaxBitrate, Weight int
	// Role is what its viewer may do.
	Role Role
	// Region is where the STUN and TURN servers to use stand, empty for the host's preference. One without servers
	// counts for nothing.
	Region string
	// DrawsPointer marks viewers that draw the pointer themselves, from the messages of a data channel.
	DrawsPointer bool
	// Owner is whom the session belongs to, Grant the id of the grant that it was opened by, and Expires when that
	// ends it; all may be empty.
	Owner   Owner
	Grant   string
	Expires time.Time
	// Guest marks offers that do not come from an operator: the limit on the sessions of one owner holds for them, and
	// the place that is kept for operators is not theirs. MaxSessions is that limit, where the credential has its own;
	// 0 for Config.MaxPerOwner.
	Guest       bool
	MaxSessions int
	// ExternalID and Labels are the client's own names for the session.
	ExternalID string
	Labels     admission.Labels
	// Probe marks the offer of the host itself, which watches one of its displays as a viewer would. Its session takes
	// no place, and no list, event or metric of sessions has it. Journal and metrics have the panics in it.
	Probe bool
	// Replaces is the session that this one replaces, of the daemon that this one has taken over from; empty for none.
	// Rate is the bitrate that its path carried, in bits per second, and Control whether it controlled the display.
	Replaces string
	Rate     int
	Control  bool
	// TraceParent is the W3C traceparent of the request, which the trace of the set-up continues; empty for none.
	TraceParent string
	// RemoteAddr and UserAgent are for the log.
	RemoteAddr, UserAgent string

	begun time.Time // when the Manager got it
}

// Owner returns whom the session belongs to.
func (s Snapshot) Owner() Owner {
	return Owner{Credential: s.Credential, Issuer: s.Issuer, Name: s.Subject}
}

// Role is what a session's viewer may do.
type Role = floor.Role

// The roles.
const (
	RoleViewer     = floor.RoleViewer
	RoleController = floor.RoleController
	RoleOperator   = floor.RoleOperator
)

// Owner identifies the owner of a session.
type Owner = admission.Owner

// The credentials that sessions are opened by.
const (
	CredentialOperatorToken = "operator_token"
	CredentialToken         = "token"
	CredentialGrant         = "grant"
	CredentialCertificate   = "certificate"
	CredentialAnonymous     = "anonymous"
	CredentialGateway       = "gateway"
	CredentialViewerToken   = "viewer_token" // of a viewer for whom an operator reserved or opened a session
	CredentialProbe         = "probe"        // the host itself, which watches one of its displays
	CredentialLocal         = "local"        // a user of this machine, known by the kernel
	CredentialFleet         = "fleet"        // a client of the fleet, known by the NATS server
)

// Credentials lists them.
func Credentials() []string {
	return []string{
		CredentialOperatorToken, CredentialToken, CredentialGrant, CredentialCertificate,
		CredentialAnonymous, CredentialGateway, CredentialViewerToken, CredentialLocal,
		CredentialProbe, CredentialFleet,
	}
}

// Answer is what the viewer gets.
type Answer struct {
	// ID names the session; it cannot be guessed.
	ID  string
	SDP string
	// ETag names the ICE session (draft-ietf-wish-whep, RFC 9725 section 4.3), quotes included.
	ETag string
}

// Patched is the answer to a trickle or a restart of ICE.
type Patched struct {
	// SDP is the fragment (RFC 8840) with the host's new credentials and candidates after a restart; empty after a
	// trickle.
	SDP string
	// ETag is the new one after a restart, else the old one.
	ETag string
}

// Snapshot is what the control API shows of one session. Here and in the types below `doc` describes a field in the
// API's document, and `set` names the closed set (see Sets) that its words are of.
type Snapshot struct {
	ID      string `json:"id" doc:"ID of the session; it cannot be guessed."`
	Display string `json:"display" doc:"ID of the display that is shown."`
	Group   string `json:"group,omitempty" doc:"ID of the group that the display belongs to; absent for none."`
	// ExternalID and Labels are of the client that opened the session, or of its reservation.
	ExternalID string            `json:"external_id,omitempty" doc:"The client's own ID of the session."`
	Labels     map[string]string `json:"labels,omitempty" doc:"The client's labels of the session."`

	State       string      `json:"state" set:"SessionState" doc:"State of the connection."`
	Created     time.Time   `json:"created" doc:"When the session was created."`
	Connected   time.Time   `json:"connected,omitzero" doc:"When the session connected for the first time."`
	Remote      string      `json:"remote,omitempty" doc:"Address from which the offer came."`
	UserAgent   string      `json:"user_agent,omitempty" doc:"User-Agent of the offer, shortened."`
	Subject     string      `json:"subject,omitempty" doc:"Owner: name of the client that opened the session."`
	Credential  string      `json:"credential,omitempty" set:"Credential" doc:"Kind of credential that opened the session. Subjects are names within one kind and one issuer."`
	Issuer      string      `json:"issuer,omitempty" doc:"Issuer of the grant or certificate."`
	Role        string      `json:"role" set:"Role" doc:"Role of the viewer."`
	Reservation string      `json:"reservation,omitempty" doc:"ID of the used reservation."`
	Expires     time.Time   `json:"expires,omitzero" doc:"When the session's grant expires and ends it."`
	Ending      *PlannedEnd `json:"ending,omitempty" doc:"The planned end of the session, because the host drains; absent if none is planned."`
	Moving      bool        `json:"moving" doc:"Another daemon of this host has taken over: the viewer should open a new session that replaces this one (POST /whep/{display}?replaces=ID)."`
	Path        string      `json:"path,omitempty" set:"Path" doc:"Path of the media: direct or relay; missing before ICE has selected a candidate pair."`
	Protocol    string      `json:"protocol,omitempty" set:"Protocol" doc:"Protocol of the media between the host and the viewer, or the host's own relay."`

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

// Host is what the control API shows of the machine.
type Host struct {
	State         string        `json:"state" set:"HostState" doc:"State of the host: active, degraded, probation, cordoned or draining."`
	StateReason   string        `json:"state_reason" set:"StateReason" doc:"Reason of the last change of the state: the daemon started or stops, an operator requested it, a probation was passed (proved), the fault was repaired (recovered), or the time of a cordon is over (expired); for degraded, the fault."`
	StateSince    time.Time     `json:"state_since" doc:"When the state was entered."`
	Started       time.Time     `json:"started" doc:"When the daemon started."`
	Sessions      int           `json:"sessions" doc:"Number of sessions."`
	Limit         int           `json:"session_limit" doc:"Maximum number of sessions."`
	Displays      []DisplayInfo `json:"displays" doc:"The displays, the default first."`
	Default       string        `json:"default_display,omitempty" doc:"What viewers get that request no display: the ID of a display or of a group of displays."`
	Encoders      []EncoderInfo `json:"encoders" doc:"The encoders that were tried, best first."`
	DrainDeadline time.Time     `json:"drain_deadline,omitzero" doc:"When the drain ends the remaining sessions."`
	Load          *Load         `json:"load,omitempty" doc:"Load of the machine, where it is known."`
	Drain         *DrainStatus  `json:"drain,omitempty" doc:"Progress of the drain, if there is one."`
	Cordon        *CordonStatus `json:"cordon,omitempty" doc:"The cordon, if there is one: the host takes no new sessions, and leaves the others alone."`
	// ICEServers has one entry for each URL.
	ICEServers []relay.ServerStatus `json:"ice_servers,omitempty" doc:"The configured STUN and TURN servers and their states."`
}

// DisplayInfo is what the control API shows of a display.
type DisplayInfo struct {
	ID      string `json:"id" doc:"ID that clients use, unique on the host."`
	Name    string `json:"name" doc:"Name for people."`
	Backend string `json:"backend" doc:"Capture backend: x11, wayland, pipewire, kms, darwin, screenshot or synthetic."`
	Width   int    `json:"width" doc:"Last known width, in pixels."`
	Height  int    `json:"height" doc:"Last known height, in pixels."`
	Layout
	Group     string `json:"group,omitempty" doc:"ID of the group that it belongs to. A request for the group gets a member without sessions and reservations."`
	Viewers   int    `json:"viewers,omitempty" doc:"Number of its sessions; absent for viewers, and if there are none."`
	Encodings int    `json:"encodings,omitempty" doc:"Number of its encodings: viewers on equal paths share one; absent for viewers, and if there are none."`
	Most      int    `json:"max_viewers,omitempty" doc:"Maximum number of concurrent sessions, by the display's rules; absent without a limit."`
	State     string `json:"state" set:"DisplayState" doc:"live or lost with viewers; idle, slow (its server does not answer) or unusable without viewers."`
	Reason    string `json:"reason,omitempty" doc:"Why the display is lost, slow or unusable, for people."`
	Input     bool   `json:"input" doc:"The display accepts mouse and keyboard input."`
	Control   string `json:"controller,omitempty" doc:"ID of the session that controls it."`
	Resizable bool   `json:"resizable" doc:"Who controls the display may change its size: PUT /v1/sessions/{id}/size."`
}

// EncoderInfo is what the control API shows of an encoder candidate.
type EncoderInfo struct {
	Name         string  `json:"name" doc:"Name of the encoder in FFmpeg, with the device where it has several: h264_vaapi@renderD129."`
	Device       string  `json:"device,omitempty" doc:"Device that it encodes on; absent if that is left to its driver."`
	Codec        string  `json:"codec" doc:"Codec, by its RTP name: H264, H265, AV1, VP9 or VP8."`
	Hardware     bool    `json:"hardware" doc:"The encoder runs on a graphics card."`
	Price        string  `json:"price" set:"EncoderPrice" doc:"Price of a bitrate change: nothing, a keyframe, or reopening the encoder."`
	Usable       bool    `json:"usable" doc:"The encoder encoded real pictures on this machine."`
	Why          string  `json:"why,omitempty" doc:"Why the encoder is not usable."`
	Failure      string  `json:"failure,omitempty" set:"EncoderFailure" doc:"Kind of that reason: missing (no device, driver or build), busy (no further encode), size (picture size not supported), timeout (its trial did not finish, and is repeated) or broken."`
	InUse        bool    `json:"in_use" doc:"New streams of this codec start with this encoder."`
	PerMegapixel float64 `json:"seconds_per_megapixel,omitempty" doc:"Time to encode a million pixels in the trial, in seconds."`
	MinWidth     int     `json:"min_width" doc:"Smallest supported width, in pixels."`
	MinHeight    int     `json:"min_height" doc:"Smallest supported height, in pixels."`
	MaxWidth     int     `json:"max_width" doc:"Largest supported width, in pixels. Larger displays are scaled down."`
	MaxHeight    int     `json:"max_height" doc:"Largest supported height, in pixels. Larger displays are scaled down."`
	Sessions     int     `json:"sessions,omitempty" doc:"Number of its open encodings."`
	SessionLimit int     `json:"session_limit,omitempty" doc:"Maximum number of concurrent encodings; absent if no limit is known."`
	LimitLearnt  bool    `json:"session_limit_learnt,omitempty" doc:"The limit was learned: the hardware refused another encode."`
}
