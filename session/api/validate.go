package api

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"wavryhost/session/api/auth"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/grant"
)

// Validate returns what is wrong with c. Zero fields count as their defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("api: listen %q is not host:port", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("api: listen %q: %q is not a port", c.Listen, port)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("api: TLS requires a certificate and a key; got certificate %q and key %q",
			c.TLSCert, c.TLSKey)
	}
	if err := c.validateToken(); err != nil {
		return err
	}
	if err := c.validateClients(); err != nil {
		return err
	}
	if err := c.validateReach(edge.IsLoopback(host)); err != nil {
		return err
	}
	if !slices.Contains(edge.ProxyHeaders(), c.ProxyHeader) {
		return fmt.Errorf("api: proxy header %q is none of %s", c.ProxyHeader, strings.Join(edge.ProxyHeaders(), ", "))
	}
	for _, o := range c.AllowedOrigins {
		if err := validateOrigin(o); err != nil {
			return err
		}
	}
	for _, h := range c.AllowedHosts {
		if h == "" || strings.ContainsAny(h, "/:* ") {
			return fmt.Errorf("api: allowed host %q is not a bare host name", h)
		}
	}
	return c.validateLimits()
}

// validateReach checks that whatever other machines, or pages of other sites, can reach requires a credential.
func (c Config) validateReach(loopback bool) error {
	if !loopback && (c.TLSCert == "" || !c.locked()) {
		var missing []string
		if c.TLSCert == "" {
			missing = append(missing, "a TLS certificate and key")
		}
		if !c.locked() {
			missing = append(missing, "a configured token, grants or required client certificates")
		}
		return fmt.Errorf("api: other machines can reach listen %q, which requires %s (or listen on 127.0.0.1)",
			c.Listen, strings.Join(missing, " and "))
	}
	further := len(c.AllowedHosts)+len(c.AllowedOrigins) > 0
	if !c.locked() && further {
		return errors.New("api: allowed hosts and origins require a configured credential: " +
			"a token, grants or required client certificates")
	}
	switch c.AnonymousRole {
	case "", AnonymousNone:
		return nil
	case AnonymousViewer:
	default:
		return fmt.Errorf("api: anonymous role %q is neither none nor viewer", c.AnonymousRole)
	}
	if !loopback || further {
		return errors.New("api: anonymous viewers require a loopback address in listen, and no allowed hosts and origins: " +
			"everybody who reaches the server would see the screen")
	}
	return nil
}

// locked reports whether a credential is required that protects a public address. Optional client certificates do not
// count by themselves: they imply another way in, which a configuration without any other credential lacks.
func (c Config) locked() bool {
	return c.Token != "" || c.TokensFile != "" || c.Grants != nil || c.TLSClientAuth == auth.ClientAuthRequired
}

// guarded reports whether a credential is configured.
func (c Config) guarded() bool {
	return c.Token != "" || c.TokensFile != "" || c.Grants != nil || c.auth().RequestsCertificates()
}

func (c Config) validateClients() error {
	switch c.TLSClientAuth {
	case "", auth.ClientAuthOff:
		return nil
	case auth.ClientAuthOptional, auth.ClientAuthRequired:
	default:
		return fmt.Errorf("api: client certificates %q are none of off, optional and required", c.TLSClientAuth)
	}
	if c.TLSCert == "" || c.TLSClientCA == "" {
		return errors.New("api: client certificates require TLS, and a file of the authorities that issue them")
	}
	if _, err := grant.ParseRole(c.TLSClientRole); err != nil {
		return fmt.Errorf("api: client certificates: %w", err)
	}
	for _, r := range c.TLSClientRules {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) validateToken() error {
	if c.Token == "" {
		return nil
	}
	if len(c.Token) < minTokenLength {
		return fmt.Errorf("api: the token has %d characters; the minimum is %d", len(c.Token), minTokenLength)
	}
	for _, r := range c.Token {
		// RFC 6750 section 2.1: a bearer token has no blanks.
		if r <= ' ' || r > '~' {
			return errors.New("api: the token contains a blank or a character that is not printable ASCII")
		}
	}
	return nil
}

func (c Config) validateLimits() error {
	if c.MaxBody < 0 {
		return fmt.Errorf("api: max body %d is not positive", c.MaxBody)
	}
	if c.MaxConnections < 0 {
		return fmt.Errorf("api: max connections %d is not positive", c.MaxConnections)
	}
	if c.MaxConnectionsPerAddress < 0 {
		return fmt.Errorf("api: max connections per address %d is not positive", c.MaxConnectionsPerAddress)
	}
	if err := c.Limits.Validate(); err != nil {
		return err
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{
		{"read header", c.ReadHeaderTimeout},
		{"read", c.ReadTimeout},
		{"request", c.RequestTimeout},
		{"write", c.WriteTimeout},
		{"idle", c.IdleTimeout},
		{"shutdown", c.ShutdownTimeout},
	} {
		if t.d < 0 {
			return fmt.Errorf("api: %s timeout %v is not positive", t.name, t.d)
		}
	}
	if c.WriteTimeout <= c.RequestTimeout {
		return fmt.Errorf("api: write timeout %v does not exceed request timeout %v", c.WriteTimeout, c.RequestTimeout)
	}
	return nil
}

func validateOrigin(o string) error {
	if o == "*" {
		return nil
	}
	u, err := url.Parse(o)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Scheme+"://"+u.Host != o {
		return fmt.Errorf(`api: allowed origin %q is not scheme://host[:port] or "*"`, o)
	}
	return nil
}
