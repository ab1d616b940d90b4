package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"wavryhost/session/api/grant"
)

// ClientRule gives a role to the client certificates that it matches. In Name and Issuer one * stands for any text. An
// empty pattern matches all.
type ClientRule struct {
	// Name is one of the certificate's alternative names: a URI, DNS name, e-mail address or IP address. Without any it
	// is the common name. Issuer is the subject of the authority at the root of its chain.
	Name, Issuer string
	Role         string
}

// matches reports whether the rule applies to a certificate with these names and that issuer.
func (r ClientRule) matches(names []string, issuer string) bool {
	return matches(r.Issuer, issuer) &&
		slices.ContainsFunc(names, func(name string) bool { return matches(r.Name, name) })
}

// namesOf returns the names of a certificate that rules apply to. The common name counts only without alternative
// names: an authority that checks these may leave the common name to the client (RFC 6125 section 6.4.4).
func namesOf(c *x509.Certificate) (names []string) {
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	names = append(append(names, c.DNSNames...), c.EmailAddresses...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

func matches(pattern, text string) bool {
	before, after, open := strings.Cut(pattern, "*")
	if !open {
		return pattern == "" || pattern == text
	}
	return len(text) >= len(before)+len(after) && strings.HasPrefix(text, before) && strings.HasSuffix(text, after)
}

// roleOf returns the role of a certificate by that issuer: that of the first rule that matches, else the usual one.
func roleOf(leaf *x509.Certificate, issuer string, rules []ClientRule, usual grant.Role) grant.Role {
	names := namesOf(leaf)
	for _, rule := range rules {
		if rule.matches(names, issuer) {
			return grant.Role(rule.Role)
		}
	}
	return usual
}

// Validate returns what is wrong with r.
func (r ClientRule) Validate() error {
	if _, err := grant.ParseRole(r.Role); err != nil {
		return fmt.Errorf("api: rule of client certificates: %w", err)
	}
	if r.Name == "" && r.Issuer == "" {
		return fmt.Errorf("api: rule of client certificates: it matches all of them; set name or issuer")
	}
	for _, p := range []string{r.Name, r.Issuer} {
		if strings.Count(p, "*") > 1 {
			return fmt.Errorf("api: rule of client certificates: %q has more than one *", p)
		}
	}
	return nil
}

// longestName bounds names of owners, in bytes: they are logged, audited and shown.
const longestName = 256

// bounded returns a name of at most longestName bytes. Different long names stay different.
func bounded(name string) string {
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:longestName-40], "") + "…" + hex.EncodeToString(sum[:16])
}
