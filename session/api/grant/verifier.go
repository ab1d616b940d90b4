package grant

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken bounds a token, in bytes. A token with all claims has a fifth of that.
const maxToken = 4096

// Verifier verifies tokens. Its methods may be called from several goroutines.
type Verifier struct {
	issuers []*source
	spent   *ledger
	log     *slog.Logger
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

// Issuers returns the names of the issuers.
func (v *Verifier) Issuers() []string {
	var names []string
	for _, one := range v.issuers {
		names = append(names, one.cfg.Issuer)
	}
	return names
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

// Stands reports whether the key that signed a grant is still in the set. If no set is known because its address has
// not answered for too long, the key counts as present.
func (v *Verifier) Stands(g Grant) bool { return g.stands == nil || g.stands() }

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
