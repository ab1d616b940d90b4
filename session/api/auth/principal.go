// Package auth finds out who a request comes from: by the operator's token, the tokens of a file, signed grants, client
// certificates, or the tokens that operators get for their viewers. It also tells when a credential stops being valid.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/netip"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/grant"
)

// Principal is the client that a request comes from. It owns the sessions that it opens.
type Principal struct {
	session.Owner
	Role  grant.Role
	Grant *grant.Grant // nil for other credentials
	Pass  *Pass        // nil for other credentials than a viewer token
	// hash is the token's. scope and until limit a token of the file; until is zero without a date.
	hash  [sha256.Size]byte
	scope grant.Scope
	until time.Time
	// remote is where the request came from. display is the display of the session that was opened with a token. Both
	// serve to check the token's limits again.
	remote, display string
	// vouched: another daemon of this host has authenticated the client.
	vouched bool
	// chain is the certificate chain; its first element is the client's own certificate.
	chain []*x509.Certificate
}

// principalKey is the key of a request's principal in its context.
type principalKey struct{}

// WithPrincipal returns a context for a request of p.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns the principal of a request, which is zero on a route without authentication.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// GrantID returns the ID of the principal's grant, if it has one.
func (p Principal) GrantID() string {
	if p.Grant == nil {
		return ""
	}
	return p.Grant.ID
}

// Expires returns when the principal's grant or token ends. The zero time means never.
func (p Principal) Expires() time.Time {
	if p.Grant == nil {
		return p.until
	}
	return p.Grant.Expires
}

// Watches reports whether the principal's grant or token allows a display.
func (p Principal) Watches(display string) bool {
	if p.Grant != nil {
		return p.Grant.Watches(display)
	}
	if p.Pass != nil {
		return p.Pass.Display == display
	}
	return p.scope.Watches(display)
}

// ForDisplay returns the principal of a session that shows a display. A token lapses when its line in the file no
// longer allows that display.
func (p Principal) ForDisplay(display string) Principal {
	p.display = display
	return p
}

// TURNUser returns the name of the principal at TURN servers with short-lived credentials. It is the same at each
// server, so that quotas are possible, and does not disclose who the principal is.
func (p Principal) TURNUser() string {
	sum := sha256.Sum256([]byte(p.Credential + "\x00" + p.Issuer + "\x00" + p.Name))
	return hex.EncodeToString(sum[:8])
}

// valid reports whether a token of the file is valid at a time, for the place it is used from and the display it
// shows. If not, it returns the result for the metric, the reason for which the session ends, and an error for the
// client.
func (p Principal) valid(now time.Time) (result string, why session.EndReason, err error) {
	switch {
	case !p.until.IsZero() && !now.Before(p.until):
		return string(grant.Expired), session.EndExpired, invalid("the token has expired")
	case !allowed(p.scope, p.remote):
		return resultNetwork, session.EndRevoked, invalid("the token is not valid from your network")
	case p.display != "" && !p.scope.Watches(p.display):
		return resultRevoked, session.EndRevoked, invalid("the token is not valid for this display")
	}
	return resultOK, 0, nil
}

// allowed reports whether a scope allows a remote address.
func allowed(s grant.Scope, remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	return s.Networks == nil || err == nil && s.From(at.Addr())
}
