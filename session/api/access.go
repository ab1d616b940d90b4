package api

import (
	"context"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/grant"
)

// may tells whether a role may use a route. Operators may use all.
func (rt route) may(role grant.Role) bool {
	switch role {
	case grant.Operator:
		return true
	case grant.Viewer, grant.Controller:
		switch rt.method + " " + rt.path {
		case "POST /whep/{display}", "PATCH /whep/sessions/{id}", "DELETE /whep/sessions/{id}", "GET /v1/sessions/{id}":
			return true
		}
	case grant.Metrics:
		switch rt.method + " " + rt.path {
		case "GET /metrics", "GET /v1/host", "GET /v1/displays", "GET /v1/capacity":
			return true
		}
	}
	return false
}

// principalKey is where a request's context has its principal.
type principalKey struct{}

func withPrincipal(ctx context.Context, p principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// principalOf returns who a request comes from; nobody where its route is open.
func principalOf(ctx context.Context) principal {
	p, _ := ctx.Value(principalKey{}).(principal)
	return p
}

// owns refuses a viewer the sessions of others. Whether there is such a session is not told.
func (s *Server) owns(r *http.Request, id string) error {
	p := principalOf(r.Context())
	if p.role == grant.Operator {
		return nil
	}
	one, err := s.mgr.Session(id)
	if err != nil || one.Owner() != p.Owner || p.grant != nil && p.grant.Session != "" && p.grant.Session != id && p.grant.Session != one.Reservation {
		return session.ErrUnknownSession
	}
	return nil
}

// views tells whether r, a question about a WHEP path, comes from who may open a session on its display, or has opened the session that it names.
func (s *Server) views(r *http.Request) bool {
	p := principalOf(r.Context())
	if !(route{method: http.MethodPost, path: "/whep/{display}"}).may(p.role) {
		return false
	}
	if id := r.PathValue("id"); id != "" {
		return s.owns(r, id) == nil
	}
	return p.grant == nil || p.grant.Watches(r.PathValue("display"))
}

// limit narrows an offer to what its principal may have.
func (s *Server) limit(r *http.Request, o *session.Offer) error {
	p := principalOf(r.Context())
	o.Owner = p.Owner
	g := p.grant
	if g == nil {
		return nil
	}
	if !g.Watches(o.Display) {
		return refuse(CodeForbidden, "the grant is not good for this display")
	}
	if g.Session != "" && g.Session != o.Lease {
		return refuse(CodeForbidden, "the grant is good for one reservation, which the request has to name")
	}
	o.Grant, o.Expires = g.ID, g.Expires
	if g.MaxBitrate > 0 && (o.MaxBitrate == 0 || g.MaxBitrate < o.MaxBitrate) {
		o.MaxBitrate = g.MaxBitrate
	}
	return nil
}

// lapsed tells whether what p was admitted by is no longer good: an error for the client, and why a session ends that it opened. Clocks may
// differ when a grant is shown, but what it opened ends when it expires, and so nothing is opened after that.
func (k *keeper) lapsed(p principal, now time.Time) (session.EndReason, error) {
	switch p.Credential {
	case session.CredentialOperatorToken:
		if l := k.live(); l.single && subtle.ConstantTimeCompare(p.hash[:], l.token[:]) == 1 {
			return 0, nil
		}
		return session.EndRevoked, invalid("the token was changed")
	case session.CredentialToken:
		if q, ok := k.file.find(p.hash); ok && q.Owner == p.Owner && q.role == p.role {
			return 0, nil
		}
		return session.EndRevoked, invalid("the token was taken away")
	case session.CredentialGrant:
		switch {
		case k.has(*p.grant):
			return session.EndRevoked, invalid("the grant was revoked")
		case !k.grants.Stands(*p.grant):
			return session.EndRevoked, invalid("the grant's key was taken away")
		case !now.Before(p.grant.Expires):
			return session.EndExpired, invalid("the grant has expired")
		}
	case session.CredentialCertificate:
		return k.clients.stands(p.chain, now)
	}
	return 0, nil
}

// maxRevoked bounds what is remembered of revocations.
const maxRevoked = 10_000

// revoked remembers what was revoked, for as long as a grant can live.
type revoked struct {
	mu       sync.Mutex
	grants   map[string]time.Time // by ID: when it may be forgotten
	subjects map[string]time.Time // by name: when it was revoked
}

// has tells whether a grant was revoked.
func (l *revoked) has(g grant.Grant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.grants[g.ID]; ok {
		return true
	}
	at, ok := l.subjects[g.Subject]
	// An issuer whose clock is ahead has issued what it says that it will issue. Nothing later than that was good when the subject was revoked.
	return ok && !g.Issued.After(at.Add(grant.Leeway))
}

// add revokes a grant, or what a subject has; lifetime is the longest of a grant. It fails when too much is remembered.
func (l *revoked) add(now time.Time, id, subject string, lifetime time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grants == nil {
		l.grants, l.subjects = make(map[string]time.Time), make(map[string]time.Time)
	}
	if len(l.grants)+len(l.subjects) >= maxRevoked {
		for k, until := range l.grants {
			if now.After(until) {
				delete(l.grants, k)
			}
		}
		for k, at := range l.subjects {
			if now.Sub(at) > lifetime {
				delete(l.subjects, k)
			}
		}
		if len(l.grants)+len(l.subjects) >= maxRevoked {
			return false
		}
	}
	if id != "" {
		l.grants[id] = now.Add(lifetime)
	}
	if subject != "" {
		l.subjects[subject] = now
	}
	return true
}

// revoking is the body of POST /v1/revocations.
type revoking struct {
	Grant   string `json:"grant,omitempty" maxLength:"128" doc:"Id of a grant (jti): it is refused from now on."`
	Subject string `json:"subject,omitempty" maxLength:"128" doc:"Whom all grants issued until now are taken from."`
}

// revocation is what POST /v1/revocations did.
type revocation struct {
	Ended int `json:"sessions_ended" doc:"Number of sessions that end for it."`
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	var in revoking
	if err := s.readJSON(w, r, &in, false); err != nil {
		return err
	}
	if s.key.grants != nil && !s.key.add(time.Now(), in.Grant, in.Subject, s.key.grants.Outlived()) {
		return refuse(CodeTooManyRevocations, "%d revocations are remembered already; take the issuer's key out of the set", maxRevoked)
	}
	return writeJSON(w, http.StatusOK, revocation{Ended: s.mgr.Revoke(in.Grant, in.Subject)})
}
