package api

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
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
	_, ok := s.watches(p, r.PathValue("display"))
	return ok
}

// watches reports whether a grant or a token is good for a display, and for which by its id: default is the first one there is.
func (s *Server) watches(p principal, display string) (id string, ok bool) {
	watches := p.scope.Watches
	if p.grant != nil {
		watches = p.grant.Watches
	}
	if watches(display) {
		return display, true
	}
	if all := s.mgr.Host().Displays; display == defaultDisplay && len(all) > 0 {
		return all[0].ID, watches(all[0].ID)
	}
	return display, false
}

// limit narrows an offer to what its principal may have.
func (s *Server) limit(r *http.Request, o *session.Offer) error {
	p := principalOf(r.Context())
	o.Owner, o.Guest = p.Owner, p.role != grant.Operator
	var ok bool
	if o.Display, ok = s.watches(p, o.Display); !ok {
		return problem.New(problem.Forbidden, "the %s is not good for this display", p.Credential)
	}
	g := p.grant
	if g == nil {
		return nil
	}
	if g.Session != "" && g.Session != o.Reservation {
		return problem.New(problem.Forbidden, "the grant is good for one reservation, which the request has to name")
	}
	o.Grant, o.Expires, o.MaxSessions = g.ID, g.Expires, g.MaxSessions
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
		q, ok := k.file.find(p.hash)
		if !ok || q.Owner != p.Owner || q.role != p.role {
			return session.EndRevoked, invalid("the token was taken away")
		}
		q.remote, q.display = p.remote, p.display
		_, why, err := q.stands(now)
		return why, err
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
	case session.CredentialAnonymous:
		if !k.live().anonymous {
			return session.EndRevoked, invalid("clients without a credential are not admitted any more")
		}
	}
	return 0, nil
}

// revoking is the body of POST /v1/revocations.
type revoking struct {
	Grant   string `json:"grant,omitempty" maxLength:"128" doc:"Id of a grant (jti): it is refused from now on."`
	Subject string `json:"subject,omitempty" maxLength:"128" doc:"Whom all grants issued until now are taken from."`
	Issuer  string `json:"issuer,omitempty" maxLength:"256" doc:"Issuer (iss) of that grant, or of those grants; needed where the host takes grants of several."`
}

// TransformSchema has the document say that one of them is there: whoever leaves out what he revokes must not take it for revoked.
func (revoking) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	none := 0
	empty := &huma.Schema{Type: huma.TypeString, MaxLength: &none}
	s.Not = &huma.Schema{
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"grant": empty, "subject": empty},
		Description: "nothing is revoked: the body takes the grant (its jti), the subject, or both",
	}
	s.PrecomputeMessages()
	return s
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
	var what []string
	if in.Grant != "" {
		what = append(what, "grant "+in.Grant)
	}
	if in.Subject != "" {
		what = append(what, "subject "+in.Subject)
	}
	if in.Issuer != "" {
		what = append(what, "issuer "+in.Issuer)
	}
	concern(w, strings.Join(what, ", "))
	issuer, err := s.issuer(in.Issuer)
	if err != nil {
		return err
	}
	err = s.key.add(time.Now(), issuer, in.Grant, in.Subject)
	if errors.Is(err, errTooManyRevoked) {
		return problem.New(problem.TooManyRevocations, "%d revocations are remembered already; take the issuer's key out of the set", maxRevoked)
	}
	ended := s.mgr.Revoke(issuer, in.Grant, in.Subject)
	if err != nil {
		s.log.Error("revocation not written; it is forgotten when the daemon ends", "err", err)
		return problem.New(problem.Internal, "it is revoked, and %d sessions end, but only until the daemon ends: the file of revocations could not be written; the host's log has the cause", ended)
	}
	return content.WriteJSON(w, http.StatusOK, revocation{Ended: ended})
}

// issuer returns whose grants a revocation is about that names one, or none.
func (s *Server) issuer(named string) (string, error) {
	var all []string
	if s.key.grants != nil {
		all = s.key.grants.Issuers()
	}
	switch {
	case named != "" && all != nil && !slices.Contains(all, named):
		return "", problem.New(problem.BadRequest, "this host takes no grants of the issuer %s", problem.Shorten(strconv.Quote(named)))
	case named == "" && len(all) > 1:
		return "", problem.New(problem.BadRequest, "this host takes grants of several issuers: name one (issuer)")
	case named == "" && len(all) == 1:
		return all[0], nil
	}
	return named, nil
}
