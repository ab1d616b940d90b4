package session

import (
	"fmt"

	"wavryhost/session/rift"
)

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

// Why control of a display changed. The set is closed.
const (
	controlTaken        = "taken"         // the display was free, and the viewer gave input
	controlGiven        = "given"         // an operator gave it
	controlWithdrawn    = "withdrawn"     // an operator took it away
	controlIdle         = "idle"          // its holder gave no input for a while
	controlEnded        = "session_ended" // of its holder
	controlClosed       = "channel_closed"
	controlDisconnected = "disconnected"
	controlMoved        = "moved"    // its holder watches another display
	controlOff          = "disabled" // by the settings
)

var controlReasons = []string{
	controlTaken, controlGiven, controlWithdrawn, controlIdle, controlEnded, controlClosed, controlDisconnected,
	controlMoved, controlOff,
}

// Why the planned end of a session is announced.
const (
	endingPlanned   = "planned"
	endingPostponed = "postponed"
)

var endingReasons = []string{endingPlanned, endingPostponed}

// Why a data channel is closed at once.
const (
	channelLabel   = "label"
	channelRole    = "role"
	channelOff     = "off"
	channelDisplay = "display"
	channelSecond  = "second"
)

var channelRefusals = []string{channelLabel, channelRole, channelOff, channelDisplay, channelSecond}

// Why input is dropped, beside rift's faults.
const (
	inputRate        = "rate"
	inputLost        = "lost"
	inputNoControl   = "no_control"
	inputNotAllowed  = "not_allowed"
	inputUnsupported = "unsupported"
)

var inputDrops = append([]string{inputRate, inputLost, inputNoControl, inputNotAllowed, inputUnsupported},
	words(rift.Faults())...)

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

func words[T fmt.Stringer](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}
