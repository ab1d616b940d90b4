// Package grant verifies signed grants: short-lived JSON Web Tokens (RFC 7519) in which a trusted issuer says what a
// client may do on this host. It accepts EdDSA with Ed25519 (RFC 8037) and ES256 (RFC 7518), with keys from a JWK set
// (RFC 7517).
package grant

import (
	"fmt"
	"slices"
	"time"
)

// Role says what a client may do.
type Role string

// The roles.
const (
	// A Viewer watches displays, and ends the sessions that it opened.
	Viewer Role = "viewer"
	// A Controller is a viewer that may also send input, if the host accepts any.
	Controller Role = "controller"
	// An Operator may do everything.
	Operator Role = "operator"
	// Metrics reads figures and changes nothing.
	Metrics Role = "metrics"
)

// Roles lists all roles.
func Roles() []Role { return []Role{Viewer, Controller, Operator, Metrics} }

// ParseRole returns the role with that name.
func ParseRole(name string) (Role, error) {
	if r := Role(name); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", fmt.Errorf("role %.40q is none of %v", name, Roles())
}

// Grant is what a verified token allows.
type Grant struct {
	// ID is the token's jti, unique per issuer.
	ID string
	// Issuer is the token's iss; it may be empty.
	Issuer string
	// Subject is the token's sub: the client that the grant is for.
	Subject string
	Role    Role
	Scope
	// Session, if set, is the only session that the grant allows.
	Session string
	// MaxBitrate bounds the video's bitrate, in bits per second. 0 means the host's limit.
	MaxBitrate int
	// MaxSessions bounds the simultaneous sessions of the subject. 0 means the host's limit.
	MaxSessions int
	// Once reports whether the grant opens only one session.
	Once bool
	// Issued and Expires are the token's iat and exp.
	Issued, Expires time.Time

	// within are the displays that the issuer may allow; nil for all. stands reports whether the issuer still has the
	// key that signed the grant; nil for a grant that a former daemon has checked.
	within []string
	stands func() bool
}

// Watches reports whether both the grant and its issuer allow a display.
func (g Grant) Watches(display string) bool {
	return g.Scope.Watches(display) && (g.within == nil || anyMatch(g.within, display))
}

// Capped returns r, or most if r is higher.
func (r Role) Capped(most Role) Role {
	if r.within(most) {
		return r
	}
	return most
}

// within reports whether an issuer that may grant some role may grant r.
func (r Role) within(most Role) bool {
	return r == most || most == Operator || most == Controller && r == Viewer
}

// Fault is the reason to refuse a token. The set is closed: it labels a metric.
type Fault string

// The faults.
const (
	// Malformed means that it is not a token, or that a part of it is not valid.
	Malformed Fault = "malformed"
	// Algorithm means that it is signed by an algorithm that is not accepted, such as none or HS256.
	Algorithm Fault = "algorithm"
	// UnknownKey means that no key of the set has its kid.
	UnknownKey Fault = "unknown_key"
	// Signature means that this key has not signed it, or that it was changed since.
	Signature Fault = "signature"
	// Expired means that its exp has passed.
	Expired Fault = "expired"
	// Early means that its nbf or iat is in the future.
	Early Fault = "not_yet_valid"
	// Audience means that it is for another host, or from another issuer.
	Audience Fault = "audience"
	// Exceeding means that it allows more than its issuer may.
	Exceeding Fault = "exceeding"
	// Busy means that it is a single-session grant, and that the host cannot keep more used ones.
	Busy Fault = "busy"
	// Replayed means that it is a single-session grant that has opened its session.
	Replayed Fault = "replayed"
)

// Faults lists all faults.
func Faults() []Fault {
	return []Fault{Malformed, Algorithm, UnknownKey, Signature, Expired, Early, Audience, Exceeding, Busy, Replayed}
}

// Error is the error for a refused token.
type Error struct {
	Fault Fault
	// Signed reports whether the signature is valid: the client has not guessed the token.
	Signed bool
	text   string
}

var _ error = (*Error)(nil)

// Error says what is wrong. Of the token it contains names only.
func (e *Error) Error() string { return "grant: " + e.text }

// signed returns e with Signed set.
func (e *Error) signed(right bool) *Error { return &Error{Fault: e.Fault, Signed: right, text: e.text} }

func wrong(f Fault, format string, args ...any) *Error {
	return &Error{Fault: f, text: fmt.Sprintf(format, args...)}
}
