package session

import (
	"fmt"

	"wavryhost/session/admission"
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

// Why a session that is connected shows nothing, as far as this host can tell. The set is closed.
const (
	// undeliveredNoPicture: no picture was sent.
	undeliveredNoPicture = "no_picture"
	// undeliveredUnpacked: pictures are made, and nothing of them can be put into packets; undeliveredUnsent: the
	// transport takes none of the packets.
	undeliveredUnpacked = "not_packetized"
	undeliveredUnsent   = "not_sent"
	// undeliveredNoFeedback: nothing was heard of the viewer since it connected.
	undeliveredNoFeedback = "no_feedback"
	// undeliveredRequests: the viewer asks for keyframes again and again, as one does who cannot decode what arrives.
	undeliveredRequests = "keyframe_requests"
)

var undeliveredReasons = []string{
	undeliveredNoPicture, undeliveredUnpacked, undeliveredUnsent,
	undeliveredNoFeedback, undeliveredRequests,
}

// The outcomes of a change of the configuration.
const (
	ConfigApplied    = "applied"
	ConfigRefused    = "refused"
	ConfigRolledBack = "rolled_back"
	ConfigConfirmed  = "confirmed"
)

var configOutcomes = []string{ConfigApplied, ConfigRefused, ConfigRolledBack, ConfigConfirmed}

// How the previous daemon ended.
const (
	ExitClean   = "clean"   // it was asked to end
	ExitFailed  = "failed"  // it ended with an error
	ExitKilled  = "killed"  // it recorded no end: a crash, a kill, or the end of the machine
	ExitUnknown = "unknown" // nothing is recorded: the first start, or no state folder
)

// Exits lists how a daemon can end.
func Exits() []string { return []string{ExitClean, ExitFailed, ExitKilled, ExitUnknown} }

// Resources lists what can be short.
func Resources() []string { return resourceNames(admission.Resources()) }

// resourceNames returns the names of resources.
func resourceNames(resources []admission.Resource) []string {
	var list []string
	for _, r := range resources {
		list = append(list, string(r))
	}
	return list
}

func words[T fmt.Stringer](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}
