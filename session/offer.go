package session

import (
	"time"

	"wavryhost/session/admission"
	"wavryhost/session/floor"
)

// Offer is what a viewer comes with.
type Offer struct {
	// Display is a Display's ID, or "default" for the first one.
	Display string
	// SDP is the offer (RFC 8866), one receiving video section.
	SDP string
	// Reservation is the ID of the reservation that the viewer uses, empty for none.
	Reservation string
	// MaxBitrate is the session's ceiling in bits per second, 0 for the host's, and Weight its share where something
	// is short, 0 for the usual one; see Change.
	MaxBitrate, Weight int
	// Role is what its viewer may do.
	Role Role
	// Region is where the STUN and TURN servers to use stand, empty for the host's preference. One without servers
	// counts for nothing.
	Region string
	// DrawsPointer marks viewers that draw the pointer themselves, from the messages of a data channel.
	DrawsPointer bool
	// Owner is whom the session belongs to, Grant the id of the grant that it was opened by, and Expires when that
	// ends it; all may be empty.
	Owner   Owner
	Grant   string
	Expires time.Time
	// Guest marks offers that do not come from an operator: the limit on the sessions of one owner holds for them, and
	// the place that is kept for operators is not theirs. MaxSessions is that limit, where the credential has its own;
	// 0 for Config.MaxPerOwner.
	Guest       bool
	MaxSessions int
	// ExternalID and Labels are the client's own names for the session.
	ExternalID string
	Labels     admission.Labels
	// Probe marks the offer of the host itself, which watches one of its displays as a viewer would. Its session takes
	// no place, and no list, event or metric of sessions has it. Journal and metrics have the panics in it.
	Probe bool
	// Replaces is the session that this one replaces, of the daemon that this one has taken over from; empty for none.
	// Rate is the bitrate that its path carried, in bits per second, and Control whether it controlled the display.
	Replaces string
	Rate     int
	Control  bool
	// TraceParent is the W3C traceparent of the request, which the trace of the set-up continues; empty for none.
	TraceParent string
	// RemoteAddr and UserAgent are for the log.
	RemoteAddr, UserAgent string

	begun time.Time // when the Manager got it
}

// Role is what a session's viewer may do.
type Role = floor.Role

// The roles.
const (
	RoleViewer     = floor.RoleViewer
	RoleController = floor.RoleController
	RoleOperator   = floor.RoleOperator
)

// Owner identifies the owner of a session.
type Owner = admission.Owner

// The credentials that sessions are opened by.
const (
	CredentialOperatorToken = "operator_token"
	CredentialToken         = "token"
	CredentialGrant         = "grant"
	CredentialCertificate   = "certificate"
	CredentialAnonymous     = "anonymous"
	CredentialGateway       = "gateway"
	CredentialViewerToken   = "viewer_token" // of a viewer for whom an operator reserved or opened a session
	CredentialProbe         = "probe"        // the host itself, which watches one of its displays
	CredentialLocal         = "local"        // a user of this machine, known by the kernel
	CredentialFleet         = "fleet"        // a client of the fleet, known by the NATS server
)

// Credentials lists them.
func Credentials() []string {
	return []string{
		CredentialOperatorToken, CredentialToken, CredentialGrant, CredentialCertificate,
		CredentialAnonymous, CredentialGateway, CredentialViewerToken, CredentialLocal,
		CredentialProbe, CredentialFleet,
	}
}

// Answer is what the viewer gets.
type Answer struct {
	// ID names the session; it cannot be guessed.
	ID  string
	SDP string
	// ETag names the ICE session (draft-ietf-wish-whep, RFC 9725 section 4.3), quotes included.
	ETag string
}

// Patched is the answer to a trickle or a restart of ICE.
type Patched struct {
	// SDP is the fragment (RFC 8840) with the host's new credentials and candidates after a restart; empty after a
	// trickle.
	SDP string
	// ETag is the new one after a restart, else the old one.
	ETag string
}

// Change is what is to change of a session; nil fields stay.
type Change struct {
	// MaxBitrate is the ceiling in bits per second, 0 for the host's.
	MaxBitrate *int
	// Weight is the session's share where something is short, from 1 to 1000; sessions begin with 100.
	Weight *int
	// Display is what it should show from now on.
	Display *string
}
