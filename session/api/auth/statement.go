package auth

import (
	"context"
	"net/http"

	"wavryhost/session"
	"wavryhost/session/api/grant"
)

// Statement is what a daemon says to the former one about the client of a request that it passes on.
type Statement struct {
	Owner session.Owner `json:"owner"`
	Role  grant.Role    `json:"role"`
	// Session is the only session or reservation that the credential is valid for; empty for no such limit.
	Session string `json:"session,omitempty"`
	// Remote is the client's address.
	Remote string `json:"remote"`
}

// StatementOf returns what is known of the client of r.
func StatementOf(r *http.Request) Statement {
	p := PrincipalOf(r.Context())
	s := Statement{Owner: p.Owner, Role: p.Role, Remote: r.RemoteAddr}
	if p.Grant != nil {
		s.Session = p.Grant.Session
	}
	if p.Pass != nil {
		s.Session = p.Pass.Session()
	}
	return s
}

// Vouched reports whether another daemon of this host has authenticated the client.
func (p Principal) Vouched() bool { return p.vouched }

// With returns a context for a request of the client that the statement is about. It is authenticated.
func (s Statement) With(ctx context.Context) context.Context {
	p := Principal{Owner: s.Owner, Role: s.Role, vouched: true}
	if s.Session != "" {
		p.Grant = &grant.Grant{Session: s.Session}
	}
	return WithPrincipal(ctx, p)
}
