package auth

import (
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"wavryhost/session"
)

// Lapsed returns an error for the client if the credential of p is no longer valid, and the reason for which the
// sessions end that it opened. Clocks may differ when a grant is shown, but a session ends exactly when its grant
// expires, and none is opened after that.
func (a *Authenticator) Lapsed(p Principal, now time.Time) (session.EndReason, error) {
	switch p.Credential {
	case session.CredentialOperatorToken:
		if s := a.env.Settings(); s.hasToken && subtle.ConstantTimeCompare(p.hash[:], s.token[:]) == 1 {
			return 0, nil
		}
		return session.EndRevoked, invalid("the token was changed")
	case session.CredentialToken:
		q, ok := a.tokens.find(p.hash)
		if !ok || q.Owner != p.Owner || q.Role != p.Role {
			return session.EndRevoked, invalid("the token was removed")
		}
		q.remote, q.display = p.remote, p.display
		_, why, err := q.valid(now)
		return why, err
	case session.CredentialGrant:
		switch {
		case a.revoked.has(*p.Grant):
			return session.EndRevoked, invalid("the grant was revoked")
		case !a.cfg.Grants.Stands(*p.Grant):
			return session.EndRevoked, invalid("the grant's key was removed")
		case !now.Before(p.Grant.Expires):
			return session.EndExpired, invalid("the grant has expired")
		}
	case session.CredentialViewerToken:
		return a.Lapsed(p.Pass.by, now)
	case session.CredentialCertificate:
		return a.clients.valid(p.chain, now)
	case session.CredentialAnonymous:
		if !a.env.Settings().anonymous {
			return session.EndRevoked, invalid("clients without a credential are no longer admitted")
		}
	}
	return 0, nil
}

// The errors of Issuer.
var (
	ErrUnknownIssuer = errors.New("the host accepts no grants of that issuer")
	ErrWhichIssuer   = errors.New("the host accepts grants of several issuers")
)

// Issuer returns the issuer that a revocation is about. named may be empty if the host has at most one issuer.
func (a *Authenticator) Issuer(named string) (string, error) {
	var all []string
	if a.cfg.Grants != nil {
		all = a.cfg.Grants.Issuers()
	}
	if named == "" {
		switch len(all) {
		case 0:
			return "", nil
		case 1:
			return all[0], nil
		default:
			return "", ErrWhichIssuer
		}
	}
	if all != nil && !slices.Contains(all, named) {
		return "", ErrUnknownIssuer
	}
	return named, nil
}

// Revoke revokes a grant of an issuer by its ID, or all grants that a subject has so far, or both. With
// ErrTooManyRevoked nothing is revoked. Any other error means that the revocation ends with the daemon, because the
// file cannot be written.
func (a *Authenticator) Revoke(now time.Time, issuer, id, subject string) error {
	return a.revoked.add(now, issuer, id, subject)
}
