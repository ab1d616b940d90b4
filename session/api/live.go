package api

import (
	"crypto/sha256"
)

// live is what of a Config can change while the server runs.
type live struct {
	guard  *guard
	limits Limits
	token  [sha256.Size]byte
	single bool // there is an operator's token
	asks   bool // clients are asked who they are
}

func newLive(c Config, cert *certificate) *live {
	return &live{
		guard: newGuard(c, cert), limits: c.Limits, token: sha256.Sum256([]byte(c.Token)), single: c.Token != "", asks: c.guarded(),
	}
}

// Prepare checks a new configuration, and returns what puts into force what can change while the server runs: the operator's token, the hosts and origins,
// and the limits on requests. Everything else stays as it is, and what changes has to fit it.
func (s *Server) Prepare(next Config) (apply func(), err error) {
	c := s.cfg
	c.Token, c.AllowedHosts, c.AllowedOrigins, c.Limits = next.Token, next.AllowedHosts, next.AllowedOrigins, next.Limits
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l := newLive(c.withDefaults(), s.cert)
	return func() { s.live.Store(l) }, nil
}
