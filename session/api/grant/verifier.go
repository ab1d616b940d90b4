package grant

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxToken bounds a token, in bytes. One with everything in it takes a fifth of that.
	maxToken = 4096
	// Leeway is how far the issuer's clock may be off.
	Leeway = 30 * time.Second
)

// Config is what a Verifier needs to know.
type Config struct {
	// KeysFile and KeysURL are where the JWK set is; one of the two. The file is read again when it changes; the address, https, is
	// asked again every ten minutes.
	KeysFile, KeysURL string
	// SpentFile is where the grants for one session that were used are kept for the time after a restart; empty for nowhere.
	SpentFile string
	// Audience is this host's name, which must be in aud.
	Audience string
	// Issuer, when set, must be iss.
	Issuer string
	// MaxLifetime is how much later than iat exp may be. It defaults to 24 h.
	MaxLifetime time.Duration
	// MaxStale is how long keys are used that KeysURL did not confirm. It defaults to 24 h.
	MaxStale time.Duration
	// Roots are who vouches for KeysURL's certificate. Nil means the system's.
	Roots *x509.CertPool
}

func (c Config) withDefaults() Config {
	if c.MaxLifetime == 0 {
		c.MaxLifetime = 24 * time.Hour
	}
	if c.MaxStale == 0 {
		c.MaxStale = 24 * time.Hour
	}
	return c
}

// Validate tells what is wrong with c.
func (c Config) Validate() error {
	switch {
	case (c.KeysFile == "") == (c.KeysURL == ""):
		return errors.New("grant: the keys come from a file or from an address, one of the two")
	case c.Audience == "":
		return errors.New("grant: the audience is empty; it takes the name that grants call this host by")
	case c.MaxLifetime < 0:
		return fmt.Errorf("grant: lifetime %v is not positive", c.MaxLifetime)
	case c.MaxStale < 0:
		return fmt.Errorf("grant: staleness %v is not positive", c.MaxStale)
	}
	if c.KeysURL != "" {
		if u, err := url.Parse(c.KeysURL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return errors.New("grant: the address of the keys is not https://host/path, without a user in it")
		}
	}
	return nil
}

// Verifier checks tokens. Its methods may be called from several goroutines.
type Verifier struct {
	cfg    Config
	keys   *keys
	parser *jwt.Parser

	spent *ledger
	log   *slog.Logger
}

// New returns a Verifier. A file of keys is read, so that a broken one is found early; an address is asked by Run.
func New(cfg Config, log *slog.Logger) (*Verifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
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
	used, err := newLedger(cfg.SpentFile, time.Now())
	if err != nil {
		return nil, fmt.Errorf("grant: used grants: %w", err)
	}
	return &Verifier{cfg: cfg, keys: k, parser: jwt.NewParser(options...), spent: used, log: log}, nil
}

// Run keeps the keys current until ctx ends, and returns nil.
func (v *Verifier) Run(ctx context.Context) error { return v.keys.run(ctx) }

// Outlived is how long it takes until no grant is good that could be when the time began, by whatever clock it was issued: one that is
// Leeway ahead issues it for that much later, and its end is not seen at once.
func (v *Verifier) Outlived() time.Duration { return v.cfg.MaxLifetime + 2*Leeway }

// Verify returns what a token in compact form (RFC 7515 section 7.1) grants, or an *Error. Whether it comes from where it may, and
// whether it was revoked, is the caller's to ask.
func (v *Verifier) Verify(compact string) (Grant, error) {
	if len(compact) > maxToken {
		return Grant{}, wrong(Malformed, "the token has %d bytes; at most %d are taken", len(compact), maxToken)
	}
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
		// The parser looks at the claims when the signature is right.
		return Grant{}, translate(err).signed(errors.Is(err, jwt.ErrTokenInvalidClaims))
	}
	// The signature is right from here on: what is wrong is the issuer's mistake.
	_, rest, _ := strings.Cut(compact, ".")
	payload, _, _ := strings.Cut(rest, ".")
	g, err := read(payload, claims, v.cfg.MaxLifetime)
	if e, ok := errors.AsType[*Error](err); ok {
		return Grant{}, e.signed(true)
	}
	g.kid, g.key = kid, used
	return g, err
}

// Stands tells whether the key that a grant is signed with still is in the set. Where no set is known, because its address did not answer for too long, none was
// taken out.
func (v *Verifier) Stands(g Grant) bool { return v.keys.hold(g.kid, g.key) }

// key finds the key of a token that is not trusted yet.
func (v *Verifier) key(t *jwt.Token) (kid string, k key, err error) {
	header, _, _ := strings.Cut(t.Raw, ".")
	if err := unique(header); err != nil {
		return "", key{}, err
	}
	for name := range t.Header {
		switch name {
		case "alg", "kid", "typ":
		default:
			// Among them crit, which must be understood (RFC 7515 section 4.1.11), and jku, jwk and x5u, by which a token would bring its
			// own key.
			return "", key{}, wrong(Malformed, "its header has %.40q, which is not taken", name)
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
	// The key says what it is for, not the token.
	if k.alg != t.Method.Alg() {
		return "", key{}, wrong(Algorithm, "key %.80q is for %s; the token says %s", kid, k.alg, t.Method.Alg())
	}
	return kid, k, nil
}

// translate says in our words what the parser found.
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
		{jwt.ErrTokenInvalidAudience, Audience, "it is made out for another host (aud)"},
		{jwt.ErrTokenInvalidIssuer, Audience, "it comes from another issuer (iss)"},
	} {
		if errors.Is(err, known.err) {
			return wrong(known.fault, "%s", known.text)
		}
	}
	if errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		// The parser uses one error for both.
		if strings.Contains(err.Error(), "signing method") {
			return wrong(Algorithm, "its algorithm is neither EdDSA nor ES256")
		}
		return wrong(Signature, "its signature is not right")
	}
	return wrong(Malformed, "its claims are not what they must be")
}

// Spend uses up a grant for one session; for others it does nothing. The second time it returns an *Error.
func (v *Verifier) Spend(g Grant) error {
	if !g.Once {
		return nil
	}
	return v.spent.take(g, time.Now())
}

// Return makes a spent grant good again: the session did not come about.
func (v *Verifier) Return(g Grant) {
	if g.Once {
		v.spent.giveBack(g)
	}
}

// Keep has a spent grant stay so over a restart: its session came about. It waits for the disk. Where that fails, a restart makes the grant good again; the log tells.
func (v *Verifier) Keep(g Grant) {
	if !g.Once {
		return
	}
	if err := v.spent.keep(g); err != nil {
		v.log.Error("used grant not written; it is good again when the daemon ends", "grant", g.ID, "err", err)
	}
}
