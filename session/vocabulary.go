package session

import "fmt"

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

// Why the planned end of a session is announced.
const (
	endingPlanned   = "planned"
	endingPostponed = "postponed"
)

var endingReasons = []string{endingPlanned, endingPostponed}

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
