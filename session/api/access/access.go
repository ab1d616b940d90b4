// Package access decides which sessions a principal may open and see, and ends sessions whose credential is no longer
// valid.
package access

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
)

// DefaultDisplay stands for the host's first display.
const DefaultDisplay = "default"

// manager is what access uses of session.Manager.
type manager interface {
	Create(ctx context.Context, o session.Offer) (session.Answer, error)
	End(ctx context.Context, id string, why session.EndReason, note string) error
	Session(id string) (session.Snapshot, error)
	Reservation(id string) (admission.Reservation, error)
	Host() session.Host
}

// credentials is what access uses of auth.Authenticator.
type credentials interface {
	Lapsed(p auth.Principal, now time.Time) (session.EndReason, error)
	CountGrant(fault grant.Fault)
	Issue(viewer auth.Principal) string
	PruneViewers(inUse func(*auth.Pass) bool)
}

// grants is what access uses of grant.Verifier. It keeps account of grants for a single session.
type grants interface {
	Spend(g grant.Grant) error
	Return(g grant.Grant)
	Keep(g grant.Grant)
}

// Access opens sessions for principals.
type Access struct {
	mgr    manager
	creds  credentials
	grants grants // nil if the host accepts no grants
	log    *slog.Logger
	// keepEnded reports whether sessions that Sweep has ended are kept until Forget, for the audit log.
	keepEnded bool

	mu     sync.Mutex // guards all following fields
	opened map[string]auth.Principal
	ended  map[string]auth.Principal
	// replaced has the IDs of sessions by the IDs of the former daemon's sessions that they replace.
	replaced map[string]string
}

// New returns an Access. keepEnded reports whether the caller asks for the principals of ended sessions.
func New(mgr manager, creds credentials, g *grant.Verifier, keepEnded bool, log *slog.Logger) *Access {
	a := &Access{
		mgr: mgr, creds: creds, keepEnded: keepEnded, log: log,
		opened: make(map[string]auth.Principal), ended: make(map[string]auth.Principal),
		replaced: make(map[string]string),
	}
	if g != nil {
		a.grants = g
	}
	return a
}

// MayView reports whether a role may watch displays.
func MayView(role grant.Role) bool {
	return role == grant.Operator || role == grant.Viewer || role == grant.Controller
}

// Owns returns an error if the principal of r may not see the session: only operators see the sessions of others. The
// error does not disclose whether the session exists.
func (a *Access) Owns(r *http.Request, id string) error {
	p := auth.PrincipalOf(r.Context())
	if p.Role == grant.Operator {
		return nil
	}
	one, err := a.mgr.Session(id)
	if err != nil || one.Owner() != p.Owner {
		return session.ErrUnknownSession
	}
	if g := p.Grant; g != nil && g.Session != "" && g.Session != id && g.Session != one.Reservation {
		return session.ErrUnknownSession
	}
	if p.Pass != nil && p.Pass.Session() != id {
		return session.ErrUnknownSession
	}
	return nil
}

// Views reports whether the principal of r, a request for a WHEP path, may open a session on the display in the path,
// or has opened the session in the path.
func (a *Access) Views(r *http.Request) bool {
	p := auth.PrincipalOf(r.Context())
	if !MayView(p.Role) {
		return false
	}
	if id := r.PathValue("id"); id != "" {
		return a.Owns(r, id) == nil
	}
	_, ok := a.watches(p, r.PathValue("display"))
	return ok
}

// watches reports whether the credential of p is valid for a display or a group of displays, and returns its ID:
// DefaultDisplay is that of the host.
func (a *Access) watches(p auth.Principal, display string) (id string, ok bool) {
	if p.Pass != nil && display == DefaultDisplay {
		return p.Pass.Display, true
	}
	if p.Watches(display) {
		return display, true
	}
	if id := a.mgr.Host().Default; display == DefaultDisplay && id != "" {
		return id, p.Watches(id)
	}
	return display, false
}

// limit restricts an offer to what its principal may have.
func (a *Access) limit(p auth.Principal, o *session.Offer) error {
	o.Owner, o.Guest = p.Owner, p.Role != grant.Operator
	o.Probe = p.Credential == session.CredentialProbe
	var ok bool
	if o.Display, ok = a.watches(p, o.Display); !ok {
		return problem.New(problem.Forbidden, "the %s is not valid for this display",
			strings.ReplaceAll(p.Credential, "_", " "))
	}
	if p.Pass != nil && o.Replaces == "" {
		if o.Reservation != "" && o.Reservation != p.Pass.Reservation {
			return problem.New(problem.Forbidden, "the viewer token is for another reservation")
		}
		o.Reservation = p.Pass.Reservation
	}
	g := p.Grant
	if g == nil {
		return nil
	}
	if g.Session != "" && g.Session != o.Reservation && o.Replaces == "" {
		return problem.New(problem.Forbidden, "the grant is valid for one reservation, which the request must name")
	}
	o.Grant, o.Expires, o.MaxSessions = g.ID, g.Expires, g.MaxSessions
	if g.MaxBitrate > 0 && (o.MaxBitrate == 0 || g.MaxBitrate < o.MaxBitrate) {
		o.MaxBitrate = g.MaxBitrate
	}
	return nil
}
