package session

import (
	"wavryhost/session/enum"
	"wavryhost/session/peer"
)

// The states of a session.
const (
	stateConnecting   = "connecting"
	stateConnected    = "connected"
	stateDisconnected = "disconnected"
)

var sessionStates = []string{stateConnecting, stateConnected, stateDisconnected}

// The states of a display.
const (
	stageIdle = "idle"
	stageLive = "live"
	stageLost = "lost"
)

var stageStates = []string{stageIdle, stageLive, stageLost}

// How a display without viewers is that could not be captured at the last look.
const (
	DisplaySlow     = "slow"
	DisplayUnusable = "unusable"
)

var displayFaults = []string{DisplaySlow, DisplayUnusable}

// Why a display is lost: its source has ended, or it does not answer.
const (
	lostGone = "gone"
	lostHung = "hung"
)

var lostReasons = []string{lostGone, lostHung}

// The states of the host. The first one that applies is shown.
const (
	hostDraining  = "draining"
	hostDegraded  = "degraded"
	hostProbation = "probation"
	hostActive    = "active"
)

var hostStates = []string{hostDraining, hostDegraded, hostProbation, hostActive}

// Why a host is degraded.
const (
	troubleDisplay = "display_lost"
	troubleEncoder = "no_encoder"
)

var troubles = []string{troubleDisplay, troubleEncoder}

// Whether a session gets a faster encode or a slower one than before, or that of another display.
const (
	rungFaster  = "faster"
	rungSlower  = "slower"
	rungDisplay = "display"
)

var rungMoves = []string{rungFaster, rungSlower, rungDisplay}

// The stages that frames are counted at.
const (
	frameCaptured = "captured"
	frameEncoded  = "encoded"
	frameSent     = "sent"
)

var frameStages = []string{frameCaptured, frameEncoded, frameSent}

// The kinds of pictures that are encoded without a change.
const (
	stillRefine = "refine"
	stillAlive  = "keep_alive"
)

var stillKinds = []string{stillRefine, stillAlive}

// How the rates of all sessions are summed up.
const (
	rateSum = "sum"
	rateMin = "min"
)

var rateSums = []string{rateSum, rateMin}

// The sources of keyframe requests.
const (
	requestPLI      = "pli"
	requestFIR      = "fir"
	requestOperator = "operator"
)

var requestKinds = []string{requestPLI, requestFIR, requestOperator}

// drop is where and why a frame is dropped.
type drop struct{ stage, reason string }

// The drops.
var (
	// dropUnchanged: the source returned a frame in which nothing differs.
	dropUnchanged = drop{"capture", "unchanged"}
	// dropUnwatched: no viewer is connected.
	dropUnwatched = drop{"encode", "no_viewer"}
	// dropBusy: a newer frame came while the encoder worked on an older one.
	dropBusy = drop{"encode", "busy"}
	// dropCongested: a newer frame came while no viewer's pacer had room.
	dropCongested = drop{"encode", "congested"}
	// dropNoEncoder: no encoder works at the moment.
	dropNoEncoder = drop{"encode", "no_encoder"}
	// dropSlowViewer: the picture went to other viewers; this one's pacer had no room.
	dropSlowViewer = drop{"send", "slow_viewer"}
	// dropNoReference: a viewer missed a picture before this one and waits for a keyframe.
	dropNoReference = drop{"send", "awaiting_keyframe"}
	// dropFailed: the picture could not be handed to the transport.
	dropFailed = drop{"send", "error"}
	// dropNoPackets: nothing of the picture can be put into packets.
	dropNoPackets = drop{"send", "no_packets"}

	drops = []drop{
		dropUnchanged, dropUnwatched, dropBusy, dropCongested, dropNoEncoder, dropSlowViewer, dropNoReference, dropFailed, dropNoPackets,
	}
)

// The reasons to refuse an offer.
const (
	refusedFull           = "full"
	refusedDraining       = "draining"
	refusedMalformed      = "malformed"
	refusedUnacceptable   = "unacceptable"
	refusedUnknownDisplay = "unknown_display"
	refusedNoPicture      = "no_picture"
	refusedNoNetwork      = "no_network"
	refusedReservation    = "reservation"
	refusedError          = "error"
)

var refusedReasons = []string{
	refusedFull, refusedDraining, refusedMalformed, refusedUnacceptable, refusedUnknownDisplay, refusedNoPicture, refusedNoNetwork,
	refusedReservation, refusedError,
}

// The results of a handshake.
const (
	handshakeOK          = "success"
	handshakeICETimeout  = "ice_timeout"
	handshakeICEFailed   = "ice_failed"
	handshakeDTLSTimeout = "dtls_timeout"
	handshakeDTLSFailed  = "dtls_failed"
	handshakeAborted     = "aborted"
)

var handshakeResults = []string{
	handshakeOK, handshakeICETimeout, handshakeICEFailed, handshakeDTLSTimeout, handshakeDTLSFailed, handshakeAborted,
}

// keyReason is why a keyframe is encoded, most telling first.
type keyReason uint8

const (
	keyNone keyReason = iota
	keyStart
	keyJoin
	keyRecovery
	keyRequest
	keyEncoder
	// keyUnasked: the encoder made one by itself, which is what rate changes cost with some encoders.
	keyUnasked
)

var keyReasonNames = [...]string{
	keyNone:     "none",
	keyStart:    "start",
	keyJoin:     "join",
	keyRecovery: "recovery",
	keyRequest:  "request",
	keyEncoder:  "new_encoder",
	keyUnasked:  "unasked",
}

var keyReasons = enum.All[keyReason](keyReasonNames[:])[1:]

func (k keyReason) String() string { return enum.Name(keyReasonNames[:], k) }

// The reasons to replace an encoder. Full: the hardware does no more of its encodes at a time.
const (
	fallbackOpen  = "open"
	fallbackFull  = "full"
	fallbackSize  = "size"
	fallbackErr   = "error"
	fallbackHang  = "hang"
	fallbackPanic = "panic"
)

var fallbackReasons = []string{fallbackOpen, fallbackFull, fallbackSize, fallbackErr, fallbackHang, fallbackPanic}

// The parts in which a panic is caught; see package guard.
const (
	partSession  = "session"  // the loop that watches a session
	partFeedback = "feedback" // what reads a viewer's reports
	partPacer    = "pacer"    // what sends a viewer's packets
	partInput    = "input"    // a viewer's messages, or what gives them to the display
	partCapture  = "capture"  // the loop that captures a display
	partEncode   = "encode"   // the loop that encodes a display
	partEncoder  = "encoder"  // a call of an encoder
	partRelease  = "release"  // the end of a session
	partJanitor  = "janitor"  // what looks after all sessions
	partRelay    = "relay"    // the probes of STUN and TURN servers
	partGateway  = "gateway"  // the link to a gateway
)

var parts = []string{
	partSession, partFeedback, partPacer, peer.PartTransport, partInput, partCapture, partEncode, partEncoder, partRelease, partJanitor,
	partRelay, partGateway,
}
