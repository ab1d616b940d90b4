// Code generated from docs/integrate/openapi.json by go test -update. DO NOT EDIT.

package client

// Ceiling is a word of a set. Later versions may add words.
type Ceiling string

// The words of Ceiling.
const (
	CeilingHost    Ceiling = "host"
	CeilingSession Ceiling = "session"
	CeilingDisplay Ceiling = "display"
	CeilingUplink  Ceiling = "uplink"
	CeilingOffer   Ceiling = "offer"
)

// Code is a word of a set. Later versions may add words.
type Code string

// The words of Code.
const (
	CodeBadJSON              Code = "bad_json"
	CodeBadRequest           Code = "bad_request"
	CodeBadSDP               Code = "bad_sdp"
	CodeUnauthorized         Code = "unauthorized"
	CodeForbidden            Code = "forbidden"
	CodeForbiddenHost        Code = "forbidden_host"
	CodeForbiddenOrigin      Code = "forbidden_origin"
	CodeNotDraining          Code = "not_draining"
	CodeNotFound             Code = "not_found"
	CodeNothingToConfirm     Code = "nothing_to_confirm"
	CodeUnknownDisplay       Code = "unknown_display"
	CodeUnknownReservation   Code = "unknown_reservation"
	CodeUnknownSession       Code = "unknown_session"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeNotAcceptable        Code = "not_acceptable"
	CodeSlowRequest          Code = "slow_request"
	CodeFixedSize            Code = "fixed_size"
	CodeKeyReused            Code = "key_reused"
	CodeNoControl            Code = "no_control"
	CodeNoPicture            Code = "no_picture"
	CodeNotPostponable       Code = "not_postponable"
	CodeStaleETag            Code = "stale_etag"
	CodeTooLarge             Code = "too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeBadChange            Code = "bad_change"
	CodeBadConfiguration     Code = "bad_configuration"
	CodeBadReservation       Code = "bad_reservation"
	CodeUnacceptableOffer    Code = "unacceptable_offer"
	CodePreconditionRequired Code = "precondition_required"
	CodeTooManyAttempts      Code = "too_many_attempts"
	CodeTooManyRequests      Code = "too_many_requests"
	CodeHeaderTooLarge       Code = "header_too_large"
	CodeInternal             Code = "internal"
	CodeDraining             Code = "draining"
	CodeFull                 Code = "full"
	CodeNoNetwork            Code = "no_network"
	CodeNotReady             Code = "not_ready"
	CodeTooManyGrants        Code = "too_many_grants"
	CodeTooManyRevocations   Code = "too_many_revocations"
	CodeTooManyStreams       Code = "too_many_streams"
	CodeTimeout              Code = "timeout"
)

// Codec is a word of a set. Later versions may add words.
type Codec string

// The words of Codec.
const (
	CodecH264 Codec = "H264"
	CodecH265 Codec = "H265"
	CodecVP9  Codec = "VP9"
	CodecAV1  Codec = "AV1"
	CodecVP8  Codec = "VP8"
)

// CodecReason is a word of a set. Later versions may add words.
type CodecReason string

// The words of CodecReason.
const (
	CodecReasonOnly      CodecReason = "only"
	CodecReasonPreferred CodecReason = "preferred"
	CodecReasonText      CodecReason = "text"
	CodecReasonMotion    CodecReason = "motion"
	CodecReasonRate      CodecReason = "rate"
	CodecReasonCPU       CodecReason = "cpu"
	CodecReasonSetting   CodecReason = "setting"
)

// Credential is a word of a set. Later versions may add words.
type Credential string

// The words of Credential.
const (
	CredentialOperatorToken Credential = "operator_token"
	CredentialToken         Credential = "token"
	CredentialGrant         Credential = "grant"
	CredentialCertificate   Credential = "certificate"
	CredentialAnonymous     Credential = "anonymous"
	CredentialGateway       Credential = "gateway"
	CredentialViewerToken   Credential = "viewer_token"
	CredentialLocal         Credential = "local"
	CredentialProbe         Credential = "probe"
	CredentialFleet         Credential = "fleet"
)

// DisplayState is a word of a set. Later versions may add words.
type DisplayState string

// The words of DisplayState.
const (
	DisplayStateIdle     DisplayState = "idle"
	DisplayStateLive     DisplayState = "live"
	DisplayStateLost     DisplayState = "lost"
	DisplayStateSlow     DisplayState = "slow"
	DisplayStateUnusable DisplayState = "unusable"
)

// DrainPolicy is a word of a set. Later versions may add words.
type DrainPolicy string

// The words of DrainPolicy.
const (
	DrainPolicyWait DrainPolicy = "wait"
	DrainPolicyMove DrainPolicy = "move"
	DrainPolicyEnd  DrainPolicy = "end"
)

// EncoderFailure is a word of a set. Later versions may add words.
type EncoderFailure string

// The words of EncoderFailure.
const (
	EncoderFailureMissing EncoderFailure = "missing"
	EncoderFailureBusy    EncoderFailure = "busy"
	EncoderFailureSize    EncoderFailure = "size"
	EncoderFailureTimeout EncoderFailure = "timeout"
	EncoderFailureBroken  EncoderFailure = "broken"
)

// EncoderPrice is a word of a set. Later versions may add words.
type EncoderPrice string

// The words of EncoderPrice.
const (
	EncoderPriceFree     EncoderPrice = "free"
	EncoderPriceKeyframe EncoderPrice = "keyframe"
	EncoderPriceReopen   EncoderPrice = "reopen"
)

// EndReason is a word of a set. Later versions may add words.
type EndReason string

// The words of EndReason.
const (
	EndReasonDeleted         EndReason = "deleted"
	EndReasonOperator        EndReason = "operator"
	EndReasonICEFailed       EndReason = "ice_failed"
	EndReasonConnectTimeout  EndReason = "connect_timeout"
	EndReasonViewerGone      EndReason = "viewer_gone"
	EndReasonHandshakeFailed EndReason = "handshake_failed"
	EndReasonShutdown        EndReason = "shutdown"
	EndReasonDrained         EndReason = "drained"
	EndReasonOverload        EndReason = "overload"
	EndReasonRevoked         EndReason = "revoked"
	EndReasonExpired         EndReason = "expired"
	EndReasonError           EndReason = "error"
	EndReasonMisbehaved      EndReason = "misbehaved"
	EndReasonReplaced        EndReason = "replaced"
)

// Feature is a word of a set. Later versions may add words.
type Feature string

// The words of Feature.
const (
	FeatureAnonymousViewers   Feature = "anonymous_viewers"
	FeatureAudit              Feature = "audit"
	FeatureClientCertificates Feature = "client_certificates"
	FeatureFleet              Feature = "fleet"
	FeatureGatewayLink        Feature = "gateway_link"
	FeatureGrants             Feature = "grants"
	FeatureTokens             Feature = "tokens"
)

// HostState is a word of a set. Later versions may add words.
type HostState string

// The words of HostState.
const (
	HostStateDraining  HostState = "draining"
	HostStateCordoned  HostState = "cordoned"
	HostStateDegraded  HostState = "degraded"
	HostStateProbation HostState = "probation"
	HostStateActive    HostState = "active"
)

// ICEServerReason is a word of a set. Later versions may add words.
type ICEServerReason string

// The words of ICEServerReason.
const (
	ICEServerReasonTimeout      ICEServerReason = "timeout"
	ICEServerReasonUnreachable  ICEServerReason = "unreachable"
	ICEServerReasonDNS          ICEServerReason = "dns"
	ICEServerReasonUnauthorized ICEServerReason = "unauthorized"
	ICEServerReasonRefused      ICEServerReason = "refused"
	ICEServerReasonTLS          ICEServerReason = "tls"
)

// ICEServerState is a word of a set. Later versions may add words.
type ICEServerState string

// The words of ICEServerState.
const (
	ICEServerStateUnknown ICEServerState = "unknown"
	ICEServerStateUp      ICEServerState = "up"
	ICEServerStateDown    ICEServerState = "down"
)

// Path is a word of a set. Later versions may add words.
type Path string

// The words of Path.
const (
	PathDirect Path = "direct"
	PathRelay  Path = "relay"
)

// Pointer is a word of a set. Later versions may add words.
type Pointer string

// The words of Pointer.
const (
	PointerPicture Pointer = "picture"
	PointerChannel Pointer = "channel"
)

// Protocol is a word of a set. Later versions may add words.
type Protocol string

// The words of Protocol.
const (
	ProtocolUDP Protocol = "udp"
	ProtocolTCP Protocol = "tcp"
)

// Quality is a word of a set. Later versions may add words.
type Quality string

// The words of Quality.
const (
	QualityGood        Quality = "good"
	QualityConstrained Quality = "constrained"
	QualityDegraded    Quality = "degraded"
	QualityCritical    Quality = "critical"
	QualityStalled     Quality = "stalled"
)

// QualityReason is a word of a set. Later versions may add words.
type QualityReason string

// The words of QualityReason.
const (
	QualityReasonStartup          QualityReason = "startup"
	QualityReasonQueueDelay       QualityReason = "queue_delay"
	QualityReasonLoss             QualityReason = "loss"
	QualityReasonPolicer          QualityReason = "policer"
	QualityReasonNoFeedback       QualityReason = "no_feedback"
	QualityReasonProbeOk          QualityReason = "probe_ok"
	QualityReasonCompetingTraffic QualityReason = "competing_traffic"
	QualityReasonEncoderOverload  QualityReason = "encoder_overload"
	QualityReasonEncoderOvershoot QualityReason = "encoder_overshoot"
	QualityReasonUserLimit        QualityReason = "user_limit"
	QualityReasonPeerLimit        QualityReason = "peer_limit"
	QualityReasonRecovered        QualityReason = "recovered"
	QualityReasonHostSaturated    QualityReason = "host_saturated"
)

// Resource is a word of a set. Later versions may add words.
type Resource string

// The words of Resource.
const (
	ResourceSessions        Resource = "sessions"
	ResourceCPU             Resource = "cpu"
	ResourceEncodeTime      Resource = "encode_time"
	ResourceMemory          Resource = "memory"
	ResourceUplink          Resource = "uplink"
	ResourceEncoderSessions Resource = "encoder_sessions"
	ResourceGPU             Resource = "gpu"
	ResourceGPUMemory       Resource = "gpu_memory"
	ResourceDisplay         Resource = "display"
	ResourceHandshakes      Resource = "handshakes"
	ResourceOwner           Resource = "owner"
)

// Role is a word of a set. Later versions may add words.
type Role string

// The words of Role.
const (
	RoleViewer     Role = "viewer"
	RoleController Role = "controller"
	RoleOperator   Role = "operator"
)

// SessionState is a word of a set. Later versions may add words.
type SessionState string

// The words of SessionState.
const (
	SessionStateConnecting   SessionState = "connecting"
	SessionStateConnected    SessionState = "connected"
	SessionStateDisconnected SessionState = "disconnected"
)

// StateReason is a word of a set. Later versions may add words.
type StateReason string

// The words of StateReason.
const (
	StateReasonStarted     StateReason = "started"
	StateReasonStopping    StateReason = "stopping"
	StateReasonRequested   StateReason = "requested"
	StateReasonRecovered   StateReason = "recovered"
	StateReasonProved      StateReason = "proved"
	StateReasonExpired     StateReason = "expired"
	StateReasonDisplayLost StateReason = "display_lost"
	StateReasonNoEncoder   StateReason = "no_encoder"
)

// Surface is a word of a set. Later versions may add words.
type Surface string

// The words of Surface.
const (
	SurfaceDmaBuf      Surface = "dma-buf"
	SurfacePixelBuffer Surface = "pixel-buffer"
	SurfaceCuda        Surface = "cuda"
)

// UndeliveredReason is a word of a set. Later versions may add words.
type UndeliveredReason string

// The words of UndeliveredReason.
const (
	UndeliveredReasonNoPicture        UndeliveredReason = "no_picture"
	UndeliveredReasonNotPacketized    UndeliveredReason = "not_packetized"
	UndeliveredReasonNotSent          UndeliveredReason = "not_sent"
	UndeliveredReasonNoFeedback       UndeliveredReason = "no_feedback"
	UndeliveredReasonKeyframeRequests UndeliveredReason = "keyframe_requests"
)

// UnreadyReason is a word of a set. Later versions may add words.
type UnreadyReason string

// The words of UnreadyReason.
const (
	UnreadyReasonDraining        UnreadyReason = "draining"
	UnreadyReasonCordoned        UnreadyReason = "cordoned"
	UnreadyReasonNoDisplay       UnreadyReason = "no_display"
	UnreadyReasonDisplayLost     UnreadyReason = "display_lost"
	UnreadyReasonDisplayUnusable UnreadyReason = "display_unusable"
	UnreadyReasonNoEncoder       UnreadyReason = "no_encoder"
)

// ViewerRole is a word of a set. Later versions may add words.
type ViewerRole string

// The words of ViewerRole.
const (
	ViewerRoleViewer     ViewerRole = "viewer"
	ViewerRoleController ViewerRole = "controller"
)
