// Package grant checks signed grants: short-lived JSON Web Tokens (RFC 7519) in which somebody whom the operator trusts says who
// may do what on this host. Only EdDSA with Ed25519 (RFC 8037) and ES256 (RFC 7518) are taken, with keys from a JWK set (RFC 7517).
package grant

import (
	"fmt"
	"slices"
	"time"
)

// Role is what a client may be.
type Role string

// The roles.
const (
	// Viewer watches displays, and ends what it opened.
	Viewer Role = "viewer"
	// Controller is a viewer that may also send input, where the host takes any.
	Controller Role = "controller"
	// Operator may do everything.
	Operator Role = "operator"
	// Metrics reads figures and changes nothing.
	Metrics Role = "metrics"
)

// Roles lists all roles.
func Roles() []Role { return []Role{Viewer, Controller, Operator, Metrics} }

// ParseRole returns the role of that name.
func ParseRole(name string) (Role, error) {
	if r := Role(name); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", fmt.Errorf("role %.40q is none of %v", name, Roles())
}

// Grant is what a verified token allows.
type Grant struct {
	// ID is the token's jti, unique for the issuer.
	ID string
	// Issuer is who says so (iss); it may be empty.
	Issuer string
	// Subject is who it was made out for.
	Subject string
	Role    Role
	Scope
	// Session, when set, is the one session that it is good for.
	Session string
	// MaxBitrate bounds the video's rate, in bits per second. 0 leaves it to the host.
	MaxBitrate int
	// MaxSessions is how many sessions its subject may have at a time. 0 leaves it to the host.
	MaxSessions int
	// Once says that it opens one session and no second one.
	Once bool
	// Issued and Expires bound it.
	Issued, Expires time.Time

	// kid and key are what it is signed with, by whose issuer, and within the patterns of displays that this may name.
	kid    string
	key    key
	by     *source
	within []string
}

// Watches reports whether the grant is good for that display, and its issuer may let anybody watch it.
func (g Grant) Watches(display string) bool {
	return g.Scope.Watches(display) && (g.within == nil || anyMatch(g.within, display))
}

// within reports whether an issuer that may grant some role may grant r.
func (r Role) within(most Role) bool {
	return r == most || most == Operator || most == Controller && r == Viewer
}

// Fault is what is wrong with a token. The set is closed: it labels a metric.
type Fault string

// The faults.
const (
	// Malformed: it is no such token, or one of its parts is not what it must be.
	Malformed Fault = "malformed"
	// Algorithm: it is signed by an algorithm that is not taken, such as none or HS256.
	Algorithm Fault = "algorithm"
	// UnknownKey: no key of the set has its kid.
	UnknownKey Fault = "unknown_key"
	// Signature: it was not signed with that key, or was changed since.
	Signature Fault = "signature"
	// Expired: its time is over.
	Expired Fault = "expired"
	// Early: its time has not come.
	Early Fault = "not_yet_valid"
	// Audience: it is made out for another host, or comes from another issuer.
	Audience Fault = "audience"
	// Exceeding: it allows more than its issuer may.
	Exceeding Fault = "exceeding"
	// Busy: it is for one session, and no more can be remembered of those that were used.
	Busy Fault = "busy"
	// Replayed: it was good for one session, which it has opened.
	Replayed Fault = "replayed"
)

// Faults lists all faults.
func Faults() []Fault {
	return []Fault{Malformed, Algorithm, UnknownKey, Signature, Expired, Early, Audience, Exceeding, Busy, Replayed}
}

// Error is a token that is refused.
type Error struct {
	Fault Fault
	// Signed says that the signature is right: a key of the set made it, and whoever shows it has not guessed it.
	Signed bool
	text   string
}

var _ error = (*Error)(nil)

// Error says what is wrong, without a word of the token but the names in it.
func (e *Error) Error() string { return "grant: " + e.text }

// signed returns e with what is known of the signature.
func (e *Error) signed(right bool) *Error { return &Error{Fault: e.Fault, Signed: right, text: e.text} }

func wrong(f Fault, format string, args ...any) *Error {
	return &Error{Fault: f, text: fmt.Sprintf(format, args...)}
}
