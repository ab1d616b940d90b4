// Code generated from docs/integrate/openapi.json by go test -update. DO NOT EDIT.

package client

// EventKind is a word of a set. Later versions may add words.
type EventKind string

// The words of EventKind.
const (
	EventKindGap                 EventKind = "gap"
	EventKindCodecChanged        EventKind = "codec_changed"
	EventKindConfiguration       EventKind = "configuration"
	EventKindControlChanged      EventKind = "control_changed"
	EventKindCordon              EventKind = "cordon"
	EventKindDefaultDisplay      EventKind = "default_display"
	EventKindDisplayBack         EventKind = "display_back"
	EventKindDisplayLost         EventKind = "display_lost"
	EventKindDisplayPolled       EventKind = "display_polled"
	EventKindDisplayResized      EventKind = "display_resized"
	EventKindDrain               EventKind = "drain"
	EventKindDrained             EventKind = "drained"
	EventKindEncoderFallback     EventKind = "encoder_fallback"
	EventKindEncodersTried       EventKind = "encoders_tried"
	EventKindEncodingChanged     EventKind = "encoding_changed"
	EventKindHandshakeFailed     EventKind = "handshake_failed"
	EventKindHostState           EventKind = "host_state"
	EventKindInputRefused        EventKind = "input_refused"
	EventKindLoadShedding        EventKind = "load_shedding"
	EventKindLoopResumed         EventKind = "loop_resumed"
	EventKindLoopStalled         EventKind = "loop_stalled"
	EventKindPacketSize          EventKind = "packet_size"
	EventKindPathChanged         EventKind = "path_changed"
	EventKindQualityChanged      EventKind = "quality_changed"
	EventKindRefused             EventKind = "refused"
	EventKindRelayDown           EventKind = "relay_down"
	EventKindRelayUp             EventKind = "relay_up"
	EventKindReservationEnded    EventKind = "reservation_ended"
	EventKindReserved            EventKind = "reserved"
	EventKindResume              EventKind = "resume"
	EventKindSessionChanged      EventKind = "session_changed"
	EventKindSessionConnected    EventKind = "session_connected"
	EventKindSessionCreated      EventKind = "session_created"
	EventKindSessionDisconnected EventKind = "session_disconnected"
	EventKindSessionEnded        EventKind = "session_ended"
	EventKindSessionEnding       EventKind = "session_ending"
	EventKindSessionMove         EventKind = "session_move"
	EventKindSessionUndelivered  EventKind = "session_undelivered"
	EventKindStarted             EventKind = "started"
	EventKindUncordon            EventKind = "uncordon"
)
