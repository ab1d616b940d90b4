package hoststate

// The states of a host. The first state that applies is shown.
const (
	Draining  = "draining"
	Cordoned  = "cordoned"
	Degraded  = "degraded"
	Probation = "probation"
	Active    = "active"
)

// States lists all states of a host.
func States() []string { return []string{Draining, Cordoned, Degraded, Probation, Active} }

// The reasons of the state, beside what makes it degraded.
const (
	Started   = "started"
	Stopping  = "stopping"
	Requested = "requested"
	Recovered = "recovered"
	Proved    = "proved"
	Expired   = "expired" // the time of the cordon is over
)

// Reasons lists the reasons of the state, beside what makes it degraded.
func Reasons() []string { return []string{Started, Stopping, Requested, Recovered, Proved, Expired} }

// Why a cordon ended.
const (
	cordonRequested = "requested"
	cordonExpired   = "expired"
)

// CordonEnds lists why a cordon can end.
func CordonEnds() []string { return []string{cordonRequested, cordonExpired} }

// Why the planned end of a session is announced.
const (
	endingPlanned   = "planned"
	endingPostponed = "postponed"
)

// EndingReasons lists why the planned end of a session can be announced.
func EndingReasons() []string { return []string{endingPlanned, endingPostponed} }
