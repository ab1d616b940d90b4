package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/grant"
)

// Pass is what the token of a viewer allows: one session, which an operator has reserved or opened for that viewer.
// Its methods may be called from several goroutines.
type Pass struct {
	// Display is the display of the session. Reservation is the ID of its reservation; empty if the operator opened the
	// session.
	Display, Reservation string

	by Principal // the operator
	// until is the end of a probe's pass. It is zero for viewers.
	until time.Time

	mu      sync.Mutex // guards all following fields
	spent   bool
	session string
}

// Spend begins to use the pass, and reports whether it was unused.
func (p *Pass) Spend() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.spent
	p.spent = true
	return !was
}

// Return makes the pass unused again: its session was not opened.
func (p *Pass) Return() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent = false
}

// Keep notes the session that the pass was used for.
func (p *Pass) Keep(session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent, p.session = true, session
}

// Opening reports whether the session of the pass is being opened.
func (p *Pass) Opening() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spent && p.session == ""
}

// Session returns the ID of the session that the pass was used for; empty before.
func (p *Pass) Session() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session
}

// viewers keeps the tokens of viewers. They end with the daemon, as the sessions and reservations do that they are for.
type viewers struct {
	mu     sync.Mutex // guards tokens
	tokens map[[sha256.Size]byte]Principal
}

// find returns the principal whose token has that hash. Its duration discloses something of the hash, but not of the
// token.
func (v *viewers) find(hash [sha256.Size]byte) (Principal, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, ok := v.tokens[hash]
	return p, ok
}

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

// Waiting reports whether a probe may still use the pass.
func (p *Pass) Waiting(now time.Time) bool { return now.Before(p.until) }

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
