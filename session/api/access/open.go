package access

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
)

// Open creates a session for the client of r.
func (a *Access) Open(r *http.Request, o session.Offer) (session.Answer, error) {
	p := auth.PrincipalOf(r.Context())
	if err := a.limit(p, &o); err != nil {
		return session.Answer{}, err
	}
	if _, err := a.creds.Lapsed(p, time.Now()); err != nil {
		return session.Answer{}, err
	}
	if o.Replaces != "" {
		return a.replace(r, p, o)
	}
	if p.Pass != nil {
		return a.openByPass(r, p, o)
	}
	if p.Grant == nil {
		return a.create(r, p, o)
	}
	if err := a.grants.Spend(*p.Grant); err != nil {
		return session.Answer{}, a.unspent(err)
	}
	answer, err := a.create(r, p, o)
	switch {
	case err == nil:
		a.grants.Keep(*p.Grant) // before the viewer gets anything for it
	case !errors.Is(err, errLapsed):
		a.grants.Return(*p.Grant)
	}
	return answer, err
}

// lapsed is the error of a credential that lapsed while the session was created. Its grant stays spent.
type lapsed struct{ error }

var errLapsed = errors.New("credential lapsed")

func (l lapsed) Unwrap() error        { return l.error }
func (l lapsed) Is(target error) bool { return target == errLapsed }

// openByPass opens the only session of a viewer token.
func (a *Access) openByPass(r *http.Request, p auth.Principal, o session.Offer) (session.Answer, error) {
	if !p.Pass.Spend() {
		return session.Answer{}, problem.New(problem.Forbidden, "the viewer token was used: it opens one session")
	}
	answer, err := a.create(r, p, o)
	if err != nil {
		p.Pass.Return()
		return answer, err
	}
	p.Pass.Keep(answer.ID)
	return answer, nil
}

// replace opens a session that replaces a session of the former daemon. That daemon has confirmed the owner, so the
// credential is not used up. If the owner asks again, the first session ends: its viewer may never have connected.
func (a *Access) replace(r *http.Request, p auth.Principal, o session.Offer) (session.Answer, error) {
	a.mu.Lock()
	before := a.replaced[o.Replaces]
	a.mu.Unlock()
	if before != "" {
		a.abandon(r, before, session.EndReplaced)
	}
	answer, err := a.create(r, p, o)
	if err != nil {
		return answer, err
	}
	if p.Pass != nil {
		p.Pass.Keep(answer.ID)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.replaced[o.Replaces] = answer.ID
	return answer, nil
}

// OpenFor opens a session for a viewer, on behalf of the operator that the request comes from. It returns the token
// with which the viewer trickles candidates, restarts ICE and ends the session.
func (a *Access) OpenFor(r *http.Request, o session.Offer, subject string, role grant.Role) (
	answer session.Answer, token string, err error,
) {
	by := auth.PrincipalOf(r.Context())
	viewer := auth.ViewerOf(by, subject, role)
	o.Owner, o.Guest = viewer.Owner, true
	if answer, err = a.create(r, viewer, o); err != nil {
		return session.Answer{}, "", err
	}
	if one, err := a.mgr.Session(answer.ID); err == nil {
		viewer.Pass.Display = one.Display
	}
	viewer.Pass.Keep(answer.ID)
	return answer, a.creds.Issue(viewer), nil
}

// Invite returns the token with which a viewer opens the session of a reservation, and uses it as with OpenFor.
func (a *Access) Invite(r *http.Request, l admission.Reservation, role grant.Role) (token string) {
	viewer := auth.ViewerOf(auth.PrincipalOf(r.Context()), l.Subject, role)
	viewer.Pass.Display, viewer.Pass.Reservation = l.Display, l.ID
	return a.creds.Issue(viewer)
}

// create creates a session and registers its principal.
func (a *Access) create(r *http.Request, p auth.Principal, o session.Offer) (session.Answer, error) {
	answer, err := a.mgr.Create(r.Context(), o)
	if err != nil {
		return answer, err
	}
	// A revocation is stored before the search for the sessions that it ends. So either that search finds this session,
	// which is listed by now, or this check finds the revocation.
	if why, err := a.creds.Lapsed(p, time.Now()); err != nil {
		a.abandon(r, answer.ID, why)
		return session.Answer{}, lapsed{err}
	}
	if err := r.Context().Err(); err != nil {
		// The client is gone. Nobody reads the answer, so nobody could end the session, or has used its grant.
		a.abandon(r, answer.ID, session.EndViewerGone)
		return session.Answer{}, err
	}
	if p.Credential == session.CredentialToken {
		if one, err := a.mgr.Session(answer.ID); err == nil {
			shown := one.Display
			if !p.Watches(shown) {
				shown = o.Display // a token that is valid for a group need not name its members
			}
			p = p.ForDisplay(shown)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened[answer.ID] = p
	return answer, nil
}

// unspent returns the error for a single-session grant that cannot be used.
func (a *Access) unspent(err error) *problem.Error {
	why := strings.TrimPrefix(err.Error(), "grant: ")
	e, ok := errors.AsType[*grant.Error](err)
	if ok {
		a.creds.CountGrant(e.Fault)
	}
	if ok && e.Fault == grant.Busy { // the grant itself is valid
		return problem.New(problem.TooManyGrants, "%s", why).RetryAfter(time.Minute)
	}
	return problem.New(problem.Forbidden, "%s", why)
}

// abandon ends a session whose client does not get the answer.
func (a *Access) abandon(r *http.Request, id string, why session.EndReason) {
	if err := a.mgr.End(context.WithoutCancel(r.Context()), id, why, ""); err != nil {
		a.log.Debug("abandoned session not ended", "session", id, "err", err)
	}
}
