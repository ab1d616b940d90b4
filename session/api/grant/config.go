package grant

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"time"
)

// Leeway is the accepted difference between the clocks of issuer and host.
const Leeway = 30 * time.Second

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
