package session

import (
	"time"

	"wavryhost/session/hoststate"
	"wavryhost/session/relay"
)

// Host is what the control API shows of the machine.
type Host struct {
	State         string                  `json:"state" set:"HostState" doc:"State of the host: active, degraded, probation, cordoned or draining."`
	StateReason   string                  `json:"state_reason" set:"StateReason" doc:"Reason of the last change of the state: the daemon started or stops, an operator requested it, a probation was passed (proved), the fault was repaired (recovered), or the time of a cordon is over (expired); for degraded, the fault."`
	StateSince    time.Time               `json:"state_since" doc:"When the state was entered."`
	Started       time.Time               `json:"started" doc:"When the daemon started."`
	Sessions      int                     `json:"sessions" doc:"Number of sessions."`
	Limit         int                     `json:"session_limit" doc:"Maximum number of sessions."`
	Displays      []DisplayInfo           `json:"displays" doc:"The displays, the default first."`
	Default       string                  `json:"default_display,omitempty" doc:"What viewers get that request no display: the ID of a display or of a group of displays."`
	Encoders      []EncoderInfo           `json:"encoders" doc:"The encoders that were tried, best first."`
	DrainDeadline time.Time               `json:"drain_deadline,omitzero" doc:"When the drain ends the remaining sessions."`
	Load          *Load                   `json:"load,omitempty" doc:"Load of the machine, where it is known."`
	Drain         *hoststate.DrainStatus  `json:"drain,omitempty" doc:"Progress of the drain, if there is one."`
	Cordon        *hoststate.CordonStatus `json:"cordon,omitempty" doc:"The cordon, if there is one: the host takes no new sessions, and leaves the others alone."`
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
	Surfaces     string  `json:"surfaces,omitempty" set:"Surface" doc:"Kind of graphics memory from which it reads pictures without a copy; absent if it reads main memory only."`
	Uploads      string  `json:"uploads_why,omitempty" doc:"Why the graphics card reads no pictures of other programs, so that they are uploaded to it."`
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
