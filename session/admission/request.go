package admission

import (
	"time"

	"wavryhost/encode"
)

// Request asks for room for one session.
type Request struct {
	Display string
	Format  encode.Format
	// Viewers limits the sessions of the display; 0 for any number.
	Viewers int
	Profile Profile
	// Weight is that of a reservation that gives none.
	Weight int
	// Reservation is the ID of the reservation that the session uses, empty for none.
	Reservation string
	Owner       Owner
	// Guest marks requests that do not come from an operator. The limit per owner applies to them, and the last place
	// is kept for operators.
	Guest bool
	// MaxSessions is the owner's own limit, 0 for that of the host.
	MaxSessions int
}

// Owner identifies the owner of a session. Two owners are the same when all fields are.
type Owner struct {
	// Credential is the kind of credential that it showed, empty where the session was not opened through the API.
	Credential string
	// Issuer made the grant or the certificate, or is the gateway of a user.
	Issuer string
	// Name is unique for a credential and an issuer. It is the client's network where the client is anonymous.
	Name string
}

// Snapshot is the state of a host at one moment. It is plain data.
type Snapshot struct {
	Now    time.Time
	Limits Limits
	// Host is what was measured. The Admitter fills in Sessions, Promised, UplinkUsed and Encodes, and takes
	// SessionLimit from Limits.
	Host Host
	// Sessions are all sessions, including sessions that are ending.
	Sessions []Session
	// Displays are the captured displays, by ID.
	Displays map[string]Display
}

// Limits are the configured limits of a host.
type Limits struct {
	// Sessions is the number of sessions, Handshakes the number that are connecting, and PerOwner the number of
	// a guest's sessions.
	Sessions, Handshakes, PerOwner int
}

// Session is what admission sees of a session.
type Session struct {
	ID string
	// Display is the shown display, and Heading the next one to show; empty for none.
	Display, Heading string
	Owner            Owner
	// Guest marks sessions that no operator opened.
	Guest   bool
	Created time.Time
	// Connected is the time of its first connection, zero before.
	Connected time.Time
	// Connecting: its transport has not been up.
	Connecting bool
	// Ending sessions give way already.
	Ending bool
	// Sent is what it sends, in bits per second.
	Sent int
}

// waiting reports whether the session never connected and may give way to another.
func (s Session) waiting() bool { return s.Connected.IsZero() && !s.Ending }

// Display is what admission sees of a display that is captured.
type Display struct {
	// Viewers is the number of its sessions.
	Viewers int
	// Cost is what its encodes take, in cores.
	Cost float64
	// Encodes is the number of its encodes on the best encoder of the requested format.
	Encodes int
	// Shared: one of its encodes has the requested format, and another viewer gets that.
	Shared bool
}

// find returns the index of a session, -1 for none.
func (s *Snapshot) find(session string) int {
	for i := range s.Sessions {
		if s.Sessions[i].ID == session {
			return i
		}
	}
	return -1
}
