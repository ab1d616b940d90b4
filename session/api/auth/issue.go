package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/grant"
)

// ViewerOf returns the viewer for whom the operator by acts. It has no token yet.
func ViewerOf(by Principal, subject string, role grant.Role) Principal {
	return Principal{
		Owner: session.Owner{
			Credential: session.CredentialViewerToken, Issuer: by.Credential + ":" + by.Name, Name: subject,
		},
		Role: role, Pass: &Pass{by: by},
	}
}

// IssueProbe returns a token with which this host opens one session on a display, and watches it as a viewer does.
func (a *Authenticator) IssueProbe(display string, until time.Time) (token string) {
	return a.Issue(Principal{
		Owner: session.Owner{Credential: session.CredentialProbe, Name: "self-probe"}, Role: grant.Viewer,
		Pass: &Pass{Display: display, until: until},
	})
}

// Issue returns a token for a viewer. The viewer's pass is complete by then.
func (a *Authenticator) Issue(viewer Principal) (token string) {
	token = strings.ToLower(rand.Text())
	a.viewers.mu.Lock()
	defer a.viewers.mu.Unlock()
	a.viewers.tokens[sha256.Sum256([]byte(token))] = viewer
	return token
}

// PruneViewers forgets the tokens of viewers whose pass is not in use.
func (a *Authenticator) PruneViewers(inUse func(*Pass) bool) {
	a.viewers.mu.Lock()
	defer a.viewers.mu.Unlock()
	for hash, p := range a.viewers.tokens {
		if !inUse(p.Pass) {
			delete(a.viewers.tokens, hash)
		}
	}
}
