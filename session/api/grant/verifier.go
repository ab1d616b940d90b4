package grant

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxToken bounds a token, in bytes. A token with all claims has a fifth of that.
	maxToken = 4096
	// Leeway is the accepted difference between the clocks of issuer and host.
	Leeway = 30 * time.Second
)

// Config configures the verification of one issuer's grants.
type Config struct {
	// KeysFile and KeysURL are the source of the JWK set; one of the two. The file is read again when it changes. The
	// address, https, is fetched every ten minutes.
	KeysFile, KeysURL string
	// SpentFile keeps the used single-session grants over a restart; empty for none.
	SpentFile string
	// Audience is the name of this host, which aud must contain.
	Audience string
	// Issuer must be iss. If it is empty, grants must have no iss: all keys belong to one issuer, whose name nothing
	// confirms.
	Issuer string
	// MaxRole is the highest role that grants may give. It defaults to Controller.
	MaxRole Role
	// Displays are patterns of the displays that grants may allow, such as x11:*. Nil means all.
	Displays []string
	// MaxLifetime bounds the time from iat to exp. It defaults to 24 h.
	MaxLifetime time.Duration
	// MaxStale is how long keys are used without a successful fetch. It defaults to 24 h.
	MaxStale time.Duration
	// OnFetch is called after each fetch of KeysURL, with its error. It may be nil.
	OnFetch func(error)
	// Roots verify the certificate of KeysURL. Nil means the system's.
	Roots *x509.CertPool
}

func (c Config) withDefaults() Config {
	if c.MaxLifetime == 0 {
		c.MaxLifetime = 24 * time.Hour
	}
	if c.MaxRole == "" {
		c.MaxRole = Controller
	}
	if c.MaxStale == 0 {
		c.MaxStale = 24 * time.Hour
	}
	return c
}

// Validate returns what is wrong with c.
func (c Config) Validate() error {
	switch {
	case (c.KeysFile == "") == (c.KeysURL == ""):
		return errors.New("grant: the keys come from a file or from an address, one of the two")
	case c.Audience == "":
		return errors.New("grant: the audience is empty; set it to the name that grants use for this host")
	case c.MaxLifetime < 0:
		return fmt.Errorf("grant: lifetime %v is not positive", c.MaxLifetime)
	case c.MaxStale < 0:
		return fmt.Errorf("grant: staleness %v is not positive", c.MaxStale)
	case c.MaxRole == Operator && c.Displays != nil:
		return errors.New("grant: displays do not limit operators: leave them out, or set another role")
	}
	if _, err := ParseRole(string(c.MaxRole)); err != nil && c.MaxRole != "" {
		return fmt.Errorf("grant: %w", err)
	}
	for _, p := range c.Displays {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return fmt.Errorf("grant: %q is not a pattern of displays", p)
		}
	}
	if c.KeysURL != "" {
		if u, err := url.Parse(c.KeysURL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return errors.New("grant: the address of the keys is not https://host/path, without a user in it")
		}
	}
	return nil
}

// Verifier verifies tokens. Its methods may be called from several goroutines.
type Verifier struct {
	issuers []*source
	spent   *ledger
	log     *slog.Logger
}

// source is an issuer whose grants are accepted.
type source struct {
	cfg    Config
	keys   *keys
	parser *jwt.Parser
}

// New returns a Verifier of the grants of one or more issuers. The keys of one issuer do not verify another's grants. A
// file of keys is read here, so that an invalid one is an error early; an address is fetched by Run. Used grants are
// kept in the SpentFile of the first issuer.
func New(log *slog.Logger, first Config, more ...Config) (*Verifier, error) {
	v := &Verifier{log: log}
	all := append([]Config{first}, more...)
	if err := Validate(all); err != nil {
		return nil, err
	}
	for _, cfg := range all {
		one, err := newSource(cfg.withDefaults(), log)
		if err != nil {
			return nil, err
		}
		v.issuers = append(v.issuers, one)
	}
	var err error
	if v.spent, err = newLedger(first.SpentFile, time.Now()); err != nil {
		return nil, fmt.Errorf("grant: used grants: %w", err)
	}
	return v, nil
}

// Validate returns what is wrong with issuers that one Verifier uses together.
func Validate(all []Config) error {
	for i, cfg := range all {
		if err := cfg.Validate(); err != nil {
			return err
		}
		if len(all) > 1 && (cfg.Issuer == "" || slices.ContainsFunc(all[:i],
			func(c Config) bool { return c.Issuer == cfg.Issuer })) {
			return fmt.Errorf("grant: issuer %q: each of several issuers must have its own name", cfg.Issuer)
		}
	}
	return nil
}

// Issuers returns the names of the issuers.
func (v *Verifier) Issuers() []string {
	var names []string
	for _, one := range v.issuers {
		names = append(names, one.cfg.Issuer)
	}
	return names
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

// Run keeps the keys current until ctx ends, and returns nil.
func (v *Verifier) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for _, one := range v.issuers {
		all.Go(func() { one.keys.run(ctx) }) // unguarded: run guards the refresh
	}
	return nil
}

// Outlived is how long it takes until every grant that exists has expired, by whatever clock it was issued: an issuer
// whose clock is ahead by Leeway issues grants that much later, and their end is not noticed at once.
func (v *Verifier) Outlived() time.Duration {
	var longest time.Duration
	for _, one := range v.issuers {
		longest = max(longest, one.cfg.MaxLifetime)
	}
	return longest + 2*Leeway
}

// Verify returns what a token in compact form (RFC 7515 section 7.1) grants, or an *Error. The caller checks where the
// token comes from, and whether it was revoked.
func (v *Verifier) Verify(compact string) (Grant, error) {
	if len(compact) > maxToken {
		return Grant{}, wrong(Malformed, "the token has %d bytes; the limit is %d", len(compact), maxToken)
	}
	one := v.issuers[0]
	if len(v.issuers) > 1 {
		// The token says which issuer's keys to use. The signature decides whether that is true.
		var said jwt.MapClaims
		if _, _, err := jwt.NewParser().ParseUnverified(compact, &said); err != nil {
			return Grant{}, wrong(Malformed, "it is not a JSON web token in compact form")
		}
		name, _ := said["iss"].(string)
		i := slices.IndexFunc(v.issuers, func(one *source) bool { return one.cfg.Issuer == name })
		if i < 0 {
			return Grant{}, wrong(Audience, "it comes from another issuer (iss)")
		}
		one = v.issuers[i]
	}
	return one.verify(compact)
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
	g.kid, g.key, g.by, g.within = kid, used, v, v.cfg.Displays
	return g, nil
}

// Stands reports whether the key that signed a grant is still in the set. If no set is known because its address has
// not answered for too long, the key counts as present.
func (v *Verifier) Stands(g Grant) bool { return g.by.keys.hold(g.kid, g.key) }

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

// Spend marks a single-session grant as used; for others it does nothing. The second time it returns an *Error.
func (v *Verifier) Spend(g Grant) error {
	if !g.Once {
		return nil
	}
	return v.spent.take(g, time.Now())
}

// Return makes a used grant usable again: its session was not opened.
func (v *Verifier) Return(g Grant) {
	if g.Once {
		v.spent.giveBack(g)
	}
}

// Keep keeps a used grant over a restart: its session was opened. It waits for the disk. If writing fails, the log says
// so, and a restart makes the grant usable again.
func (v *Verifier) Keep(g Grant) {
	if !g.Once {
		return
	}
	if err := v.spent.keep(g); err != nil {
		v.log.Error("used grant not written; it is usable again when the daemon ends", "grant", g.ID, "err", err)
	}
}
