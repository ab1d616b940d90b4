package api

import (
	"crypto/sha256"
)

// live is what of a Config can change while the server runs.
type live struct {
	guard   *guard
	proxies proxies
	limits  Limits
	token   [sha256.Size]byte
	single  bool // there is an operator's token
	// anonymous reports whether clients without a credential are viewers.
	anonymous bool
}

func newLive(c Config, cert *certificate) *live {
	token := c.Token
	if !c.guarded() {
		token = c.OwnToken
	}
	return &live{
		guard: newGuard(c, cert), proxies: proxies{trusted: c.TrustedProxies, header: c.ProxyHeader}, limits: c.Limits, token: sha256.Sum256([]byte(token)), single: token != "",
		anonymous: c.AnonymousRole == AnonymousViewer,
	}
}

// Prepare checks a new configuration, and returns what puts into force what can change while the server runs: the operator's token, the anonymous role,
// the hosts and origins, and the limits on requests. Everything else stays as it is, and what changes has to fit it.
func (s *Server) Prepare(next Config) (apply func(), err error) {
	c := s.cfg
	c.OwnToken, c.AnonymousRole = next.OwnToken, next.AnonymousRole
	c.Token, c.AllowedHosts, c.AllowedOrigins, c.TrustedProxies, c.Limits = next.Token, next.AllowedHosts, next.AllowedOrigins, next.TrustedProxies, next.Limits
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l := newLive(c.withDefaults(), s.cert)
	return func() { s.live.Store(l) }, nil
}
