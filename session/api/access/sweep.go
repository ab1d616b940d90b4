package access

import (
	"context"
	"errors"
	"maps"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/auth"
)

// Sweep ends the sessions whose credentials are no longer valid. It does not wait for their ends.
func (a *Access) Sweep(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	for id, p := range a.list() {
		why, lapsed := a.creds.Lapsed(p, now)
		if lapsed == nil {
			continue
		}
		err := a.mgr.End(ctx, id, why, "")
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, session.ErrUnknownSession) {
			a.log.Warn("session whose credential is no longer valid not ended", "session", id, "err", err)
			continue // at the next sweep
		}
		a.log.Info("credential of a session is no longer valid",
			"session", id, "credential", p.Credential, "who", p.Name, "reason", why.String())
		a.mu.Lock()
		delete(a.opened, id)
		if a.keepEnded {
			a.ended[id] = p
		}
		a.mu.Unlock()
	}
}

// list returns the sessions with their principals.
func (a *Access) list() map[string]auth.Principal {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.opened)
}

// Prune forgets the sessions that have ended, and the viewer tokens whose session or reservation has ended.
func (a *Access) Prune() {
	for id := range a.list() {
		if _, err := a.mgr.Session(id); errors.Is(err, session.ErrUnknownSession) {
			a.mu.Lock()
			delete(a.opened, id)
			a.mu.Unlock()
		}
	}
	a.mu.Lock()
	maps.DeleteFunc(a.replaced, func(_, id string) bool { _, open := a.opened[id]; return !open })
	a.mu.Unlock()
	a.creds.PruneViewers(func(p *auth.Pass) bool {
		if id := p.Session(); id != "" {
			_, err := a.mgr.Session(id)
			return err == nil
		}
		_, err := a.mgr.Reservation(p.Reservation)
		return err == nil || p.Opening() || p.Waiting(time.Now())
	})
}

// PrincipalOf returns the principal that opened a session. If Sweep has ended the session, PrincipalOf forgets it.
func (a *Access) PrincipalOf(id string) (auth.Principal, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.opened[id]
	if !ok {
		p, ok = a.ended[id]
		delete(a.ended, id)
	}
	return p, ok
}

// Len returns the number of sessions that Access has opened and not forgotten.
func (a *Access) Len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.opened)
}
