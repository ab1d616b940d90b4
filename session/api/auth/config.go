package auth

import "wavryhost/session/api/grant"

// The values of Config.ClientAuth.
const (
	ClientAuthOff      = "off"
	ClientAuthOptional = "optional"
	ClientAuthRequired = "required"
)

// Config says which credentials are accepted.
type Config struct {
	// TokensFile has tokens with names and roles; empty for none.
	TokensFile string
	// Grants verifies signed grants; nil accepts none.
	Grants *grant.Verifier
	// RevocationsFile keeps revocations over a restart; empty for none. It is not used without Grants.
	RevocationsFile string
	// ClientAuth is one of ClientAuthOff, ClientAuthOptional and ClientAuthRequired. ClientCA and ClientRevoked are
	// files with the authorities of client certificates and the lists of revoked certificates.
	ClientAuth, ClientCA, ClientRevoked string
	// ClientRole is the role of a client with a certificate, unless one of ClientRules matches.
	ClientRole  grant.Role
	ClientRules []ClientRule
}

// RequestsCertificates reports whether clients are asked for certificates.
func (c Config) RequestsCertificates() bool {
	return c.ClientAuth == ClientAuthOptional || c.ClientAuth == ClientAuthRequired
}
