package grant

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// source is an issuer whose grants are accepted.
type source struct {
	cfg    Config
	keys   *keys
	parser *jwt.Parser
}

func newSource(cfg Config, log *slog.Logger) (*source, error) {
	k, err := newKeys(cfg, log)
	if err != nil {
		return nil, err
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{algEdDSA, algES256}), jwt.WithStrictDecoding(), jwt.WithLeeway(Leeway),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithAudience(cfg.Audience),
	}
	if cfg.Issuer != "" {
		options = append(options, jwt.WithIssuer(cfg.Issuer))
	}
	return &source{cfg: cfg, keys: k, parser: jwt.NewParser(options...)}, nil
}

// verify verifies a token that names this issuer.
func (v *source) verify(compact string) (Grant, error) {
	claims := jwt.MapClaims{}
	var (
		kid  string
		used key
	)
	_, err := v.parser.ParseWithClaims(compact, claims, func(t *jwt.Token) (public any, err error) {
		kid, used, err = v.key(t)
		return used.public, err
	})
	if err != nil {
		// The parser checks the claims only after the signature.
		return Grant{}, translate(err).signed(errors.Is(err, jwt.ErrTokenInvalidClaims))
	}
	// The signature is valid from here on: an error is the issuer's mistake.
	_, rest, _ := strings.Cut(compact, ".")
	payload, _, _ := strings.Cut(rest, ".")
	g, err := read(payload, claims, v.cfg.MaxLifetime)
	if e, ok := errors.AsType[*Error](err); ok {
		return Grant{}, e.signed(true)
	}
	if err != nil {
		return Grant{}, err
	}
	switch {
	case v.cfg.Issuer == "" && g.Issuer != "":
		return Grant{}, wrong(Audience,
			"it names an issuer (iss), but none is configured: set grant_issuer").signed(true)
	case !g.Role.within(v.cfg.MaxRole):
		return Grant{}, wrong(Exceeding, "its issuer may not grant the role %s, but %s at most", g.Role,
			v.cfg.MaxRole).signed(true)
	}
	g.within, g.stands = v.cfg.Displays, func() bool { return v.keys.hold(kid, used) }
	return g, nil
}

// key returns the key of a token that is not verified yet.
func (v *source) key(t *jwt.Token) (kid string, k key, err error) {
	header, _, _ := strings.Cut(t.Raw, ".")
	if err := unique(header); err != nil {
		return "", key{}, err
	}
	for name := range t.Header {
		switch name {
		case "alg", "kid", "typ":
		default:
			// Such fields are crit, which the host would have to support (RFC 7515 section 4.1.11), and jku, jwk and
			// x5u, with which a token would bring its own key.
			return "", key{}, wrong(Malformed, "its header has %.40q, which is not accepted", name)
		}
	}
	if typ, ok := t.Header["typ"]; ok {
		if s, _ := typ.(string); !strings.EqualFold(s, "JWT") {
			return "", key{}, wrong(Malformed, "its typ is not JWT")
		}
	}
	kid, _ = t.Header["kid"].(string)
	if kid == "" {
		return "", key{}, wrong(UnknownKey, "it does not name its key (kid)")
	}
	k, ok := v.keys.find(kid)
	if !ok {
		return "", key{}, wrong(UnknownKey, "no key is called %.80q", kid)
	}
	// The key decides its algorithm, not the token.
	if k.alg != t.Method.Alg() {
		return "", key{}, wrong(Algorithm, "key %.80q is for %s; the token says %s", kid, k.alg, t.Method.Alg())
	}
	return kid, k, nil
}

// translate words the parser's errors.
func translate(err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	for _, known := range []struct {
		err   error
		fault Fault
		text  string
	}{
		{jwt.ErrTokenUnverifiable, Algorithm, "its algorithm is neither EdDSA nor ES256"},
		{jwt.ErrTokenMalformed, Malformed, "it is not a JSON web token in compact form"},
		{jwt.ErrTokenRequiredClaimMissing, Malformed, "it lacks exp, iat or aud"},
		{jwt.ErrTokenExpired, Expired, "it has expired"},
		{jwt.ErrTokenNotValidYet, Early, "it is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, Early, "it was issued in the future"},
		{jwt.ErrTokenInvalidAudience, Audience, "it is for another host (aud)"},
		{jwt.ErrTokenInvalidIssuer, Audience, "it comes from another issuer (iss)"},
	} {
		if errors.Is(err, known.err) {
			return wrong(known.fault, "%s", known.text)
		}
	}
	if errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		// The parser uses the same error for both.
		if strings.Contains(err.Error(), "signing method") {
			return wrong(Algorithm, "its algorithm is neither EdDSA nor ES256")
		}
		return wrong(Signature, "its signature is not right")
	}
	return wrong(Malformed, "its claims are not valid")
}
