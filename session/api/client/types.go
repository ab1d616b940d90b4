// Code generated from docs/integrate/openapi.json by go test -update. DO NOT EDIT.

package client

import "time"

// Capacities is the schema of that name in the OpenAPI document.
type Capacities struct {
	// Load of the machine, if it is known.
	Load *Load `json:"load,omitempty"`
	// The largest first, or the one in the query.
	Profiles []Capacity `json:"profiles"`
}

// Capacity is the schema of that name in the OpenAPI document.
type Capacity struct {
	// Assumed bitrate of a session, in bit/s.
	Bitrate int `json:"bitrate"`
	// Frame rate, in frames per second.
	FPS int `json:"fps"`
	// Height, in pixels.
	Height int `json:"height"`
	// The resource that runs out first.
	LimitedBy Resource `json:"limited_by"`
	// Number of further sessions that fit, each on a display of its own.
	More int `json:"more"`
	// Size and frame rate, such as 1280x720@30.
	Profile string `json:"profile"`
	// Width, in pixels.
	Width int `json:"width"`
}

// CordonStatus is the schema of that name in the OpenAPI document.
type CordonStatus struct {
	// When the cordon began.
	Begun time.Time `json:"begun"`
	// The operator's reason.
	Note string `json:"note,omitempty"`
	// Name of the operator who ordered it.
	Owner string `json:"owner,omitempty"`
	// When the cordon ends; absent for never.
	Until time.Time `json:"until,omitzero"`
}

// Display is the schema of that name in the OpenAPI document.
type Display struct {
	// Capture backend: x11, wayland, pipewire, kms, darwin, screenshot or synthetic.
	Backend string `json:"backend"`
	// ID of the session that controls it.
	Controller string `json:"controller,omitempty"`
	// Number of its encodings: viewers on equal paths share one; absent for viewers, and if there are none.
	Encodings int `json:"encodings,omitempty"`
	// ID of the group that it belongs to. A request for the group gets a member without sessions and reservations.
	Group string `json:"group,omitempty"`
	// Last known height, in pixels.
	Height int `json:"height"`
	// ID that clients use, unique on the host.
	ID string `json:"id"`
	// The display accepts mouse and keyboard input.
	Input bool `json:"input"`
	// Maximum number of concurrent sessions, by the display's rules; absent without a limit.
	MaxViewers int `json:"max_viewers,omitempty"`
	// Name for people.
	Name string `json:"name"`
	// The monitor is the desktop's primary one.
	Primary bool `json:"primary,omitempty"`
	// Why the display is lost, slow or unusable, for people.
	Reason string `json:"reason,omitempty"`
	// Who controls the display may change its size: PUT /v1/sessions/{id}/size.
	Resizable bool `json:"resizable"`
	// How far the monitor is turned counterclockwise, in degrees. Pictures are upright.
	Rotation int `json:"rotation,omitempty"`
	// Size of what programs show, as a fraction of 1: 1.5 is half as large again. Absent if it is unknown.
	Scale float64 `json:"scale,omitempty"`
	// live or lost with viewers; idle, slow (its server does not answer) or unusable without viewers.
	State DisplayState `json:"state"`
	// Number of its sessions; absent for viewers, and if there are none.
	Viewers int `json:"viewers,omitempty"`
	// Last known width, in pixels.
	Width int `json:"width"`
	// Left edge on the desktop, in pixels.
	X int `json:"x,omitempty"`
	// Top edge on the desktop, in pixels.
	Y int `json:"y,omitempty"`
}

// DrainStatus is the schema of that name in the OpenAPI document.
type DrainStatus struct {
	// When the drain began.
	Begun time.Time `json:"begun"`
	// When the remaining sessions end; absent for never.
	Deadline time.Time `json:"deadline,omitzero"`
	// When the last session ended; absent before.
	Done time.Time `json:"done,omitzero"`
	// The operator's reason.
	Note string `json:"note,omitempty"`
	// Name of the operator who ordered it.
	Owner string `json:"owner,omitempty"`
	// wait leaves sessions running until the deadline; move requests by one event each that they be moved; end ends
	// them one after the other.
	Policy DrainPolicy `json:"policy"`
	// For how long in total a viewer may postpone the end of its session, in seconds; also beyond the deadline.
	PostponeSeconds float64 `json:"postpone_seconds"`
	// Number of sessions for which an event has requested a move.
	SessionsAskedToMove int `json:"sessions_asked_to_move"`
	// Number of sessions when the drain began.
	SessionsAtStart int `json:"sessions_at_start"`
	// Number of remaining sessions.
	SessionsLeft int `json:"sessions_left"`
	// Number of remaining sessions whose end was postponed.
	SessionsPostponed int `json:"sessions_postponed"`
}

// Encoder is the schema of that name in the OpenAPI document.
type Encoder struct {
	// Codec, by its RTP name: H264, H265, AV1, VP9 or VP8.
	Codec string `json:"codec"`
	// Device that it encodes on; absent if that is left to its driver.
	Device string `json:"device,omitempty"`
	// Kind of that reason: missing (no device, driver or build), busy (no further encode), size (picture size not
	// supported), timeout (its trial did not finish, and is repeated) or broken.
	Failure EncoderFailure `json:"failure,omitempty"`
	// The encoder runs on a graphics card.
	Hardware bool `json:"hardware"`
	// New streams of this codec start with this encoder.
	InUse bool `json:"in_use"`
	// Largest supported height, in pixels. Larger displays are scaled down.
	MaxHeight int `json:"max_height"`
	// Largest supported width, in pixels. Larger displays are scaled down.
	MaxWidth int `json:"max_width"`
	// Smallest supported height, in pixels.
	MinHeight int `json:"min_height"`
	// Smallest supported width, in pixels.
	MinWidth int `json:"min_width"`
	// Name of the encoder in FFmpeg, with the device where it has several: h264_vaapi@renderD129.
	Name string `json:"name"`
	// Price of a bitrate change: nothing, a keyframe, or reopening the encoder.
	Price EncoderPrice `json:"price"`
	// Time to encode a million pixels in the trial, in seconds.
	SecondsPerMegapixel float64 `json:"seconds_per_megapixel,omitempty"`
	// Maximum number of concurrent encodings; absent if no limit is known.
	SessionLimit int `json:"session_limit,omitempty"`
	// The limit was learned: the hardware refused another encode.
	SessionLimitLearnt bool `json:"session_limit_learnt,omitempty"`
	// Number of its open encodings.
	Sessions int `json:"sessions,omitempty"`
	// Kind of graphics memory from which it reads pictures without a copy; absent if it reads main memory only.
	Surfaces Surface `json:"surfaces,omitempty"`
	// Why the graphics card reads no pictures of other programs, so that they are uploaded to it.
	UploadsWhy string `json:"uploads_why,omitempty"`
	// The encoder encoded real pictures on this machine.
	Usable bool `json:"usable"`
	// Why the encoder is not usable.
	Why string `json:"why,omitempty"`
}

// Fault is the schema of that name in the OpenAPI document.
type Fault struct {
	// What is wrong there, for people.
	Detail string `json:"detail"`
	// Name of the parameter in the query that has the fault.
	Parameter string `json:"parameter,omitempty"`
	// JSON pointer (RFC 6901) to the fault in the body, as a URI fragment such as #/weight.
	Pointer string `json:"pointer,omitempty"`
}

// GPU is the schema of that name in the OpenAPI document.
type GPU struct {
	// Encoding interface, as in names of encoders: nvenc or vaapi; empty if another card is used.
	API string `json:"api"`
	// Share of the last second in which the card worked, as a fraction of 1.
	Busy float64 `json:"busy"`
	// Its render node, such as /dev/dri/renderD128; absent if unknown.
	Device string `json:"device,omitempty"`
	// Share of the last second in which the card's encoder worked, as a fraction of 1.
	EncoderBusy float64 `json:"encoder_busy"`
	// Number of encodings that run on it, of all programs.
	EncoderSessions int `json:"encoder_sessions"`
	// Name of the card on this host, such as nvidia0 or card0.
	ID string `json:"id"`
	// Memory of the card, in bytes.
	MemoryTotalBytes int `json:"memory_total_bytes"`
	// Used memory of the card, in bytes.
	MemoryUsedBytes int `json:"memory_used_bytes"`
	// Name for people.
	Name string `json:"name"`
}

// Host is the schema of that name in the OpenAPI document.
type Host struct {
	// Version of the API, as info.version of the OpenAPI document.
	APIVersion string `json:"api_version"`
	// Identifies this run of the daemon. Sessions and reservations of another run no longer exist.
	BootID string `json:"boot_id"`
	// Capacity for further sessions at the usual profiles, as in GET /v1/capacity.
	Capacity []Capacity `json:"capacity"`
	// The cordon, if there is one: the host takes no new sessions, and leaves the others alone.
	Cordon *CordonStatus `json:"cordon,omitempty"`
	// What viewers get that request no display: the ID of a display or of a group of displays.
	DefaultDisplay string `json:"default_display,omitempty"`
	// The displays, the default first.
	Displays []Display `json:"displays"`
	// Progress of the drain, if there is one.
	Drain *DrainStatus `json:"drain,omitempty"`
	// When the drain ends the remaining sessions.
	DrainDeadline time.Time `json:"drain_deadline,omitzero"`
	// The encoders that were tried, best first.
	Encoders []Encoder `json:"encoders"`
	// Optional parts that are in use on this host.
	Features []Feature `json:"features"`
	// The host's place in a fleet, if it has one.
	Fleet FleetLink `json:"fleet,omitempty"`
	// The daemon that this one has taken over from, as long as it has sessions.
	Former FormerDaemon `json:"former,omitempty"`
	// The link to a gateway, if there is one.
	Gateway *GatewayLink `json:"gateway,omitempty"`
	// The last attempt to leave the host to the installed program, if there was one.
	Handover Handover `json:"handover,omitempty"`
	// The configured STUN and TURN servers and their states.
	ICEServers []RelayStatus `json:"ice_servers,omitempty"`
	// Permanent ID of the host: the setting host_id, or derived from the machine ID.
	ID string `json:"id,omitempty"`
	// Labels of the host, such as region and pool, by the setting host.labels.
	Labels map[string]string `json:"labels"`
	// Load of the machine, where it is known.
	Load *Load `json:"load,omitempty"`
	// Name of the machine.
	Name string `json:"name,omitempty"`
	// Address of the viewer page, by the address that the daemon listens on. Only operators see it.
	PageURL string `json:"page_url,omitempty"`
	// System and architecture, such as linux/amd64.
	Platform string `json:"platform,omitempty"`
	// Whether an update has replaced the program while the daemon runs the old one. wavry-host upgrade restarts it.
	RestartPending bool `json:"restart_pending"`
	// The last self-probe, if there was one.
	SelfProbe SelfProbe `json:"self_probe,omitempty"`
	// Maximum number of sessions.
	SessionLimit int `json:"session_limit"`
	// Number of sessions.
	Sessions int `json:"sessions"`
	// Address of the source code of this version, which the AGPL entitles each user to.
	SourceURL string `json:"source_url,omitempty"`
	// When the daemon started.
	Started time.Time `json:"started"`
	// State of the host: active, degraded, probation, cordoned or draining.
	State HostState `json:"state"`
	// Reason of the last change of the state: the daemon started or stops, an operator requested it, a probation was
	// passed (proved), the fault was repaired (recovered), or the time of a cordon is over (expired); for degraded,
	// the fault.
	StateReason StateReason `json:"state_reason"`
	// When the state was entered.
	StateSince time.Time `json:"state_since"`
	// Time of this answer by the host's clock.
	Time time.Time `json:"time"`
	// The last trial of the installed program, if one was requested since it was installed.
	Trial ProgramTrial `json:"trial,omitempty"`
	// Time since the daemon started, in seconds.
	UptimeSeconds float64 `json:"uptime_seconds"`
	// The daemon's version.
	Version string `json:"version"`
}

// Load is the schema of that name in the OpenAPI document.
type Load struct {
	// Number of processor cores that the daemon may use.
	Cores float64 `json:"cores"`
	// Number of cores in use over the last half second, by all programs.
	CoresNow float64 `json:"cores_now"`
	// Number of cores in use over the last seconds, by all programs.
	CoresUsed float64 `json:"cores_used"`
	// Share of the last ten seconds in which a task waited for a processor, as a fraction of 1.
	CPUStalled float64 `json:"cpu_stalled"`
	// The graphics cards whose drivers report their load.
	GPUs []GPU `json:"gpus,omitempty"`
	// Available memory, in bytes.
	MemoryFreeBytes int `json:"memory_free_bytes"`
	// Share of the last ten seconds in which a task waited for memory, as a fraction of 1.
	MemoryStalled float64 `json:"memory_stalled"`
	// Total memory, in bytes.
	MemoryTotalBytes int `json:"memory_total_bytes"`
}

// PlannedEnd is the schema of that name in the OpenAPI document.
type PlannedEnd struct {
	// When the session ends.
	At time.Time `json:"at"`
	// How long the session still lasts, in seconds.
	InSeconds float64 `json:"in_seconds"`
	// The operator's reason.
	Note string `json:"note,omitempty"`
	// For how long the viewer may still postpone the end, in seconds; 0 for not at all.
	PostponeSeconds float64 `json:"postpone_seconds"`
	// Why it ends.
	Reason EndReason `json:"reason"`
}

// Problem is the schema of that name in the OpenAPI document.
type Problem struct {
	// The problem, for programs.
	Code Code `json:"code"`
	// What is wrong, for people.
	Detail string `json:"detail"`
	// Faults of the body, the query or the configuration, up to 16.
	Errors []Fault `json:"errors,omitempty"`
	// With full: the largest usual profile that fits, such as 1280x720@30.
	Fit string `json:"fit,omitempty"`
	// With not_ready: why the host is not ready.
	Reasons []UnreadyReason `json:"reasons,omitempty"`
	// ID of the request; also in X-Request-Id, in the log and in the audit log.
	RequestID string `json:"request_id"`
	// With full: the resource that is exhausted.
	Resource Resource `json:"resource,omitempty"`
	// Number of the HTTP status.
	Status int `json:"status"`
	// Name of the status.
	Title string `json:"title"`
	// Always about:blank. The code says what the problem is.
	Type string `json:"type"`
}

// Reload is the schema of that name in the OpenAPI document.
type Reload struct {
	// The changed settings that are applied.
	Applied []string `json:"applied"`
	// When the change is reverted unless it is confirmed.
	ConfirmBy time.Time `json:"confirm_by,omitzero"`
	// The changed settings that require a restart of the daemon.
	NeedsRestart []string `json:"needs_restart"`
}
