package session

import (
	"wavryhost/session/floor"
	"wavryhost/session/peer"
)

// The states of a session.
const (
	stateConnecting   = "connecting"
	stateConnected    = "connected"
	stateDisconnected = "disconnected"
)

var sessionStates = []string{stateConnecting, stateConnected, stateDisconnected}

// How a display without viewers is that could not be captured at the last look.
const (
	DisplaySlow     = "slow"
	DisplayUnusable = "unusable"
)

var displayFaults = []string{DisplaySlow, DisplayUnusable}

// The states of the host. The first state that applies is shown.
const (
	hostDraining  = "draining"
	hostCordoned  = "cordoned"
	hostDegraded  = "degraded"
	hostProbation = "probation"
	hostActive    = "active"
)

var hostStates = []string{hostDraining, hostCordoned, hostDegraded, hostProbation, hostActive}

// The reasons of the host's state, beside what makes it degraded.
const (
	stateStarted   = "started"
	stateStopping  = "stopping"
	stateRequested = "requested"
	stateRecovered = "recovered"
	stateProved    = "proved"
	stateExpired   = "expired" // the time of the cordon is over
)

var stateReasons = []string{stateStarted, stateStopping, stateRequested, stateRecovered, stateProved, stateExpired}

// Why a cordon ended.
const (
	cordonRequested = "requested"
	cordonExpired   = "expired"
)

var cordonEnds = []string{cordonRequested, cordonExpired}

// The encoding that a session moves to: a faster or slower one, or one of another display.
const (
	encodingFaster  = "faster"
	encodingSlower  = "slower"
	encodingDisplay = "display"
)

var encodingMoves = []string{encodingFaster, encodingSlower, encodingDisplay}

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
	refusedFull, refusedDraining, refusedMalformed, refusedUnacceptable, refusedUnknownDisplay,
	refusedNoPicture, refusedNoNetwork,
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

// The parts in which a panic is caught; see package guard.
const (
	partSession  = "session"  // the loop that watches a session
	partFeedback = "feedback" // what reads a viewer's reports
	partPacer    = "pacer"    // what sends a viewer's packets
	partPointer  = "pointer"  // what sends the pointer to a viewer
	partRelease  = "release"  // the end of a session
	partJanitor  = "janitor"  // what looks after all sessions
	partRelay    = "relay"    // the probes of STUN and TURN servers
	partGateway  = "gateway"  // the link to a gateway
	partFleet    = "fleet"    // the link to a fleet
	PartProbe    = "probe"    // the host's own viewer
)

var parts = []string{
	partSession, partFeedback, partPacer, peer.PartTransport, floor.Part, partPointer, partRelease,
	partJanitor, partRelay, partGateway, PartProbe, partFleet,
}
