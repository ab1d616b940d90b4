package api

import (
	"net"

	"wavryhost/session/api/auth"
	"wavryhost/session/api/edge"
)

// live is the part of a Config that can change while the server runs.
type live struct {
	policy  *edge.Policy
	proxies edge.Proxies
	limits  edge.Limits
	auth    auth.Settings
}

// live returns the part of c that can change while the server runs.
func (c Config) live(cert *edge.Certificate) *live {
	listen, _, _ := net.SplitHostPort(c.Listen) // validated
	token := c.Token
	if !c.guarded() {
		token = c.OwnToken
	}
	return &live{
		policy:  edge.NewPolicy(listen, c.AllowedHosts, c.AllowedOrigins, cert),
		proxies: edge.Proxies{Trusted: c.TrustedProxies, Header: c.ProxyHeader},
		limits:  c.Limits,
		auth:    auth.NewSettings(token, c.AnonymousRole == AnonymousViewer),
	}
}
