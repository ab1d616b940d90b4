package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/grant"
)

// Bequest is the token of a viewer, as a daemon leaves it to the daemon that takes over. It has the hash of the token,
// not the token.
type Bequest struct {
	Hash   []byte     `json:"hash"`
	Viewer principal  `json:"viewer"`
	By     principal  `json:"by"`
	Pass   passRecord `json:"pass"`
}

// principal is what is left of a Principal.
type principal struct {
	Owner   session.Owner `json:"owner"`
	Role    grant.Role    `json:"role"`
	Grant   *grant.Grant  `json:"grant,omitempty"`
	Hash    []byte        `json:"hash"`
	Scope   grant.Scope   `json:"scope"`
	Until   time.Time     `json:"until,omitzero"`
	Remote  string        `json:"remote,omitempty"`
	Display string        `json:"display,omitempty"`
	Chain   [][]byte      `json:"chain,omitempty"` // certificates in DER
}

type passRecord struct {
	Display     string `json:"display"`
	Reservation string `json:"reservation,omitempty"`
	Session     string `json:"session,omitempty"`
}

// Bequeath returns the tokens of viewers.
func (a *Authenticator) Bequeath() []Bequest {
	a.viewers.mu.Lock()
	defer a.viewers.mu.Unlock()
	list := []Bequest{}
	for hash, p := range a.viewers.tokens {
		if p.Credential == session.CredentialViewerToken {
			list = append(list, Bequest{hash[:], recordOf(p), recordOf(p.Pass.by), passRecord{
				p.Pass.Display, p.Pass.Reservation, p.Pass.Session(),
			}})
		}
	}
	return list
}

// Inherit takes over the tokens of viewers. Nothing is taken if one is not understood.
func (a *Authenticator) Inherit(list []Bequest) error {
	tokens := make(map[[sha256.Size]byte]Principal)
	for _, b := range list {
		hash, err := hashOf(b.Hash)
		if err != nil {
			return err
		}
		viewer, err := b.Viewer.restore()
		if err != nil {
			return err
		}
		viewer.Pass = &Pass{Display: b.Pass.Display, Reservation: b.Pass.Reservation}
		if viewer.Pass.by, err = b.By.restore(); err != nil {
			return err
		}
		if b.Pass.Session != "" {
			viewer.Pass.Keep(b.Pass.Session)
		}
		tokens[hash] = viewer
	}
	a.viewers.mu.Lock()
	defer a.viewers.mu.Unlock()
	maps.Copy(a.viewers.tokens, tokens)
	return nil
}

func recordOf(p Principal) principal {
	r := principal{
		Owner: p.Owner, Role: p.Role, Grant: p.Grant, Hash: p.hash[:], Scope: p.scope, Until: p.until, Remote: p.remote,
		Display: p.display,
	}
	for _, c := range p.chain {
		r.Chain = append(r.Chain, c.Raw)
	}
	return r
}

func (r principal) restore() (p Principal, err error) {
	p = Principal{
		Owner: r.Owner, Role: r.Role, Grant: r.Grant, scope: r.Scope, until: r.Until, remote: r.Remote, display: r.Display,
	}
	if p.hash, err = hashOf(r.Hash); err != nil {
		return p, err
	}
	for _, der := range r.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return p, err
		}
		p.chain = append(p.chain, c)
	}
	return p, nil
}

func hashOf(b []byte) (hash [sha256.Size]byte, err error) {
	if len(b) != len(hash) {
		return hash, fmt.Errorf("a hash of %d bytes", len(b))
	}
	return [sha256.Size]byte(b), nil
}
